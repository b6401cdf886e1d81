/* Rotation of class keys, and sealing records anew behind it. */
#include "base/arena.h"
#include "loop/fiber.h"
#include "records/internal.h"
#include "records/keys.h"
#include "seal/record.h"

enum { PAGE_RECORDS = 64, PAGE_BYTES = 4 * 1024 * 1024 };

/* ---- a new key ---- */

result record_key_rotate(const struct record_shelf *shelf, uint32_t *ret_version)
{
    struct record_rotation now;
    TRY(record_key_rotation(shelf, &now));
    if (now.key_version == 0)
        return FAIL(E_CONFLICT, "write a record of this class first", "the class \"%.*s\" has no key yet",
                    STR_ARG(shelf->class));
    uint8_t wrapped[CLASSKEY_WRAPPED_BYTES];
    TRY(record_key_wrap_new(shelf, now.key_version + 1, wrapped));
    struct pg_value params[10];
    record_shelf_params(shelf, params);
    params[4] = pg_int4((int32_t)now.key_version);
    params[5] = pg_bytes((struct str){ (const char *)wrapped, sizeof wrapped });
    record_actor_params(shelf, params + 6);
    struct pg_reply reply = PG_REPLY_INIT;
    result r = record_call(shelf, STATEMENT_KEY_ROTATE, (struct str){ 0 }, params, 10, &reply);
    if (!failed(r)) {
        struct str outcome = pg_reply_str(&reply, 0, 0);
        *ret_version = (uint32_t)pg_reply_number(&reply, 0, 1);
        if (str_is(outcome, "version"))
            r = FAIL(E_STALE, "look at the rotation's state, and try again", "another rotation came first");
        else if (!str_is(outcome, "rotated"))
            r = record_outcome_error(shelf, outcome);
    }
    pg_reply_done(&reply);
    TRY(r);
    return record_key_refresh(shelf);
}

result record_key_rotation(const struct record_shelf *shelf, struct record_rotation *ret)
{
    struct record_rotation now = { 0 };
    TRY(record_key_ask_current(shelf, &now.key_version));
    const struct pg_value params[] = { pg_text(shelf->customer), pg_text(shelf->class),
                                       pg_int4((int32_t)now.key_version) };
    struct pg_reply reply = PG_REPLY_INIT;
    result r = record_call(shelf, STATEMENT_COUNT_BELOW, (struct str){ 0 }, params, 3, &reply);
    if (!failed(r)) {
        now.remaining = (uint64_t)pg_reply_number(&reply, 0, 0);
        *ret = now;
    }
    pg_reply_done(&reply);
    return r;
}

/* ---- sealing anew ---- */

struct reseal {
    const struct record_shelf *shelf;
    struct arena arena;
    struct str key, payload;
    int64_t revision;
    uint32_t old_version;
    result outcome;
};

static result reseal_content(struct reseal *reseal, struct str *ret_sealed, uint32_t *ret_version)
{
    const struct record_shelf *shelf = reseal->shelf;
    struct str content;
    TRY(record_sealed_open(shelf, &reseal->arena, reseal->key, reseal->revision, reseal->old_version,
                           reseal->payload, &content));
    const struct class_key *key;
    TRY(record_key_current(shelf, &key));
    struct record_place place = { shelf->store->region, shelf->customer, shelf->class, reseal->key,
                                  reseal->revision };
    size_t size = record_sealed_size(content.len);
    uint8_t *sealed = arena_alloc(&reseal->arena, size);
    TRY(record_seal(key, &place, content, sealed));
    *ret_sealed = (struct str){ (const char *)sealed, size };
    *ret_version = key->version;
    return OK;
}

static result reseal_record(struct reseal *reseal)
{
    struct str sealed;
    uint32_t version;
    TRY(reseal_content(reseal, &sealed, &version));
    struct pg_value params[13];
    record_shelf_params(reseal->shelf, params);
    params[4] = pg_text(reseal->key);
    params[5] = pg_int8(reseal->revision);
    params[6] = pg_int4((int32_t)reseal->old_version);
    params[7] = pg_int4((int32_t)version);
    params[8] = pg_bytes(sealed);
    record_actor_params(reseal->shelf, params + 9);
    struct pg_reply reply = PG_REPLY_INIT;
    result r = record_call(reseal->shelf, STATEMENT_RESEAL, reseal->key, params, 13, &reply);
    if (!failed(r)) {
        struct str outcome = pg_reply_str(&reply, 0, 0);
        if (str_is(outcome, "key-version")) /* rotated again: the next pass takes it */
            r = record_key_refresh(reseal->shelf);
        else if (!str_is(outcome, "resealed") && !str_is(outcome, "changed"))
            r = record_outcome_error(reseal->shelf, outcome);
    }
    pg_reply_done(&reply);
    return r;
}

