/* Rotation of class keys: writes switch at once, and records are sealed anew behind. */
#include "records/keys.h"

#include "api/call.h"
#include "base/clock.h"
#include "base/log.h"
#include "loop/fiber.h"

#include <stdio.h>

enum { LEASE_MS = 15 * 1000, LOOK_AGAIN_MS = 60 * 1000, RETRY_MS = 2 * 1000 };

static json_t *rotation_json(const struct record_shelf *shelf, const struct record_rotation *rotation)
{
    json_t *json = json_object();
    json_object_set_new(json, "class", json_stringn(shelf->class.ptr, shelf->class.len));
    json_object_set_new(json, "key_version", json_integer(rotation->key_version));
    json_object_set_new(json, "state", json_string(rotation->done ? "done" : "running"));
    json_object_set_new(json, "remaining", json_integer((json_int_t)rotation->remaining));
    json_object_set_new(json, "remaining_is", json_string(rotation->counted_all ? "exact" : "at-least"));
    return json;
}

static result admit_sealed(struct api_call *call, struct record_shelf *ret)
{
    TRY(api_admit_shelf(call, ACTION_ROTATE_KEY, ret));
    if (!ret->sealed)
        return FAIL(E_CONFLICT, NULL, "the class \"%.*s\" is not sealed, so it has no key",
                    STR_ARG(ret->class));
    return OK;
}

result key_rotate(struct api_call *call)
{
    struct record_shelf shelf;
    TRY(admit_sealed(call, &shelf));
    uint32_t version;
    TRY(record_key_rotate(&shelf, &version));
    log_event(LOG_INFO, "class key of \"%.*s\" rotated to version %u", STR_ARG(shelf.class), version);
    call->gateway->reseal_wanted = true;
    if (call->gateway->reseal_sleep != NULL)
        wait_wake(call->gateway->reseal_sleep);
    struct record_rotation rotation = { .key_version = version };
    result counted = record_key_rotation(&shelf, &rotation);
    if (failed(counted)) /* it has happened all the same */
        log_failure(LOG_WARNING, &counted.error, "how far the rotation is cannot be said, ignoring");
    api_answer_json(call, 202, rotation_json(&shelf, &rotation));
    return OK;
}

result key_rotation_show(struct api_call *call)
{
    struct record_shelf shelf;
    TRY(admit_sealed(call, &shelf));
    struct record_rotation rotation;
    TRY(record_key_rotation(&shelf, &rotation));
    api_answer_json(call, 200, rotation_json(&shelf, &rotation));
    return OK;
}

/* ---- behind ---- */

/* Sealing anew is domicile's own act, and asks the policy like anybody else's. */
static result reseal_shelf(struct gateway *gateway, const struct snapshot *snapshot, struct record_cell *cell,
                           const struct record_pending *pending, struct record_shelf *ret)
{
    const struct policy_question question = { .role = ROLE_SYSTEM,
                                              .action = ACTION_ROTATE_KEY,
                                              .home = snapshot->region,
                                              .class = config_find_class(snapshot->config, pending->class),
                                              .place = { .region = snapshot->region } };
    struct policy_decision decision;
    TRY(policy_require(snapshot->config, &question, &decision));
    *ret = (struct record_shelf){ .store = &gateway->store,
                                  .cell = cell,
                                  .epoch = cell->epoch,
                                  .customer = pending->customer,
                                  .class = pending->class,
                                  .sealed = true,
                                  .actor = { .client = STR("domicile"),
                                             .role = str_from(role_word(ROLE_SYSTEM)),
                                             .rule = decision.rule,
                                             .request = STR("reseal") } };
    return OK;
}

static result reseal_pending(struct gateway *gateway, const struct snapshot *snapshot,
                             struct record_cell *cell, const struct record_pending *pending)
{
    struct record_shelf shelf;
    TRY(reseal_shelf(gateway, snapshot, cell, pending, &shelf));
    return record_key_reseal(&shelf);
}

/* One class that fails does not hold up the others; what is left is tried again later. */
static result reseal_cell(struct gateway *gateway, struct record_cell *cell, struct arena *arena)
{
    struct record_pending *pending;
    size_t count;
    TRY(record_key_pending(cell, arena, &pending, &count));
    struct snapshot *snapshot = snapshot_hold(gateway->snapshot);
    for (size_t i = 0; i < count && !failed(fiber_check()); i++) {
        result r = reseal_pending(gateway, snapshot, cell, &pending[i]);
        if (failed(r))
            log_failure(LOG_WARNING, &r.error, "records of class \"%.*s\" are not all sealed anew",
                        STR_ARG(pending[i].class));
        else
            log_event(LOG_INFO, "records of class \"%.*s\" are sealed anew", STR_ARG(pending[i].class));
    }
    snapshot_drop(snapshot);
    return OK;
}

