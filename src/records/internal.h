#pragma once
/* What the files of records share. */
#include "records/store.h"

/* Calls a statement of the shelf's cell; what is written to one key goes one way, in order. */
result record_call(const struct record_shelf *shelf, enum statement statement, struct str key,
                   const struct pg_value *params, size_t count, struct pg_reply *reply) MUST_USE;

/* The three parameters that say whose a statement is, and the four of its audit row. */
enum { SHELF_PARAMS = 4, ACTOR_PARAMS = 4 };
void record_shelf_params(const struct record_shelf *shelf, struct pg_value params[SHELF_PARAMS]);
void record_actor_params(const struct record_shelf *shelf, struct pg_value params[ACTOR_PARAMS]);

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
/* Asks the cell; the key is in the ring afterwards. *ret_version is 0 when the class has no key. */
result record_key_ask_current(const struct record_shelf *shelf, uint32_t *ret_version) MUST_USE;
