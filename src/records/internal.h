#pragma once
/* What the files of records share. */
#include "records/store.h"

/* Opens, or reads, what is stored of the record; *ret_type and *ret_body are in the arena. E_SEAL has raised the alarm.
 * E_KEY_VERSION_UNKNOWN has not: read the record again first. E_CONFIG: policy seals the class since it was written. */
result record_content_open(const struct record_shelf *shelf, struct arena *arena, struct str key,
                           int64_t revision, uint32_t key_version, struct str payload, struct str *ret_type,
                           struct str *ret_body) MUST_USE;

/* The same of what is sealed, before the content type is taken off. */
result record_sealed_open(const struct record_shelf *shelf, struct arena *arena, struct str key,
                          int64_t revision, uint32_t key_version, struct str payload, struct str *ret)
    MUST_USE;

/* A new random key of that version, wrapped under the region's root key and nowhere else. */
result record_key_wrap_new(const struct record_shelf *shelf, uint32_t version,
                           uint8_t wrapped[CLASSKEY_WRAPPED_BYTES]) MUST_USE;
