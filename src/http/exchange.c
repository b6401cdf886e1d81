/* The life of a request: made by its protocol, run by a fiber, released when both are done with it. */
#include "http/internal.h"

#include "base/clock.h"
#include "base/secret.h"
#include "http/problem.h"

#include <stdlib.h>

struct exchange *exchange_new(struct conn *conn)
{
    struct http_server *server = conn->server;
    struct exchange *exchange = server->pool;
    struct arena arena;
    if (exchange != NULL) {
        server->pool = exchange->next;
        server->pooled--;
        arena = exchange->request.arena;
    } else {
        exchange = malloc(sizeof *exchange);
        must(exchange != NULL);
        arena_init(&arena);
    }
    *exchange = (struct exchange){
        .request = { .arena = arena,
                     .peer = conn->peer,
                     .method = METHOD_OTHER,
                     .protocol = conn->protocol->id },
        .conn = conn,
        .began_ns = clock_monotonic_ns(),
        .body_max = server->limits.body_bytes,
        .body_within_ms = server->limits.body_within_ms,
        .body_due_ms = NEVER,
        .out_since_ms = NEVER,
        .rest_due_ms = NEVER,
        .handled = true,
    };
    server_make_id(server, exchange->request.id);
    exchange->next = conn->exchanges;
    if (conn->exchanges != NULL)
        conn->exchanges->previous = exchange;
    conn->exchanges = exchange;
    conn->exchange_count++;
    server->stats.requests_in_flight++;
    return exchange;
}

/* What only its handler had use for; the arena as well. The rest of its answer stays. */
void exchange_forget(struct exchange *exchange)
{
    buf_done(&exchange->body_in);
    buf_done(&exchange->body_all);
    exchange->body_in_at = exchange->body_kept = 0;
    exchange->request.header_count = 0;
    arena_done(&exchange->request.arena);
    exchange_account(exchange);
}

/* It may have held a token or a record in clear. */
void exchange_drop_out(struct exchange *exchange)
{
    secret_wipe(exchange->out.ptr, exchange->out.len);
    buf_done(&exchange->out);
    exchange->out_at = 0;
}

void exchange_release(struct exchange *exchange)
{
    struct conn *conn = exchange->conn;
    struct http_server *server = conn->server;
    exchange_leave(exchange);
    must(exchange->handled && exchange->waiter == NULL && !exchange->stream_open);
    if (exchange->next != NULL)
        exchange->next->previous = exchange->previous;
    if (exchange->previous != NULL)
        exchange->previous->next = exchange->next;
    else
        conn->exchanges = exchange->next;
    conn->exchange_count--;
    server->stats.requests_in_flight--;
    buf_done(&exchange->body_in);
    buf_done(&exchange->body_all);
    exchange_drop_out(exchange);
    exchange->body_in_at = exchange->body_kept = 0;
    exchange_account(exchange);
    if (conn->exchange_count == 0 && conn->state != CONN_CLOSED)
        conn_set_quiet(conn, conn->requests > 0 ? QUIET_IDLE : QUIET_HALF);
    if (server->pooled < POOLED_EXCHANGES) {
        arena_reset(&exchange->request.arena);
        exchange->next = server->pool;
        server->pool = exchange;
        server->pooled++;
    } else {
        arena_done(&exchange->request.arena);
        free(exchange);
    }
}

/* The last thing of a handler's fiber: the connection may go with it. */
static void handled(struct exchange *exchange)
{
    struct conn *conn = exchange->conn;
    if (!exchange->answered && !exchange->gone && conn->state == CONN_OPEN) {
#ifndef NDEBUG
        must(fiber_check().error.code == E_CANCELLED);
#endif
        result r = FAIL(E_INTERNAL, NULL, "the handler did not answer the request");
        http_problem(&exchange->request, &r.error, NULL);
    }
    exchange->handled = true;
    conn->running--;
    exchange_leave(exchange);
    conn->protocol->handled(exchange);
    conn_maybe_free(conn);
}

static void run(void *arg)
{
    struct exchange *exchange = arg;
    struct http_server *server = exchange->conn->server;
    server->on_request(&exchange->request, server->context);
    handled(exchange);
}

static void begin(struct exchange *exchange)
{
    struct conn *conn = exchange->conn;
    exchange_waits(exchange, false);
    exchange->pending = false;
    conn->pending--;
    result r = fiber_spawn_for_peer(&conn->server->handlers, "http request", run, exchange);
    if (failed(r)) {
        conn->server->stats.requests_refused++;
        exchange_refuse(exchange, &r.error);
        return;
    }
    exchange->handled = false;
    conn->running++;
}

bool exchange_try(struct exchange *exchange)
{
    struct conn *conn = exchange->conn;
    bool crowded = conn->running >= RUNNING_MAX || (conn->exchange_count > 1 && conn_is_over(conn));
    if (!exchange->pending || exchange->gone || conn->state != CONN_OPEN || crowded ||
        !conn->protocol->may_begin(exchange))
        return false;
    begin(exchange);
    return true;
}

void exchange_try_all(struct conn *conn)
{
    struct exchange *exchange = conn->pending == 0 ? NULL : conn->exchanges, *newer;
    while (exchange != NULL && exchange->next != NULL)
        exchange = exchange->next;
    for (; exchange != NULL; exchange = newer) {
        newer = exchange->previous;   /* it may go */
        (void)exchange_try(exchange); /* then later */
    }
}

void exchange_start(struct exchange *exchange)
{
    struct conn *conn = exchange->conn;
    struct http_server *server = conn->server;
    conn_set_quiet(conn, NOT_QUIET);
    result r = exchange_admit(exchange);
    if (failed(r)) {
        server->stats.requests_refused++;
        exchange_refuse(exchange, &r.error);
        return;
    }
    exchange->body_first =
        server->body_first == NULL ? 0 : server->body_first(&exchange->request, server->context);
    exchange->pending = true;
    conn->pending++;
    exchange->begin_due_ms = conn_now_ms() + server->limits.body_within_ms;
    exchange_waits(exchange, true);
    if (exchange_try(exchange) || exchange->body_first == 0 || !exchange->expects_continue)
        return;
    exchange->expects_continue = false;
    conn->protocol->go_ahead(exchange);
}

void exchange_refuse(struct exchange *exchange, const struct error *error)
{
    const struct protocol *protocol = exchange->conn->protocol;
    exchange_leave(exchange);
    exchange->close_requested = protocol->refusal_closes;
    http_problem(&exchange->request, error, NULL);
    protocol->handled(exchange);
}

void exchange_wake(struct exchange *exchange)
{
    if (exchange->waiter != NULL)
        wait_wake(exchange->waiter);
}

void exchange_lost(struct exchange *exchange)
{
    if (!exchange->gone)
        exchange->conn->server->stats.answers_broken_off++;
    exchange->gone = true;
    exchange_wake(exchange);
}

/* Meanwhile it is not one of those that the connection's others wait for. */
result exchange_wait_for_peer(struct exchange *exchange)
{
    struct conn *conn = exchange->conn;
    if (exchange->evicted)
        return exchange_evicted();
    exchange_waits(exchange, true);
    conn->running--;
    if (conn->pending > 0)
        conn_touch(conn);
    result r = exchange_wait(exchange);
    conn->running++;
    exchange_waits(exchange, false);
    return !failed(r) && exchange->evicted ? exchange_evicted() : r;
}

result exchange_wait(struct exchange *exchange)
{
    struct wait wait;
    wait_init(&wait);
    exchange->waiter = &wait;
    result r = wait_for(&wait);
    exchange->waiter = NULL;
    return r;
}
