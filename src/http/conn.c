/* A connection: bytes between the wire, TLS and the protocol; its states and time limits. */
#include "http/internal.h"

#include "base/secret.h"

#include <stdlib.h>

uint64_t conn_now_ms(void)
{
    return uv_now(loop_uv());
}

struct conn *conn_new(struct http_server *server, SSL *ssl)
{
    struct conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL) {
        SSL_free(ssl);
        return NULL;
    }
    conn->server = server;
    conn->ssl = ssl;
    conn->protocol = &h1_protocol;
    conn->state = CONN_HANDSHAKE;
    conn->in_due_ms = conn_now_ms() + server->limits.handshake_within_ms;
    conn->out_since_ms = conn->h2_head_due_ms = NEVER;
    buf_init(&conn->stash, STASH_BYTES + READ_BYTES);
    buf_init(&conn->plain, server->limits.head_bytes + 2 * PLAIN_BYTES);
    buf_init(&conn->out, SIZE_MAX / 4);
    if (ssl != NULL)
        tls_attach(ssl, conn);
    address_set(conn, NULL);
    conn_set_quiet(conn, QUIET_HALF);
    conn->next = server->conns;
    if (server->conns != NULL)
        server->conns->previous = conn;
    server->conns = conn;
    server->stats.connections++;
    server_tick_needed(server);
    return conn;
}

static void untouch(struct conn *conn)
{
    if (conn->dirty_at == NULL)
        return;
    *conn->dirty_at = conn->dirty_next;
    if (conn->dirty_next != NULL)
        conn->dirty_next->dirty_at = conn->dirty_at;
    conn->dirty_at = NULL;
}

void conn_maybe_free(struct conn *conn)
{
    struct http_server *server = conn->server;
    if (conn->state != CONN_CLOSED || conn->handle_open || conn->exchange_count > 0)
        return;
    untouch(conn);
    if (conn->next != NULL)
        conn->next->previous = conn->previous;
    if (conn->previous != NULL)
        conn->previous->next = conn->next;
    else
        server->conns = conn->next;
    server->stats.connections--;
    conn->protocol->close(conn);
    conn_set_quiet(conn, NOT_QUIET);
    conn_hold(conn, conn->held_queue, 0);
    address_leave(conn);
    SSL_free(conn->ssl);
    buf_done(&conn->stash);
    buf_done(&conn->plain);
    buf_done(&conn->out);
    free(conn);
    if (server->conns == NULL && server->waiter != NULL)
        wait_wake(server->waiter);
}

void conn_touch(struct conn *conn)
{
    struct http_server *server = conn->server;
    if (conn->dirty_at != NULL || conn->state == CONN_CLOSED)
        return;
    conn->dirty_next = server->dirty;
    conn->dirty_at = &server->dirty;
    if (server->dirty != NULL)
        server->dirty->dirty_at = &conn->dirty_next;
    server->dirty = conn;
    turn_hook_ask(&server->turn_end);
}

/* ---- in ---- */

size_t conn_take_input(struct conn *conn, char *buf, size_t size)
{
    size_t stashed = conn->stash.len - conn->stash_at;
    if (stashed > 0) {
        size_t length = stashed < size ? stashed : size;
        memcpy(buf, conn->stash.ptr + conn->stash_at, length);
        conn->stash_at += length;
        if (conn->stash_at == conn->stash.len) {
            buf_done(&conn->stash);
            conn->stash_at = 0;
        }
        return length;
    }
    size_t length = conn->input.len < size ? conn->input.len : size;
    if (length == 0)
        return 0;
    memcpy(buf, conn->input.ptr, length);
    conn->input.ptr += length;
    conn->input.len -= length;
    return length;
}

size_t conn_read_plain(struct conn *conn, char *buf, size_t size)
{
    if (conn->state != CONN_OPEN)
        return 0;
    return conn->ssl == NULL ? conn_take_input(conn, buf, size) : tls_read(conn, buf, size);
}

