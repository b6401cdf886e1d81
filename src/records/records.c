#include "records/records.h"

#include "base/clock.h"
#include "config/config.h"
#include "records/call.h"
#include "records/internal.h"
#include "records/keys.h"
#include "seal/record.h"

#include <stdio.h>

_Static_assert(1 + RECORDS_TYPE_MAX + CONFIG_BODY_BYTES_MAX <= RECORD_PLAINTEXT_MAX &&
                   RECORD_PLAINTEXT_MAX + RECORD_OVERHEAD_BYTES <= CONFIG_BODY_BYTES_MAX + 512,
               "a body that the configuration allows can be sealed, and the schema's record_put takes it");

enum { ATTEMPTS = 5, PAGE_PARAMS = 14, PAGE_BYTES = 1024 * 1024 };

/* ---- content ---- */

bool record_type_is_sound(struct str type)
{
    struct str rest = type, media_type;
    if (type.len == 0 || type.len > RECORDS_TYPE_MAX || memchr(type.ptr, '/', type.len) == NULL)
        return false;
    for (size_t i = 0; i < type.len; i++)
        if (type.ptr[i] < ' ' || type.ptr[i] > '~')
            return false;
    return str_cut(&rest, ';', &media_type) && str_trim(media_type).len >= 3;
}

static struct str content_pack(struct arena *arena, struct str type, struct str body)
{
    must(type.len <= RECORDS_TYPE_MAX);
    char *packed = arena_alloc(arena, 1 + type.len + body.len);
    packed[0] = (char)(unsigned char)type.len;
    if (type.len > 0)
        memcpy(packed + 1, type.ptr, type.len);
    if (body.len > 0)
        memcpy(packed + 1 + type.len, body.ptr, body.len);
    return (struct str){ packed, 1 + type.len + body.len };
}

/* Whoever can write into the cell's tables can store anything there; unsealed content arrives here unchecked. */
static bool content_unpack(struct str packed, struct str *ret_type, struct str *ret_body)
{
    size_t type_len = packed.len > 0 ? (unsigned char)packed.ptr[0] : 0;
    if (packed.len < 1 + type_len || !record_type_is_sound((struct str){ packed.ptr + 1, type_len }))
        return false;
    *ret_type = (struct str){ packed.ptr + 1, type_len };
    *ret_body = (struct str){ packed.ptr + 1 + type_len, packed.len - 1 - type_len };
    return true;
}

static struct record_place place_of(const struct record_shelf *shelf, struct str key, int64_t revision)
{
    return (struct record_place){ shelf->store->region, shelf->customer, shelf->class, key, revision };
}

/* One error for all causes: whoever can write into the cell learns nothing from the answer. */
static result unopened(const struct record_shelf *shelf, struct str key)
{
    shelf->store->alarm(shelf->store->alarm_context, shelf, key);
    return FAIL(E_SEAL, "Find out who changed the cell's tables, then restore the record.",
                "a record cannot be opened");
}

result record_sealed_open(const struct record_shelf *shelf, struct arena *arena, struct str key,
                          int64_t revision, uint32_t key_version, struct str payload, struct str *ret)
{
    uint32_t named = 0;
    if (failed(record_key_version(payload, &named)) || named != key_version)
        return unopened(shelf, key);
    const struct class_key *class_key;
    result r = record_key_version_get(shelf, key_version, &class_key);
    if (r.error.code == E_SEAL)
        return unopened(shelf, key);
    TRY(r);
    struct record_place place = place_of(shelf, key, revision);
    char *plain = arena_alloc(arena, record_plaintext_size(payload.len));
    size_t plain_len;
    if (failed(record_open(class_key, &place, payload, (uint8_t *)plain, &plain_len)))
        return unopened(shelf, key);
    *ret = (struct str){ plain, plain_len };
    return OK;
}

/* A clear row in a sealed class was written by somebody else; but if the class has no key yet, nothing was ever sealed,
 * and the policy has changed. */
