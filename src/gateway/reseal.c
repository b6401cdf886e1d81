/* Re-seals records after the rotations of their keys. */
#include "base/log.h"
#include "gateway/gateway.h"
#include "loop/fiber.h"
#include "policy/policy.h"
#include "records/keys.h"

#include <stdio.h>
#include <unistd.h>

enum { LEASE_MS = 15 * 1000, LOOK_AGAIN_MS = 60 * 1000, RETRY_MS = 2 * 1000 };

void gateway_want_reseal(struct gateway *gateway)
{
    gateway->reseal_wanted = true;
    if (gateway->reseal_sleep != NULL)
        wait_wake(gateway->reseal_sleep);
}

/* Re-sealing is an action of domicile itself, and is checked against the policy like any other. */
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
            log_failure(LOG_WARNING, &r.error, "not all records of class \"%.*s\" were re-sealed",
                        STR_ARG(pending[i].class));
        else
            log_event(LOG_INFO, "all records of class \"%.*s\" were re-sealed", STR_ARG(pending[i].class));
    }
    snapshot_drop(snapshot);
    return OK;
}

struct kept_lease {
    struct directory *directory;
    struct directory_lease lease;
};

/* A lease that is lost is no harm: two gateways that re-seal the same records only do it twice. */
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
            log_failure(LOG_WARNING, &r.error, "re-sealing failed; retrying later");
        if (failed(sleep_until_wanted(gateway, again ? RETRY_MS : LOOK_AGAIN_MS)))
            return;
    }
}