bool conn_has_room(const struct conn *conn)
{
    return conn_queued(conn) <= OUT_HIGH_BYTES;
}

void conn_open(struct conn *conn, const struct protocol *protocol)
{
    conn->state = CONN_OPEN;
    conn->protocol = protocol;
    conn->in_due_ms = conn_now_ms() + conn->server->limits.idle_ms;
    result r = protocol->open(conn);
    if (failed(r))
        conn_abort(conn);
    if (conn->server->draining)
        conn_drain(conn);
}

static void handshake(struct conn *conn)
{
    bool done = conn->ssl == NULL;
    if (!done && !tls_handshake(conn, &done)) {
        conn->server->stats.handshakes_failed++;
        conn_finish(conn);
    } else if (done) {
        conn_open(conn, conn->ssl != NULL && tls_is_h2(conn->ssl) ? &h2_protocol : &h1_protocol);
    }
}

static void advance(struct conn *conn)
{
    if (conn->state == CONN_HANDSHAKE)
        handshake(conn);
    if (conn->state == CONN_OPEN)
        conn->protocol->advance(conn);
    if (conn->state == CONN_OPEN && conn->peer_ended)
        conn->protocol->ended(conn);
    if (conn->state == CONN_FINISHING || conn->state == CONN_LINGERING) {
        conn->input = (struct str){ 0 };
        buf_done(&conn->stash);
        conn->stash_at = 0;
    }
}

static void keep_input(struct conn *conn)
{
    if (conn->stash_at > 0) {
        buf_consume(&conn->stash, conn->stash_at);
        conn->stash_at = 0;
    }
    if (!buf_append(&conn->stash, conn->input))
        conn_abort(conn); /* reading pauses long before: no memory */
    conn->input = (struct str){ 0 };
}

void conn_receive(struct conn *conn, struct str bytes)
{
    conn->server->stats.bytes_received += bytes.len;
    conn->received += bytes.len;
    if (conn->state == CONN_FINISHING || conn->state == CONN_LINGERING) {
        conn->lingered_bytes += bytes.len;
        if (conn->lingered_bytes > LINGER_BYTES)
            conn_abort(conn);
        conn_touch(conn);
        return;
    }
    conn->input = bytes;
    if (conn->stash.len > 0)
        keep_input(conn);
    advance(conn);
    if (conn->input.len > 0 && conn->state != CONN_CLOSED)
        keep_input(conn);
    if (conn->state == CONN_OPEN)
        conn->protocol->received(conn);
    conn_touch(conn);
}

void conn_ended(struct conn *conn)
{
    bool owes = conn->state == CONN_FINISHING && conn_queued(conn) > 0;
    conn->peer_ended = true;
    if (conn->state == CONN_OPEN || owes) /* one that ends may still want its answer */
        conn_touch(conn);
    else
        conn_abort(conn);
}

/* ---- out ---- */

size_t conn_queued(const struct conn *conn)
{
    return conn->out.len + sock_queued(conn);
}

void conn_add_output(struct conn *conn, struct str wire)
{
    enum { AT_LEAST = 4096 };
    if (conn->out.capacity == 0 && !buf_reserve(&conn->out, wire.len > AT_LEAST ? wire.len : AT_LEAST))
        must(!"memory for output");
    must(buf_append(&conn->out, wire));
}

void conn_send(struct conn *conn, struct str plain)
{
    if (conn->state != CONN_OPEN || plain.len == 0)
        return;
    if (conn->ssl != NULL)
        tls_write(conn, plain);
    else
        conn_add_output(conn, plain);
}

/* What was composed may be a token or a client's secret: it does not stay until something longer is composed. */
void conn_send_composed(struct conn *conn)
{
    struct buf *composed = &conn->server->compose;
    if (composed->len == 0)
        return;
    conn_send(conn, buf_str(composed));
    secret_wipe(composed->ptr, composed->len);
    buf_clear(composed);
}

/* Room again: who waits for it goes on. */
void conn_wake_all(struct conn *conn)
{
    for (struct exchange *exchange = conn->exchanges; exchange != NULL; exchange = exchange->next)
        if (exchange->streaming)
            exchange_wake(exchange);
}