static result clear_in_sealed_class(const struct record_shelf *shelf, struct str key)
{
    uint32_t version = 0;
    result r = record_key_ask_current(shelf, &version);
    if (failed(r) && r.error.code != E_SEAL)
        return r;
    return failed(r) || version != 0 ? unopened(shelf, key) : record_outcome_error(shelf, STR("records"));
}

result record_content_open(const struct record_shelf *shelf, struct arena *arena, struct str key,
                           int64_t revision, uint32_t key_version, struct str payload, struct str *ret_type,
                           struct str *ret_body)
{
    if (shelf->sealed && key_version == 0)
        return clear_in_sealed_class(shelf, key);
    struct str content;
    if (key_version != 0)
        TRY(record_sealed_open(shelf, arena, key, revision, key_version, payload, &content));
    else
        content = arena_str(arena, payload);
    return content_unpack(content, ret_type, ret_body) ? OK : unopened(shelf, key);
}

/* ---- put ---- */

struct prepared {
    struct str content; /* packed */
    uint8_t digest[MAC_BYTES];
};

/* The shape of p_if_revision: 0 whatever, -1 any that is there, else this one. */
static int64_t condition_revision(const struct record_condition *condition)
{
    return condition->if_present ? -1 : condition->if_revision;
}

/* The digest of a request with an Idempotency-Key: customer, place, type and body, without what differs at each
 * attempt. Keyed, since it stays in the cell for a day, in clear: under a plain hash whoever reads the cell's files
 * could confirm guesses. */
static void idempotency_digest(const struct record_shelf *shelf, const struct record_write *write,
                               struct str content, uint8_t digest[MAC_BYTES])
{
    char condition[32];
    int len = snprintf(condition, sizeof condition, "%lld %d",
                       (long long)condition_revision(&write->condition), write->condition.if_absent);
    const struct str parts[] = { shelf->customer, write->idempotency_key,    shelf->class, write->key,
                                 content,         { condition, (size_t)len } };
    mac_of(&shelf->store->idempotency_key, parts, COUNT(parts), digest);
}

static result content_seal(const struct record_shelf *shelf, struct arena *arena, struct str key,
                           int64_t revision, struct str content, struct str *ret_payload,
                           uint32_t *ret_key_version)
{
    *ret_payload = content;
    *ret_key_version = 0;
    if (!shelf->sealed)
        return OK;
    const struct class_key *class_key;
    TRY(record_key_current(shelf, &class_key));
    struct record_place place = place_of(shelf, key, revision);
    size_t size = record_sealed_size(content.len);
    uint8_t *sealed = arena_alloc(arena, size);
    TRY(record_seal(class_key, &place, content, sealed));
    *ret_payload = (struct str){ (const char *)sealed, size };
    *ret_key_version = class_key->version;
    return OK;
}

/* *ret_again: the cell has a newer revision or key than we knew of; both are known now. */
static result put_once(const struct record_shelf *shelf, struct arena *arena,
                       const struct record_write *write, const struct prepared *prepared,
                       struct record_written *ret, bool *ret_again)
{
    int64_t revision = revision_next(&shelf->store->clock);
    struct str payload;
    uint32_t key_version;
    TRY(content_seal(shelf, arena, write->key, revision, prepared->content, &payload, &key_version));

    bool idempotent = write->idempotency_key.len > 0;
    struct pg_value params[16];
    record_shelf_params(shelf, params);
    params[4] = pg_text(write->key);
    params[5] = pg_int8(revision);
    params[6] = pg_int4((int32_t)key_version);
    params[7] = pg_bytes(payload);
    params[8] = pg_int8(condition_revision(&write->condition));
    params[9] = pg_bool(write->condition.if_absent);
    record_actor_params(shelf, params + 10);
    params[14] = idempotent ? pg_text(write->idempotency_key) : pg_null();
    params[15] = idempotent ? pg_bytes((struct str){ (const char *)prepared->digest, MAC_BYTES }) : pg_null();

