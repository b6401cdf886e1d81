/* Calls: each is placed on a connection. The connections are kept in pool_connections.c. */
#include "pg/pool_internal.h"

#include <stdlib.h>

enum {
    CONNECTIONS = 4,
    CONNECTIONS_MAX = 64,
    QUEUE_MAX = 4096,
    STATEMENT_WITHIN_MS = 5000,
    DOWN_WITHIN_MS = 250,
};

/* ---- birth and death ---- */

static const char *keep_string(struct pg_pool *pool, const char *string)
{
    return string == NULL ? NULL : arena_cstr(&pool->strings, str_from(string));
}

static void keep_options(struct pg_pool *pool, const struct pg_pool_options *options)
{
    pool->options = *options;
    struct pg_pool_options *own = &pool->options;
    if (own->connections == 0)
        own->connections = CONNECTIONS;
    if (own->queue_max == 0)
        own->queue_max = QUEUE_MAX;
    if (own->statement_within_ms == 0)
        own->statement_within_ms = STATEMENT_WITHIN_MS;
    if (own->down_within_ms == 0)
        own->down_within_ms = DOWN_WITHIN_MS;
    own->connect.statement_within_ms =
        own->statement_within_ms / 2; /* the others of its batch want the rest */
    own->name = keep_string(pool, options->name != NULL ? options->name : options->connect.host);
    own->connect.host = keep_string(pool, options->connect.host);
    own->connect.address = keep_string(pool, options->connect.address);
    own->connect.database = keep_string(pool, options->connect.database);
    own->connect.user = keep_string(pool, options->connect.user);
    own->connect.certificate = keep_string(pool, options->connect.certificate);
    own->connect.private_key = keep_string(pool, options->connect.private_key);
    own->connect.ca = keep_string(pool, options->connect.ca);
    own->connect.application_name = keep_string(pool, options->connect.application_name);
}

result pg_pool_new(const struct pg_pool_options *options, struct pg_pool **ret)
{
    if (options->connections > CONNECTIONS_MAX)
        return FAIL(E_CONFIG,
                    "Use fewer connections: four with large batches are faster than many with small ones.",
                    "a pool of %zu connections is more than %d", options->connections, CONNECTIONS_MAX);
    struct pg_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL)
        return FAIL(E_MEMORY, NULL, "not enough memory for a pool");
    arena_init(&pool->strings);
    keep_options(pool, options);
    pool->scope = SCOPE_INIT;
    pool->members = calloc(pool->options.connections, sizeof *pool->members);
    result r =
        pool->members != NULL ? pool_connect(pool) : FAIL(E_MEMORY, NULL, "not enough memory for a pool");
    if (failed(r)) {
        pg_pool_free(pool);
        return r;
    }
    *ret = pool;
    return OK;
}

/* Waits for the last call to leave. */
static result wait_empty(struct pg_pool *pool)
{
    struct wait empty;
    wait_init(&empty);
    pool->empty = &empty;
    result r = pool->calls_now > 0 ? wait_for(&empty) : OK;
    pool->empty = NULL;
    return r;
}

void pg_pool_free(struct pg_pool *pool)
{
    if (pool == NULL)
        return;
    pool->draining = true;
    pool_wake_waiters(pool);
    struct deadline deadline;
    deadline_begin(&deadline, pool->options.statement_within_ms);
    result drained = wait_empty(pool);
    deadline_end(&deadline);
    scope_end(&pool->scope);
    if (failed(drained)) {
        struct shield shield;
        fiber_shield(&shield);
        drained = wait_empty(pool);
        fiber_unshield(&shield);
        must(!failed(drained));
    }
    arena_done(&pool->strings);
    free(pool->members);
    free(pool);
}

/* ---- calls ---- */

static result refuse_draining(void)
{
    return FAIL(E_DRAINING, "Try again at another gateway.", "the database connections are being closed");
}

static result wait_up_for_call(struct pg_pool *pool)
{
    if (pool->draining)
        return refuse_draining();
    struct deadline down;
    deadline_begin(&down, pool->options.down_within_ms);
    result r = pool_wait_up(pool);
    deadline_end(&down);
    if (failed(r) && r.error.code == E_DEADLINE && !failed(fiber_check()))
        return FAIL(E_UNAVAILABLE, "Try again in a moment.", "no connection to the database: %s",
                    pool->stats.last_error.what);
    return r;
}