struct kept_lease {
    struct directory *directory;
    struct directory_lease lease;
};

/* A lease that is lost is no harm: two gateways that seal the same records anew only do it twice. */
static void lease_keep(void *arg)
{
    struct kept_lease *kept = arg;
    result r = OK;
    while (!failed(r)) {
        r = fiber_sleep(LEASE_MS / 3);
        if (!failed(r))
            r = directory_lease_renew(kept->directory, &kept->lease, LEASE_MS);
    }
}

static result reseal_all(struct gateway *gateway)
{
    struct kept_lease kept = { .directory = gateway->directory };
    char name[DIRECTORY_NAME_MAX + 1], holder[DIRECTORY_NAME_MAX + 1];
    snprintf(name, sizeof name, "reseal-%.50s", gateway->region);
    snprintf(holder, sizeof holder, "gateway-%.40s-%d", gateway->region, (int)getpid());
    TRY(directory_lease_acquire(gateway->directory, str_from(name), str_from(holder), LEASE_MS, &kept.lease));
    struct scope scope = SCOPE_INIT;
    struct arena arena;
    arena_init(&arena);
    result r = fiber_spawn(&scope, "lease", lease_keep, &kept);
    for (size_t i = 0; i < gateway->store.cell_count && !failed(r); i++)
        r = reseal_cell(gateway, &gateway->store.cells[i], &arena);
    scope_end(&scope);
    arena_done(&arena);
    struct shield shield;
    struct deadline deadline;
    fiber_shield(&shield);
    deadline_begin(&deadline, RETRY_MS);
    result released = directory_lease_release(gateway->directory, &kept.lease);
    deadline_end(&deadline);
    fiber_unshield(&shield);
    return failed(r) ? r : released.error.code == E_STALE ? OK : released;
}

/* OK also when the time has passed. */
static result sleep_until_wanted(struct gateway *gateway, uint64_t ms)
{
    struct wait wait;
    struct deadline deadline;
    wait_init(&wait);
    deadline_begin(&deadline, ms);
    gateway->reseal_sleep = &wait;
    result r = gateway->reseal_wanted ? OK : wait_for(&wait);
    gateway->reseal_sleep = NULL;
    deadline_end(&deadline);
    return r.error.code == E_DEADLINE ? OK : r;
}

void gateway_reseal(void *arg)
{
    struct gateway *gateway = arg;
    gateway->reseal_wanted = true; /* an earlier process may have left something */
    for (;;) {
        gateway->reseal_wanted = false;
        result r = reseal_all(gateway);
        bool again = failed(r);
        if (again && r.error.code != E_BUSY && r.error.code != E_CANCELLED)
            log_failure(LOG_WARNING, &r.error, "nothing is sealed anew for now");
        if (failed(sleep_until_wanted(gateway, again ? RETRY_MS : LOOK_AGAIN_MS)))
            return;
    }
}

/* ---- sweeping ---- */

enum { SWEEP_MS = 5 * 1000, PURGE_EVERY = 120, PURGE_HOURS = 24, PURGE_ROWS = 1000 };

static void purge(struct gateway *gateway)
{
    for (size_t i = 0; i < gateway->store.cell_count; i++) {
        const struct pg_value params[] = { pg_int4(PURGE_HOURS), pg_int4(PURGE_ROWS) };
        struct pg_reply reply = PG_REPLY_INIT;
        int64_t rows = PURGE_ROWS;
        result r = OK;
        while (!failed(r) && rows == PURGE_ROWS) {
            r = pg_pool_call(gateway->store.cells[i].pool, STATEMENT_IDEMPOTENCY_PURGE, 0, params, 2, &reply);
            rows = failed(r) ? 0 : pg_reply_number(&reply, 0, 0);
            pg_reply_done(&reply);
        }
        if (failed(r) && r.error.code != E_CANCELLED)
            log_failure(LOG_WARNING, &r.error, "old idempotency keys of the cell \"%s\" stay for now",
                        gateway->store.cells[i].name);
    }
}

void gateway_sweep(void *arg)
{
    struct gateway *gateway = arg;
    for (uint64_t round = 1; !failed(fiber_sleep(SWEEP_MS)); round++) {
        keyring_expire(gateway->store.keyring);
        if (round % PURGE_EVERY == 0)
            purge(gateway);
    }
}
