/* The vendor's services are promised by version: no gateway ever serves a different list under a version that customers
 * may have acknowledged, also not after a restart. The directory keeps all lists. */
#include "gateway/wire.h"

#include "base/log.h"
#include "policy/policy.h"

/* In words that an operator can act on. */
static result refuse(struct gateway *gateway, uint32_t version, struct str document, const result why)
{
    if (why.error.code == E_STALE)
        return FAIL(E_CONFIG, "Set services_version to a greater number than any it has had.",
                    "services_version is %u: %s", version, why.error.what);
    struct arena arena;
    struct directory_services known;
    arena_init(&arena);
    result r = directory_services_get(gateway->directory, &arena, version, &known);
    if (!failed(r)) {
        struct str what = policy_services_difference(known.document, document, &arena);
        r = FAIL(E_CONFIG,
                 "Increase services_version by one: customers acknowledged the services under that number.",
                 "the services changed (%.*s) but services_version is still %u",
                 what.len < 120 ? (int)what.len : 120, what.ptr == NULL ? "" : what.ptr, version);
    }
    arena_done(&arena);
    return r;
}

static bool is_in_use(const struct gateway *gateway, const struct snapshot *snapshot, struct str document,
                      struct arena *arena)
{
    return gateway->snapshot != snapshot &&
           str_eq(policy_services_document(gateway->snapshot->config, arena), document);
}

static result keep(struct gateway *gateway, uint32_t version, struct str document)
{
    struct deadline deadline;
    bool new = false;
    deadline_begin(&deadline, DIRECTORY_ASK_MS);
    result r = directory_services_keep(gateway->directory, version, document, &new);
    deadline_end(&deadline);
    if (r.error.code == E_STALE || r.error.code == E_CONFLICT)
        return refuse(gateway, version, document, r);
    TRY(r);
    if (new)
        log_event(LOG_INFO, "version %u of the services is kept in the directory", version);
    directory_replica_learn_services(gateway->replica, version, document);
    return OK;
}

result services_promise(struct gateway *gateway, const struct snapshot *snapshot)
{
    struct arena arena;
    arena_init(&arena);
    struct str document = policy_services_document(snapshot->config, &arena);
    result r = keep(gateway, snapshot->config->services_version, document);
    bool silent = r.error.code == E_DIRECTORY || r.error.code == E_DEADLINE;
    if (silent && is_in_use(gateway, snapshot, document, &arena)) { /* nothing new is promised */
        log_failure(LOG_WARNING, &r.error,
                    "the services are not compared with the directory: they have not changed, ignoring");
        r = OK;
    }
    arena_done(&arena);
    return r;
}
