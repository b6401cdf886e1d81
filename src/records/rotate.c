/* Rotation of class keys, and re-sealing of records after it. */
#include "base/arena.h"
#include "loop/fiber.h"
#include "records/call.h"
#include "records/internal.h"
#include "records/keys.h"
#include "seal/record.h"

enum {
    PAGE_RECORDS = 64,
    PAGE_BYTES = 4 * 1024 * 1024,
    PASS_RECORDS = 4096,   /* re-sealed before the cell is told the progress */
    RETIRE_RECORDS = 1000, /* looked at in one call */
    COUNT_RECORDS = 5000,
};

/* ---- a new key ---- */

/* The key itself is not put into the ring: the next write is told of it, at every gateway alike. What was rotated must
 * not be answered with an error, or it is asked for again. */
result record_key_rotate(const struct record_shelf *shelf, uint32_t *ret_version)
{
    uint32_t current;
    TRY(record_key_ask_current(shelf, &current));
    if (current == 0)
        return FAIL(E_CONFLICT, "Write a record of this class first.", "the class \"%.*s\" has no key yet",
                    STR_ARG(shelf->class));
    uint8_t wrapped[CLASSKEY_WRAPPED_BYTES];
    TRY(record_key_wrap_new(shelf, current + 1, wrapped));
    struct pg_value params[10];
    record_shelf_params(shelf, params);
    params[4] = pg_int4((int32_t)current);
    params[5] = pg_bytes((struct str){ (const char *)wrapped, sizeof wrapped });
    record_actor_params(shelf, params + 6);
    struct pg_reply reply = PG_REPLY_INIT;
    result r = record_call(shelf, STATEMENT_KEY_ROTATE, (struct str){ 0 }, params, 10, &reply);
    if (!failed(r)) {
        struct str outcome = pg_reply_str(&reply, 0, 0);
        if (str_is(outcome, "version"))
            r = FAIL(E_STALE, "Check the state of the rotation, then try again.",
                     "another rotation was first");
        else if (!str_is(outcome, "rotated"))
            r = record_outcome_error(shelf, outcome);
        else
            *ret_version = (uint32_t)pg_reply_number(&reply, 0, 1);
    }
    pg_reply_done(&reply);
    return r;
}

result record_key_rotation(const struct record_shelf *shelf, struct record_rotation *ret)
{
    struct pg_value params[SHELF_PARAMS + 1];
    record_shelf_params(shelf, params);
    params[SHELF_PARAMS] = pg_int4(COUNT_RECORDS);
    struct pg_reply reply = PG_REPLY_INIT;
    result r = record_call(shelf, STATEMENT_ROTATION, (struct str){ 0 }, params, SHELF_PARAMS + 1, &reply);
    if (!failed(r) && pg_reply_rows(&reply) == 1)
        *ret =
            (struct record_rotation){ .key_version = (uint32_t)pg_reply_number(&reply, 0, 0),
                                      .done = pg_reply_number(&reply, 0, 0) == pg_reply_number(&reply, 0, 1),
                                      .remaining = (uint64_t)pg_reply_number(&reply, 0, 2),
                                      .counted_all = pg_reply_number(&reply, 0, 3) != 0 };
    else if (!failed(r))
        *ret = (struct record_rotation){ .done = true, .counted_all = true };
    pg_reply_done(&reply);
    return r;
}

/* ---- re-sealing ---- */

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

/* A record that does not open was changed by somebody, or its key was lost: the others continue, and *ret_unopened
 * counts it. */
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
        enum error_code code = reseals[i].outcome.error.code;
        if (code == E_SEAL || code == E_KEY_VERSION_UNKNOWN)
            ++*ret_unopened;
        else if (!failed(r))
            r = reseals[i].outcome;
        arena_done(&reseals[i].arena);
    }
    return r;
}

struct pass {
    char last[RECORD_KEY_MAX]; /* the key behind which it goes on */
    size_t last_len;
    size_t records, unopened;
    bool at_end;
};

static void pass_stand(struct pass *pass, struct str key)
{
    pass->last_len = key.len < sizeof pass->last ? key.len : sizeof pass->last;
    if (pass->last_len > 0)
        memcpy(pass->last, key.ptr, pass->last_len);
}

