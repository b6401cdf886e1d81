/* Connections: each is made, serves until it is lost, and is made again; and whoever waits for one. */
#include "pg/pool_internal.h"

#include "base/clock.h"
#include "base/secret.h"

enum {
    BACKOFF_FIRST_MS = 50,
    BACKOFF_MAX_MS = 2000,
    SETTLED_MS = 10000, /* a connection that lived this long resets the backoff */
};

/* ---- waiting for one to come up ---- */

struct up_waiter {
    struct wait wait;
    struct up_waiter *next, *prev;
};

void pool_wake_waiters(struct pg_pool *pool)
{
    for (struct up_waiter *waiter = pool->up_first; waiter != NULL; waiter = waiter->next)
        wait_wake(&waiter->wait);
}

result pool_wait_up(struct pg_pool *pool)
{
    struct up_waiter waiter = { .next = pool->up_first };
    wait_init(&waiter.wait);
    if (pool->up_first != NULL)
        pool->up_first->prev = &waiter;
    pool->up_first = &waiter;
    result r = wait_for(&waiter.wait);
    *(waiter.prev != NULL ? &waiter.prev->next : &pool->up_first) = waiter.next;
    if (waiter.next != NULL)
        waiter.next->prev = waiter.prev;
    return r;
}

/* ---- keeping one ---- */

static void report(struct member *member, const struct error *why)
{
    struct pg_pool *pool = member->pool;
    if (why != NULL)
        pool->stats.last_error = *why;
    if (pool->options.changed != NULL)
        pool->options.changed(pool->options.context, member->number, why);
}

/* Every statement here goes by index; a plan made while a table was still empty must not become a full scan. And
 * every one is short, but the planner, who does not know a LIMIT that is a parameter, takes a page of a large class for
 * long: compiling it costs some 40 ms, a hundred times what running it does. */
static const char settings[] =
    "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET jit = off";

static result prepare_all(struct pg_pool *pool, struct pg_conn *conn)
{
    TRY(pg_run_script(conn, settings));
    if (pool->options.check != NULL)
        TRY(pool->options.check(conn, pool->options.context));
    for (size_t i = 0; i < pool->options.statement_count; i++)
        TRY(pg_prepare(conn, pool->options.statements[i].name, pool->options.statements[i].sql));
    return OK;
}

static result make_connection(struct pg_pool *pool, struct pg_conn **ret)
{
    struct pg_conn *conn;
    TRY(pg_connect(&pool->options.connect, &conn));
    struct deadline deadline;
    deadline_begin(&deadline, pool->options.statement_within_ms);
    result r = prepare_all(pool, conn);
    deadline_end(&deadline);
    if (failed(r)) {
        pg_close(conn);
        return r;
    }
    *ret = conn;
    return OK;
}

/* Serves with one connection until it is lost or the pool goes. */
static result serve(struct member *member, struct pg_conn *conn)
{
    struct wait ended;
    wait_init(&ended);
    result r = session_open(&member->session, conn, &ended);
    if (failed(r)) {
        pg_close(conn);
        return r;
    }
    member->pool->stats.connects++;
    report(member, NULL);
    pool_wake_waiters(member->pool);
    r = wait_for(&ended);
    if (!failed(r)) {
        r.error = member->session.why;
        member->pool->stats.losses++;
    }
    session_close(&member->session, &r.error);
    return r;
}

/* Half of the wait is by chance, so that the connections of many gateways do not come back in step. */
static uint64_t with_jitter(uint64_t ms)
{
    uint32_t chance;
    random_bytes(&chance, sizeof chance);
    return ms / 2 + chance % (ms / 2 + 1);
}

static void keep(void *arg)
{
    struct member *member = arg;
    uint64_t backoff_ms = BACKOFF_FIRST_MS;
    for (;;) {
        struct pg_conn *conn = NULL;
        result r = make_connection(member->pool, &conn);
        if (failed(r)) {
            member->pool->stats.connects_failed++;
        } else {
            uint64_t since_ns = clock_monotonic_ns();
            r = serve(member, conn);
            if (clock_monotonic_ns() - since_ns > (uint64_t)SETTLED_MS * 1000000)
                backoff_ms = BACKOFF_FIRST_MS;
        }
        if (failed(fiber_check()))
            return;
        report(member, &r.error);
        if (failed(fiber_sleep(with_jitter(backoff_ms))))
            return;
        backoff_ms = backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : backoff_ms * 2;
    }
}

/* Long after the server's own limit, which ends one statement and not the connection. */
static uint64_t overdue_ms(uint64_t statement_within_ms)
{
    return statement_within_ms + statement_within_ms / 4 + 100;
}

result pool_connect(struct pg_pool *pool)
{
    for (size_t i = 0; i < pool->options.connections; i++) {
        pool->members[i].pool = pool;
        pool->members[i].number = i;
        session_init(&pool->members[i].session, pool->options.name,
                     overdue_ms(pool->options.statement_within_ms));
    }
    for (size_t i = 0; i < pool->options.connections; i++)
        TRY(fiber_spawn(&pool->scope, "database connection", keep, &pool->members[i]));
    return OK;
}
