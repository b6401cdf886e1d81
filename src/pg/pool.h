#pragma once
/* The pool of connections to one cell's primary: prepared statements, pipelined.
 *
 * All calls of one turn of the loop are sent at its end as one batch with one Sync: one transaction, so that concurrent
 * writes share one commit. No call is answered before the Sync is answered. When one statement of a batch fails, the
 * server undoes the whole batch: the failed call gets its error and the others are run again, each in a transaction of
 * its own; their callers see nothing of it. Two batches may be in flight on a connection; while one is, the next leaves
 * when it is as large.
 *
 * Promises: a call ends within its deadline or statement_within_ms, whichever is nearer, whatever the server
 * does. A write whose connection is lost before the Sync is answered fails with E_UNAVAILABLE and is never
 * sent twice: its outcome is not known. A full pool refuses at once. */
#include "pg/connect.h"
#include "pg/shape.h"

struct pg_pool;

struct pg_statement {
    const char *name; /* for the server and for errors */
    const char *sql;  /* $1... ; each is prepared on each connection */
    /* A read: goes to the least loaded connection, and once more to another if that one is lost. */
    bool idempotent;
    /* Shares its transaction with no other call: for what takes strong locks. */
    bool alone;
    /* What the answer must be: checked before the caller reads it, and its size while it arrives. Not declared: not
     * checked. */
    struct pg_shape shape;
};

struct pg_pool_options {
    struct pg_connect_options connect;
    const char *name;                      /* in errors: the cell's; NULL: the host's */
    const struct pg_statement *statements; /* kept: static */
    size_t statement_count;
    size_t connections; /* 0: 4; at most 64 */
    size_t queue_max;   /* calls waiting or in flight, all connections together; 0: 4,096 */
    /* A call, waiting included. The server ends a statement after half of it. 0: 5,000. */
    uint64_t statement_within_ms;
    uint64_t down_within_ms; /* how long a call waits for a connection while all are down; 0: 250 */

    /* Optional. checks a new connection before it serves (the cell's stamp and schema); on a fiber, may wait. */
    result (*check)(struct pg_conn *conn, void *context);
    /* Optional. why is NULL when the connection came up; called when a connection comes up, is lost, or could
     * not be made. For the log: the pool itself never logs. */
    void (*changed)(void *context, size_t connection, const struct error *why);
    void *context;
};

/* Does not wait: connections come up behind. The options' strings are copied, the statements are not. */
result pg_pool_new(const struct pg_pool_options *options, struct pg_pool **ret) MUST_USE;
/* Waits (at most statement_within_ms) until calls in flight are answered, then closes. New calls fail with
 * E_DRAINING. Nobody may be inside pg_pool_call when it returns but those it made fail. Takes NULL. */
void pg_pool_free(struct pg_pool *pool);

/* Runs statement number `statement`. Waits. `shard`: a hash of what is written; calls with the same shard go
 * to the same connection, in the order of the calls, so that batches never wait for each other's rows.
 *   E_SQL          refused by the server, reply->sqlstate says why; nothing was done
 *   E_BUSY         queue_max calls are waiting; or it waited too long for a lock, or gave way to others, and
 *                  reply->sqlstate says how; nothing was done
 *   E_UNAVAILABLE  no connection, nothing was done; or, for a write, the connection was lost and the outcome is
 *                  unknown: reply->sqlstate is "08007" then
 *   E_DEADLINE, E_CANCELLED   the outcome is unknown
 *   E_SCHEMA       the answer does not fit the statement's shape; a write may have been done. Where it was too large, the
 *                  connection was ended before all of it had arrived
 *   E_DRAINING     the pool is being freed; nothing was done */
result pg_pool_call(struct pg_pool *pool, size_t statement, uint64_t shard, const struct pg_value *params,
                    size_t count, struct pg_reply *reply) MUST_USE;

struct pg_pool_stats {
    size_t connections, connections_up;
    size_t queued, in_flight;                  /* calls, now */
    uint64_t calls, statements, batches;       /* since start; statements include those run again */
    uint64_t batches_undone, statements_again; /* a statement failed; how many others were run again for it */
    uint64_t connects, connects_failed, losses;  /* connections made, not made, lost */
    uint64_t busy, unavailable, late, cancelled; /* calls that ended so */
    uint64_t unfit;                              /* answers that did not fit */
    struct error last_error;                     /* why a connection was lost or not made; E_OK if never */
};
struct pg_pool_stats pg_pool_stats(const struct pg_pool *pool);
bool pg_pool_healthy(const struct pg_pool *pool); /* at least one connection is up */
