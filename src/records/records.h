#pragma once
/* The record path: seal, then write with the audit row in one transaction; read, then open. Every function here waits,
 * on the cell. A write that fails with E_UNAVAILABLE, E_DEADLINE or E_CANCELLED may have been made.
 *
 * A record is a content type and a body. The two are stored together, sealed or, for a class that policy leaves
 * unsealed, as they are:
 *     1   n, the length of the content type
 *     n   content type
 *     ..  body */
#include "records/store.h"

enum { RECORDS_TYPE_MAX = 255, RECORDS_PAGE_MAX = 1000, RECORDS_IDEMPOTENCY_MAX = 128 };

/* What may be a content type: up to RECORDS_TYPE_MAX visible ASCII characters and spaces, a media type with a slash
 * first. */
bool record_type_is_sound(struct str type);

/* What must hold for a write: nothing (all zero), or one of these. */
struct record_condition {
    int64_t if_revision; /* If-Match */
    bool if_present;     /* If-Match: * */
    bool if_absent;      /* If-None-Match: * */
};

struct record_write {
    struct str key;        /* checked: 1 to RECORD_KEY_MAX bytes of UTF-8 */
    struct str type, body; /* type: record_type_is_sound */
    struct record_condition condition;
    struct str idempotency_key; /* empty: none */
};

struct record_written {
    bool created;
    int64_t revision;
};

/* E_PRECONDITION, E_IDEMPOTENCY; a repeat under the same Idempotency-Key answers as the first did. */
result records_put(const struct record_shelf *shelf, struct arena *arena, const struct record_write *write,
                   struct record_written *ret) MUST_USE;

struct record {
    int64_t revision;
    struct str type, body; /* in the arena */
};
/* E_RECORD_UNKNOWN; E_SEAL: it does not open, E_KEY_VERSION_UNKNOWN: its key is not there, and the store's alarm was
 * told; E_CONFIG: it is not sealed, and policy seals its class since. */
result records_get(const struct record_shelf *shelf, struct arena *arena, struct str key, struct record *ret)
    MUST_USE;

result records_delete(const struct record_shelf *shelf, struct str key,
                      const struct record_condition *condition) MUST_USE;

/* Up to `limit` records (1 to RECORDS_PAGE_MAX), in the order of their keys' bytes, from the first behind `after`
 * (empty: the first of all), whose keys begin with `prefix`. with_content: opened, as many as fit about 1 MiB and at
 * least one; one that does not open fails the page. `more`: there may be others behind the last. */
struct record_page {
    struct record_item {
        struct str key;
        int64_t revision, written_ms;
        uint64_t stored_bytes; /* with content type and seal */
        struct str type, body; /* with content */
    } * items;
    size_t count;
    bool more;
};
result records_page(const struct record_shelf *shelf, struct arena *arena, struct str prefix,
                    struct str after, size_t limit, bool with_content, struct record_page *ret) MUST_USE;