    struct pg_reply reply = PG_REPLY_INIT;
    result r = record_call(shelf, STATEMENT_RECORD_PUT, write->key, params, 16, &reply);
    *ret_again = false;
    if (!failed(r)) {
        struct str outcome = pg_reply_str(&reply, 0, 0);
        int64_t stored = pg_reply_number(&reply, 0, 1);
        if (str_is(outcome, "created") || str_is(outcome, "replayed-created")) {
            *ret = (struct record_written){ true, stored };
        } else if (str_is(outcome, "replaced") || str_is(outcome, "replayed-replaced")) {
            *ret = (struct record_written){ false, stored };
        } else if (str_is(outcome, "revision")) {
            revision_observe(&shelf->store->clock, stored);
            *ret_again = true;
        } else if (str_is(outcome, "key-version") && shelf->sealed) {
            *ret_again = true;
            r = record_key_refresh(shelf);
        } else if (str_is(outcome, "key-version")) {
            r = FAIL(E_CONFLICT, "Seal the class in the policy, or export its records and erase its keys.",
                     "the class \"%.*s\" is sealed in the cell, but not in the policy",
                     STR_ARG(shelf->class));
        } else {
            r = record_outcome_error(shelf, outcome);
        }
    }
    pg_reply_done(&reply);
    return r;
}

result records_put(const struct record_shelf *shelf, struct arena *arena, const struct record_write *write,
                   struct record_written *ret)
{
    struct prepared prepared = { .content = content_pack(arena, write->type, write->body) };
    if (write->idempotency_key.len > 0)
        idempotency_digest(shelf, write, prepared.content, prepared.digest);
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        bool again;
        TRY(put_once(shelf, arena, write, &prepared, ret, &again));
        if (!again)
            return OK;
    }
    return FAIL(E_BUSY, "Try again.", "the record changes faster than it can be written");
}

/* ---- get, delete ---- */

/* Between the cell's answer and ours a rotation may have ended: the record has another key by now, and the one that the
 * answer named is gone. So such a record is read again, once, before the key counts as lost. */
static result key_lost(const struct record_shelf *shelf, struct str key, result r)
{
    if (r.error.code == E_KEY_VERSION_UNKNOWN)
        shelf->store->alarm(shelf->store->alarm_context, shelf, key);
    return r;
}

static result get_once(const struct record_shelf *shelf, struct arena *arena, struct str key,
                       struct record *ret)
{
    struct pg_value params[9];
    record_shelf_params(shelf, params);
    params[4] = pg_text(key);
    record_actor_params(shelf, params + 5);
    struct pg_reply reply = PG_REPLY_INIT;
    result r = record_call(shelf, shelf->audit_reads ? STATEMENT_RECORD_GET_AUDITED : STATEMENT_RECORD_GET,
                           key, params, shelf->audit_reads ? 9 : 5, &reply);
    if (!failed(r)) {
        struct str outcome = pg_reply_str(&reply, 0, 0);
        ret->revision = pg_reply_number(&reply, 0, 1);
        r = str_is(outcome, "found") ? record_content_open(shelf, arena, key, ret->revision,
                                                           (uint32_t)pg_reply_number(&reply, 0, 2),
                                                           pg_reply_str(&reply, 0, 3), &ret->type, &ret->body)
                                     : record_outcome_error(shelf, outcome);
    }
    pg_reply_done(&reply);
    return r;
}

result records_get(const struct record_shelf *shelf, struct arena *arena, struct str key, struct record *ret)
{
    result r = get_once(shelf, arena, key, ret);
    return r.error.code == E_KEY_VERSION_UNKNOWN ? key_lost(shelf, key, get_once(shelf, arena, key, ret)) : r;
}

result records_delete(const struct record_shelf *shelf, struct str key,
                      const struct record_condition *condition)
{
    struct pg_value params[10];
    record_shelf_params(shelf, params);
    params[4] = pg_text(key);
    params[5] = pg_int8(condition_revision(condition));
    record_actor_params(shelf, params + 6);
    struct pg_reply reply = PG_REPLY_INIT;
    result r = record_call(shelf, STATEMENT_RECORD_DELETE, key, params, 10, &reply);
    if (!failed(r) && !str_is(pg_reply_str(&reply, 0, 0), "deleted"))
        r = record_outcome_error(shelf, pg_reply_str(&reply, 0, 0));
    pg_reply_done(&reply);
    return r;
}