static void note_progress(struct conn *conn)
{
    if (conn_queued(conn) == 0) {
        conn->out_since_ms = NEVER;
    } else if (conn->out_since_ms == NEVER) {
        conn->out_since_ms = conn_now_ms();
        conn->sent_mark = conn->sent - sock_queued(conn);
    }
}

static bool wants_reading(const struct conn *conn)
{
    if (conn->peer_ended || conn->resting || conn->state == CONN_CLOSED)
        return false;
    if (conn->state == CONN_FINISHING || conn->state == CONN_LINGERING)
        return true;
    return conn->stash.len - conn->stash_at < STASH_BYTES;
}

void conn_step(struct conn *conn)
{
    if (conn->state == CONN_CLOSED)
        return;
    conn->resting = false;
    advance(conn);
    if (conn->state == CONN_OPEN)
        conn->protocol->flush(conn);
    if (conn->has_socket && conn->state != CONN_CLOSED) {
        bool was_full = !conn_has_room(conn);
        sock_flush(conn);
        note_progress(conn);
        if (was_full && conn_has_room(conn))
            conn_touch(conn); /* what stopped for want of room goes on */
    }
    size_t queued = conn_queued(conn);
    conn_hold(conn, conn->held_queue, queued);
    conn->held_queue = queued;
    if (conn->state == CONN_OPEN)
        exchange_try_all(conn);
    if (conn->state == CONN_FINISHING && queued == 0 && conn->has_socket) {
        if (conn->peer_ended) {
            conn_abort(conn);
        } else {
            conn->state = CONN_LINGERING;
            conn->in_due_ms = conn_now_ms() + conn->server->limits.linger_ms;
            sock_shutdown(conn);
        }
    }
    if (conn->has_socket && conn->state != CONN_CLOSED)
        sock_read(conn, wants_reading(conn));
}

/* ---- the end ---- */

void conn_finish(struct conn *conn)
{
    if (conn->state != CONN_OPEN && conn->state != CONN_HANDSHAKE)
        return;
    if (conn->ssl != NULL)
        tls_end(conn);
    conn->state = CONN_FINISHING;
    conn->in_due_ms = NEVER;
    for (struct exchange *exchange = conn->exchanges; exchange != NULL; exchange = exchange->next)
        exchange_lost(exchange);
    conn_touch(conn);
}

void conn_abort(struct conn *conn)
{
    if (conn->state == CONN_CLOSED)
        return;
    conn->state = CONN_CLOSED;
    conn_set_quiet(conn, NOT_QUIET);
    untouch(conn);
    for (struct exchange *exchange = conn->exchanges; exchange != NULL; exchange = exchange->next)
        exchange_lost(exchange);
    conn->protocol->drop(conn);
    if (conn->has_socket)
        sock_close(conn);
}

void conn_drain(struct conn *conn)
{
    if (conn->state == CONN_OPEN) /* a handshake sees it when it is done */
        conn->protocol->drain(conn);
}

/* ---- time ---- */

static void check_output(struct conn *conn, uint64_t now_ms)
{
    uint64_t taken = conn->sent - sock_queued(conn);
    if (conn->out_since_ms == NEVER || now_ms < conn->out_since_ms + server_stall_ms(conn->server))
        return;
    if (taken - conn->sent_mark < STALL_BYTES) {
        conn_abort(conn);
        return;
    }
    conn->sent_mark = taken;
    conn->out_since_ms = now_ms;
}

void conn_check_due(struct conn *conn, uint64_t now_ms)
{
    check_output(conn, now_ms);
    if (conn->state == CONN_OPEN) {
        conn->protocol->check_due(conn, now_ms);
    } else if (now_ms >= conn->in_due_ms && conn->state != CONN_CLOSED) {
        conn->server->stats.handshakes_failed += conn->state == CONN_HANDSHAKE;
        conn_abort(conn);
    }
}