/* Every answer goes on from where the pass stands, or it would be asked for without end. */
static result pass_advance(const struct record_shelf *shelf, struct pass *pass, enum statement statement,
                           struct str key)
{
    if (str_compare(key, (struct str){ pass->last, pass->last_len }) <= 0)
        return FAIL(E_SCHEMA, PG_UNFIT_HINT, "\"%s\" answered \"%s\" with a key that it gave before",
                    shelf->cell->name, statements[statement].name);
    pass_stand(pass, key);
    return OK;
}

static result pass_page(const struct record_shelf *shelf, uint32_t current, struct pass *pass)
{
    struct pg_value params[8];
    record_shelf_params(shelf, params);
    params[4] = pg_int4((int32_t)current);
    params[5] = pg_text((struct str){ pass->last, pass->last_len });
    params[6] = pg_int4(PAGE_RECORDS);
    params[7] = pg_int8(PAGE_BYTES);
    struct pg_reply page = PG_REPLY_INIT;
    result r = record_call(shelf, STATEMENT_PAGE_TO_RESEAL, (struct str){ 0 }, params, 8, &page);
    size_t rows = failed(r) ? 0 : pg_reply_rows(&page);
    pass->at_end = rows == 0;
    if (rows > 0) {
        r = page_reseal(shelf, &page, &pass->unopened);
        result advanced =
            pass_advance(shelf, pass, STATEMENT_PAGE_TO_RESEAL, pg_reply_str(&page, rows - 1, 0));
        if (!failed(r))
            r = advanced;
        pass->records += rows;
    }
    pg_reply_done(&page);
    return r;
}

/* Starts where the cell's progress ends. A record that does not open stops that progress: then the pass goes to the
 * end, for the records after it. */
static result pass_reseal(const struct record_shelf *shelf, uint32_t current, struct pass *pass)
{
    while (!pass->at_end && (pass->records < PASS_RECORDS || pass->unopened > 0))
        TRY(pass_page(shelf, current, pass));
    return OK;
}

/* *ret_retired is false when a record stands in the way: then the pass begins before it. */
static result keys_retire(const struct record_shelf *shelf, uint32_t current, struct pass *pass,
                          bool *ret_retired)
{
    struct pg_value params[10];
    record_shelf_params(shelf, params);
    params[4] = pg_int4((int32_t)current);
    params[5] = pg_int4(RETIRE_RECORDS);
    record_actor_params(shelf, params + 6);
    for (bool more = true; more;) {
        struct pg_reply reply = PG_REPLY_INIT;
        result r = record_call(shelf, STATEMENT_KEY_RETIRE, (struct str){ 0 }, params, 10, &reply);
        if (!failed(r)) {
            struct str outcome = pg_reply_str(&reply, 0, 0);
            more = str_is(outcome, "more");
            *ret_retired = str_is(outcome, "retired");
            if (more)
                r = pass_advance(shelf, pass, STATEMENT_KEY_RETIRE, pg_reply_str(&reply, 0, 1));
            else
                pass_stand(pass, pg_reply_str(&reply, 0, 1));
            pass->at_end = str_is(outcome, "version"); /* rotated again: start again under that key */
            if (!more && !*ret_retired && !pass->at_end && !str_is(outcome, "in-use"))
                r = record_outcome_error(shelf, outcome);
        }
        pg_reply_done(&reply);
        TRY(r);
    }
    return OK;
}

result record_key_reseal(const struct record_shelf *shelf)
{
    for (size_t unopened = 0;;) {
        uint32_t current;
        bool retired = false;
        struct pass pass = { 0 };
        TRY(record_key_ask_current(shelf, &current));
        TRY(keys_retire(shelf, current, &pass, &retired));
        if (retired)
            return OK;
        if (unopened > 0)
            return FAIL(E_SEAL, "Find out who changed the cell's tables, then restore or delete the records.",
                        "%zu records of \"%.*s\" cannot be opened and keep their old key", unopened,
                        STR_ARG(shelf->class));
        TRY(pass_reseal(shelf, current, &pass));
        unopened = pass.unopened;
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