/* ---- pages ---- */

static result item_read(const struct record_shelf *shelf, struct arena *arena, const struct pg_reply *reply,
                        size_t row, bool with_content, struct record_item *item)
{
    item->key = arena_str(arena, pg_reply_str(reply, row, 0));
    item->revision = pg_reply_number(reply, row, 1);
    item->written_ms = pg_reply_unix_ms(reply, row, 3);
    item->stored_bytes = (uint64_t)pg_reply_number(reply, row, 4);
    if (!with_content)
        return OK;
    return record_content_open(shelf, arena, item->key, item->revision,
                               (uint32_t)pg_reply_number(reply, row, 2), pg_reply_str(reply, row, 5),
                               &item->type, &item->body);
}

/* Beyond its shape: a page that repeats keys, or leaves the prefix, would be followed by another without end. */
static result check_page(const struct record_shelf *shelf, const struct pg_value params[PAGE_PARAMS],
                         size_t limit, bool with_content, const struct pg_reply *reply)
{
    struct str prefix = { params[4].ptr, (size_t)params[4].len };
    struct str last = { params[5].ptr, (size_t)params[5].len };
    size_t rows = pg_reply_rows(reply);
    bool fits = rows <= limit;
    for (size_t row = 0; row < rows && fits; row++) {
        struct str key = pg_reply_str(reply, row, 0);
        fits = str_starts(key, prefix) && str_compare(key, last) > 0 &&
               !(with_content && pg_reply_is_null(reply, row, 5));
        last = key;
    }
    return fits ? OK
                : FAIL(E_SCHEMA, PG_UNFIT_HINT,
                       "\"%s\" answered \"record_page\" with records that were not asked for",
                       shelf->cell->name);
}

/* *ret_failed is the key of the record that failed it. */
static result page_once(const struct record_shelf *shelf, struct arena *arena,
                        const struct pg_value params[PAGE_PARAMS], size_t limit, bool with_content,
                        struct record_page *ret, struct str *ret_failed)
{
    struct pg_reply reply = PG_REPLY_INIT;
    result r = record_call(shelf, STATEMENT_RECORD_PAGE, (struct str){ 0 }, params, PAGE_PARAMS, &reply);
    if (!failed(r))
        r = check_page(shelf, params, limit, with_content, &reply);
    if (!failed(r)) {
        uint64_t bytes = 0;
        *ret = (struct record_page){ .count = pg_reply_rows(&reply) };
        ret->items = arena_array(arena, struct record_item, ret->count);
        for (size_t i = 0; i < ret->count && !failed(r); i++) {
            r = item_read(shelf, arena, &reply, i, with_content, &ret->items[i]);
            bytes += ret->items[i].stored_bytes;
            *ret_failed = ret->items[i].key;
        }
        ret->more = ret->count == limit || (with_content && bytes >= PAGE_BYTES);
    }
    pg_reply_done(&reply);
    return r;
}

result records_page(const struct record_shelf *shelf, struct arena *arena, struct str prefix,
                    struct str after, size_t limit, bool with_content, struct record_page *ret)
{
    must(limit >= 1 && limit <= RECORDS_PAGE_MAX);
    struct pg_value params[PAGE_PARAMS];
    record_shelf_params(shelf, params);
    params[4] = pg_text(prefix);
    params[5] = pg_text(after);
    params[6] = pg_int4((int32_t)limit);
    params[7] = pg_int8(PAGE_BYTES);
    params[8] = pg_bool(with_content);
    params[9] = shelf->audit_reads ? pg_text(with_content ? STR("export") : STR("list")) : pg_null();
    record_actor_params(shelf, params + 10);
    struct str failed_at = { 0 };
    result r = page_once(shelf, arena, params, limit, with_content, ret, &failed_at);
    if (r.error.code != E_KEY_VERSION_UNKNOWN)
        return r;
    r = page_once(shelf, arena, params, limit, with_content, ret, &failed_at);
    return key_lost(shelf, failed_at, r);
}
