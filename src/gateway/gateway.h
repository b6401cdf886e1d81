#pragma once
/* A gateway of one region: its configuration in use, its keys, its connections to the cells, its copy of the directory.
 * wire.h makes it; the API (api/) is what it serves. Everything runs on the loop's one thread. */
#include "auth/client_proof.h"
#include "auth/client_watch.h"
#include "auth/token_cache.h"
#include "directory/replica.h"
#include "gateway/snapshot.h"
#include "gateway/trace.h"
#include "http/server.h"
#include "records/store.h"

struct gateway {
    const char *region; /* its name */
    struct snapshot *snapshot;
    struct http_server *server;
    struct http_server *status; /* for operators: /readyz, /metrics; NULL: not asked for */
    struct directory *directory;
    struct directory_replica *replica;
    struct record_store store;
    struct client_keys client_keys; /* what binds clients to the root key */
    struct client_gate gate;
    struct trace *trace;
    struct token_cache *token_cache;
    struct client_watch *client_watch;
    struct wait *reseal_sleep; /* of the fiber that re-seals records; NULL while it works */
    bool reseal_wanted;
    int64_t started_ms;
    bool draining;
    struct gateway_counters {
        uint64_t tokens_issued, clients_refused, tokens_refused, streams_broken_off;
        uint64_t policy_denials, wrong_region, customers_unknown, alarms;
    } counters;
};

/* Re-seals records after key rotations, also after those that an earlier process did not finish; one gateway of the
 * region at a time, by a lease in the directory. A fiber's body; ends when it is cancelled. */
void gateway_reseal(void *gateway);
void gateway_want_reseal(struct gateway *gateway); /* a key was rotated */

/* Forgets expired keys and old Idempotency-Keys. A fiber's body; ends when it is cancelled. */
void gateway_sweep(void *gateway);

struct buf;
void gateway_metrics(struct buf *out, const struct gateway *gateway); /* Prometheus text format 0.0.4 */
