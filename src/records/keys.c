#include "records/keys.h"

#include "base/clock.h"
#include "records/call.h"
#include "records/internal.h"
#include "seal/record.h"

static struct class_key_name name_of(const struct record_shelf *shelf, uint32_t version)
{
    return (struct class_key_name){ shelf->store->region, shelf->customer, shelf->class, version };
}

static result key_alarm(const struct record_shelf *shelf, result failure)
{
    if (failure.error.code == E_SEAL)
        shelf->store->alarm(shelf->store->alarm_context, shelf, (struct str){ 0 });
    return failure;
}

/* A wrapped key of the cell becomes a key of the ring. */
static result take_key(const struct record_shelf *shelf, int64_t version, struct str wrapped, bool is_current)
{
    if (version < 1 || version > CLASSKEY_VERSION_MAX)
        return FAIL(E_SCHEMA, PG_UNFIT_HINT, "\"%s\" holds a class key of the version %lld",
                    shelf->cell->name, (long long)version);
    struct class_key_name name = name_of(shelf, (uint32_t)version);
    struct class_key key;
    result r = classkey_unwrap(shelf->store->root, &name, wrapped, &key);
    if (failed(r))
        return key_alarm(shelf, r);
    return keyring_put(shelf->store->keyring, shelf->customer, shelf->class, &key, is_current);
}

result record_key_wrap_new(const struct record_shelf *shelf, uint32_t version,
                           uint8_t wrapped[CLASSKEY_WRAPPED_BYTES])
{
    struct class_key key;
    TRY(classkey_generate(version, &key));
    struct class_key_name name = name_of(shelf, version);
    result r = classkey_wrap(shelf->store->root, &name, &key, wrapped);
    classkey_free(&key);
    return r;
}

/* Two gateways may both make the first key: the cell keeps one and gives it to both. */
static result key_add_first(const struct record_shelf *shelf)
{
    uint8_t wrapped[CLASSKEY_WRAPPED_BYTES];
    TRY(record_key_wrap_new(shelf, 1, wrapped));
    struct pg_value params[9];
    record_shelf_params(shelf, params);
    params[4] = pg_bytes((struct str){ (const char *)wrapped, sizeof wrapped });
    record_actor_params(shelf, params + 5);
    struct pg_reply reply = PG_REPLY_INIT;
    result r = record_call(shelf, STATEMENT_KEY_ADD, (struct str){ 0 }, params, 9, &reply);
    if (!failed(r)) {
        struct str outcome = pg_reply_str(&reply, 0, 0);
        r = str_is(outcome, "added") || str_is(outcome, "exists")
                ? take_key(shelf, pg_reply_number(&reply, 0, 1), pg_reply_str(&reply, 0, 2), true)
                : record_outcome_error(shelf, outcome);
    }
    pg_reply_done(&reply);
    return r;
}

result record_key_ask_current(const struct record_shelf *shelf, uint32_t *ret_version)
{
    struct pg_value params[SHELF_PARAMS];
    record_shelf_params(shelf, params);
    struct pg_reply reply = PG_REPLY_INIT;
    *ret_version = 0;
    result r = record_call(shelf, STATEMENT_KEY_CURRENT, (struct str){ 0 }, params, SHELF_PARAMS, &reply);
    if (!failed(r) && pg_reply_rows(&reply) == 1) {
        r = take_key(shelf, pg_reply_number(&reply, 0, 0), pg_reply_str(&reply, 0, 1), true);
        *ret_version = (uint32_t)pg_reply_number(&reply, 0, 0);
    }
    pg_reply_done(&reply);
    return r;
}

result record_key_refresh(const struct record_shelf *shelf)
{
    uint32_t version;
    TRY(record_key_ask_current(shelf, &version));
    return version != 0 ? OK : key_add_first(shelf);
}

static result ring_full(void)
{
    return FAIL(E_KEY_LOCKED, "Raise the gateway's limit on locked memory.", "the key ring is full");
}

result record_key_current(const struct record_shelf *shelf, const struct class_key **ret)
{
    struct keyring *ring = shelf->store->keyring;
    const struct class_key *key = keyring_find_current(ring, shelf->customer, shelf->class);
    if (key == NULL) {
        TRY(record_key_refresh(shelf));
        key = keyring_find_current(ring, shelf->customer, shelf->class);
    }
    if (key == NULL)
        return ring_full();
    *ret = key;
    return OK;
}

static result key_ask_version(const struct record_shelf *shelf, uint32_t version)
{
    struct pg_value params[SHELF_PARAMS + 1];
    record_shelf_params(shelf, params);
    params[SHELF_PARAMS] = pg_int4((int32_t)version);
    struct pg_reply reply = PG_REPLY_INIT;
    result r = record_call(shelf, STATEMENT_KEY_GET, (struct str){ 0 }, params, SHELF_PARAMS + 1, &reply);
    if (!failed(r))
        r = pg_reply_rows(&reply) == 1
                ? take_key(shelf, version, pg_reply_str(&reply, 0, 0), false)
                : FAIL(E_KEY_VERSION_UNKNOWN, "Restore the class key from a backup of the cell.",
                       "there is no version %u of the key of \"%.*s\" for \"%.*s\"", version,
                       STR_ARG(shelf->class), STR_ARG(shelf->customer));
    pg_reply_done(&reply);
    return r;
}

result record_key_version_get(const struct record_shelf *shelf, uint32_t version,
                              const struct class_key **ret)
{
    struct keyring *ring = shelf->store->keyring;
    const struct class_key *key = keyring_find(ring, shelf->customer, shelf->class, version);
    if (key == NULL) {
        TRY(key_ask_version(shelf, version));
        key = keyring_find(ring, shelf->customer, shelf->class, version);
    }
    if (key == NULL)
        return ring_full();
    *ret = key;
    return OK;
}