/* Writes share half of the connections: their batches grow, which saves commits, and reads seldom wait for a commit. A
 * write goes to its shard's connection, or while that one is down to the next that is up; a read to the least loaded. */
static struct session *choose(struct pg_pool *pool, const struct pg_statement *statement, uint64_t shard)
{
    size_t count = pool->options.connections, home = shard % ((count + 1) / 2);
    struct session *best = NULL;
    size_t best_load = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        struct session *session = &pool->members[(home + i) % count].session;
        if (!session_serves(session))
            continue;
        if (!statement->idempotent)
            return session;
        size_t load = session_load(session);
        if (load < best_load) {
            best = session;
            best_load = load;
        }
    }
    return best;
}

static result call_run(struct pg_pool *pool, struct call *call, uint64_t shard)
{
    for (;;) {
        struct session *session = choose(pool, call->statement, shard);
        if (session == NULL) {
            TRY(wait_up_for_call(pool));
            continue;
        }
        wait_init(&call->wait);
        session_queue(session, call);
        result r = wait_for(&call->wait);
        if (failed(r)) {
            call_forget(call);
            return r;
        }
        if (call->state == CALL_ANSWERED)
            return OK;
        if (call->state == CALL_REFUSED)
            return (result){ .error = call->error };
    }
}

static void count_failure(struct pg_pool_stats *stats, enum error_code code)
{
    stats->unavailable += code == E_UNAVAILABLE;
    stats->late += code == E_DEADLINE;
    stats->cancelled += code == E_CANCELLED;
    stats->unfit += code == E_SCHEMA;
}

static result check_answer(const struct pg_pool *pool, const struct call *call)
{
    const struct pg_statement *statement = call->statement;
    if (!pg_shape_is_declared(&statement->shape))
        return OK;
    result r = pg_shape_check(&statement->shape, pool->options.name, statement->name, call->reply);
    if (failed(r))
        pg_reply_done(call->reply);
    return r;
}

result pg_pool_call(struct pg_pool *pool, size_t statement, uint64_t shard, const struct pg_value *params,
                    size_t count, struct pg_reply *reply)
{
    must(statement < pool->options.statement_count);
    TRY(fiber_check());
    if (pool->draining)
        return refuse_draining();
    pool->stats.calls++;
    if (pool->calls_now >= pool->options.queue_max) {
        pool->stats.busy++;
        return FAIL(E_BUSY, "Try again in a moment.", "%zu calls to the database are already waiting",
                    pool->calls_now);
    }
    struct call call;
    call.statement = &pool->options.statements[statement];
    call.params = params;
    call.count = count;
    call.reply = reply;
    call.sent_twice = false;
    call.list = NULL;
    call.batch = NULL;
    *reply = PG_REPLY_INIT;

    pool->calls_now++;
    struct deadline deadline;
    deadline_begin(&deadline, pool->options.statement_within_ms);
    result r = call_run(pool, &call, shard);
    deadline_end(&deadline);
    if (!failed(r))
        r = check_answer(pool, &call);
    if (failed(r))
        count_failure(&pool->stats, r.error.code);
    if (--pool->calls_now == 0 && pool->empty != NULL)
        wait_wake(pool->empty);
    return r;
}

/* ---- figures ---- */

struct pg_pool_stats pg_pool_stats(const struct pg_pool *pool)
{
    struct pg_pool_stats stats = pool->stats;
    stats.connections = pool->options.connections;
    for (size_t i = 0; i < pool->options.connections; i++) {
        const struct session *session = &pool->members[i].session;
        stats.connections_up += session_serves(session);
        stats.queued += session->queue.count + session->again.count;
        stats.statements += session->counters.statements;
        stats.batches += session->counters.batches;
        stats.batches_undone += session->counters.undone;
        stats.statements_again += session->counters.again;
    }
    stats.in_flight = pool->calls_now > stats.queued ? pool->calls_now - stats.queued : 0;
    return stats;
}

bool pg_pool_healthy(const struct pg_pool *pool)
{
    for (size_t i = 0; i < pool->options.connections; i++)
        if (session_serves(&pool->members[i].session))
            return true;
    return false;
}
