/* The life of a request: made by its protocol, run by a fiber, released when both are done with it. */
#include "http/internal.h"

#include "base/clock.h"
#include "http/problem.h"

#include <stdlib.h>

static void write_id(struct http_server *server, char id[HTTP_ID_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    uint32_t number = server->id_next++;
    memcpy(id, server->id_prefix, 16);
    for (int i = 0; i < 8; i++)
        id[16 + i] = digits[(number >> (28 - 4 * i)) & 15];
    id[24] = '\0';
}

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
        .out_due_ms = NEVER,
        .rest_due_ms = NEVER,
        .handled = true,
    };
    write_id(server, exchange->request.id);
    exchange->next = conn->exchanges;
    if (conn->exchanges != NULL)
        conn->exchanges->previous = exchange;
    conn->exchanges = exchange;
    conn->exchange_count++;
    server->stats.requests_in_flight++;
    return exchange;
}

void exchange_release(struct exchange *exchange)
{
    struct conn *conn = exchange->conn;
    struct http_server *server = conn->server;
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
    buf_done(&exchange->out_stream);
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

void exchange_start(struct exchange *exchange)
{
    exchange->handled = false;
    result r = fiber_spawn(&exchange->conn->server->handlers, "http request", run, exchange);
    if (!failed(r))
        return;
    exchange->handled = true;
    exchange_refuse(exchange, &r.error);
}

void exchange_refuse(struct exchange *exchange, const struct error *error)
{
    const struct protocol *protocol = exchange->conn->protocol;
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

result exchange_wait(struct exchange *exchange)
{
    struct wait wait;
    wait_init(&wait);
    exchange->waiter = &wait;
    result r = wait_for(&wait);
    exchange->waiter = NULL;
    return r;
}
