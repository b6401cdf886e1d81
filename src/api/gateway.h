#pragma once
/* A gateway: the API of one region. domiciled.c wires it; each resource is a file of this folder; routes.def is the
 * table. Everything runs on the loop's one thread. */
#include "api/snapshot.h"
#include "auth/client.h"
#include "auth/token_cache.h"
#include "directory/replica.h"
#include "health/monitor.h"
#include "http/route.h"
#include "http/server.h"
#include "records/store.h"

struct gateway {
    const char *region; /* its name */
    struct snapshot *snapshot;
    struct http_server *server;
    struct http_router *router;
    struct directory *directory;
    struct directory_replica *replica;
    struct record_store store;
    struct client_gate gate;
    struct token_cache *token_cache;
    struct cell_monitor **monitors; /* of the cells that have one */
    struct gateway_watch **watches; /* one beside each */
    size_t monitor_count;
    struct wait *reseal_sleep; /* of the fiber that seals records anew; NULL while it works */
    bool reseal_wanted;
    int64_t started_ms;
    bool draining;
    struct gateway_counters {
        uint64_t tokens_issued, clients_refused, tokens_refused;
        uint64_t policy_denials, wrong_region, customers_unknown, alarms;
    } counters;
};

struct http_router *gateway_router_new(void);

/* Serves one request: http_server_options.on_request, with the gateway as context. */
void gateway_serve(struct http_request *request, void *gateway);

/* Seals records anew after key rotations, also those that an earlier process left unfinished; one gateway of the region at
 * a time, by a lease in the directory. A fiber's body; ends when it is cancelled. */
void gateway_reseal(void *gateway);
/* Watches over the region's cells that have a monitor's certificate: a fiber each, in `scope`. Monitors_free: when the
 * scope has ended. */
result gateway_monitors_start(struct gateway *gateway, const struct config *config, struct scope *scope)
    MUST_USE;
void gateway_monitors_free(struct gateway *gateway);
struct buf;
void gateway_monitor_metrics(struct buf *out, const struct gateway *gateway);
/* Forgets expired keys and old Idempotency-Keys. A fiber's body; ends when it is cancelled. */
void gateway_sweep(void *gateway);
