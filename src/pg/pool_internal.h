#pragma once
/* What the two files of the pool share: pool.c places calls, pool_connections.c keeps the connections. */
#include "base/arena.h"
#include "pg/session.h"

struct member {
    struct pg_pool *pool;
    size_t number;
    struct session session;
};

struct pg_pool {
    struct pg_pool_options options;
    struct arena strings;
    struct scope scope;
    struct member *members;
    struct up_waiter *up_first;
    struct wait *empty;
    size_t calls_now;
    bool draining;
    struct pg_pool_stats stats;
};

/* A fiber for each connection, in the pool's scope. */
result pool_connect(struct pg_pool *pool) MUST_USE;

/* Waits until a connection comes up, or the waiters are woken. */
result pool_wait_up(struct pg_pool *pool) MUST_USE;
void pool_wake_waiters(struct pg_pool *pool);