static void reseal_run(void *arg)
{
    struct reseal *reseal = arg;
    reseal->outcome = reseal_record(reseal);
}

/* A record that does not open is somebody's tampering: the others go on, and *ret_unopened counts it. */
static result page_reseal(const struct record_shelf *shelf, const struct pg_reply *page, size_t *ret_unopened)
{
    size_t rows = pg_reply_rows(page);
    struct reseal reseals[PAGE_RECORDS];
    struct scope scope = SCOPE_INIT;
    size_t count = 0;
    result r = OK;
    for (size_t i = 0; i < rows && count < PAGE_RECORDS && !failed(r); i++) {
        if (pg_reply_is_null(page, i, 3))
            continue;
        struct reseal *reseal = &reseals[count++];
        *reseal = (struct reseal){ .shelf = shelf,
                                   .key = pg_reply_str(page, i, 0),
                                   .revision = pg_reply_number(page, i, 1),
                                   .old_version = (uint32_t)pg_reply_number(page, i, 2),
                                   .payload = pg_reply_str(page, i, 3) };
        r = fiber_spawn(&scope, "reseal", reseal_run, reseal);
    }
    result joined = scope_join(&scope);
    if (!failed(r))
        r = joined;
    for (size_t i = 0; i < count; i++) {
        if (reseals[i].outcome.error.code == E_SEAL)
            ++*ret_unopened;
        else if (!failed(r))
            r = reseals[i].outcome;
        arena_done(&reseals[i].arena);
    }
    return r;
}

static result pass_reseal(const struct record_shelf *shelf, uint32_t below, size_t *ret_unopened)
{
    char last[RECORD_KEY_MAX];
    struct str after = { last, 0 };
    for (bool more = true; more;) {
        struct pg_value params[8];
        record_shelf_params(shelf, params);
        params[4] = pg_int4((int32_t)below);
        params[5] = pg_text(after);
        params[6] = pg_int4(PAGE_RECORDS);
        params[7] = pg_int8(PAGE_BYTES);
        struct pg_reply page = PG_REPLY_INIT;
        result r = record_call(shelf, STATEMENT_PAGE_TO_RESEAL, (struct str){ 0 }, params, 8, &page);
        size_t rows = failed(r) ? 0 : pg_reply_rows(&page);
        more = rows > 0;
        if (more) {
            r = page_reseal(shelf, &page, ret_unopened);
            struct str key = pg_reply_str(&page, rows - 1, 0);
            after.len = key.len < sizeof last ? key.len : sizeof last;
            memcpy(last, key.ptr, after.len);
        }
        pg_reply_done(&page);
        TRY(r);
    }
    return OK;
}

static result keys_retire(const struct record_shelf *shelf, uint32_t below, bool *ret_in_use)
{
    struct pg_value params[9];
    record_shelf_params(shelf, params);
    params[4] = pg_int4((int32_t)below);
    record_actor_params(shelf, params + 5);
    struct pg_reply reply = PG_REPLY_INIT;
    result r = record_call(shelf, STATEMENT_KEY_RETIRE, (struct str){ 0 }, params, 9, &reply);
    if (!failed(r)) {
        struct str outcome = pg_reply_str(&reply, 0, 0);
        *ret_in_use = str_is(outcome, "in-use");
        if (!*ret_in_use && !str_is(outcome, "retired"))
            r = record_outcome_error(shelf, outcome);
    }
    pg_reply_done(&reply);
    return r;
}

result record_key_reseal(const struct record_shelf *shelf)
{
    for (;;) {
        uint32_t current;
        size_t unopened = 0;
        bool in_use;
        TRY(record_key_ask_current(shelf, &current));
        TRY(pass_reseal(shelf, current, &unopened));
        TRY(keys_retire(shelf, current, &in_use));
        if (!in_use)
            return OK;
        if (unopened > 0)
            return FAIL(E_SEAL, "look for who changed the cell's tables, and restore or delete the records",
                        "%zu records of \"%.*s\" do not open and keep their old key", unopened,
                        STR_ARG(shelf->class));
    }
}

result record_key_pending(struct record_cell *cell, struct arena *arena, struct record_pending **ret,
                          size_t *ret_count)
{
    struct pg_reply reply = PG_REPLY_INIT;
    result r = pg_pool_call(cell->pool, STATEMENT_ROTATIONS_PENDING, 0, NULL, 0, &reply);
    if (!failed(r)) {
        *ret_count = pg_reply_rows(&reply);
        *ret = arena_array(arena, struct record_pending, *ret_count);
        for (size_t i = 0; i < *ret_count; i++)
            (*ret)[i] = (struct record_pending){ arena_str(arena, pg_reply_str(&reply, i, 0)),
                                                 arena_str(arena, pg_reply_str(&reply, i, 1)) };
    }
    pg_reply_done(&reply);
    return r;
}
