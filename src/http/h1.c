/* HTTP/1.1 on a connection (RFC 9112): one request at a time. While its handler runs nothing is parsed: what comes in
 * waits, within limits, until the handler asks for its body or has answered. */
#include "http/internal.h"

#include "http/problem.h"

#include <stdio.h>

/* ---- requests in ---- */

static bool wants_input(const struct conn *conn)
{
    return conn->state == CONN_OPEN && conn->exchanges == NULL && conn_has_room(conn);
}

static void refuse_head(struct conn *conn, result why)
{
    struct exchange *exchange = exchange_new(conn);
    conn->server->stats.heads_refused++;
    conn->h1_body = (struct h1_body){ .state = BODY_ENDED };
    exchange_refuse(exchange, &why.error);
}

static void start_request(struct conn *conn, struct str head)
{
    struct exchange *exchange = exchange_new(conn);
    struct h1_framing framing;
    char *copy = arena_cstr(&exchange->request.arena, head);
    conn->h1_body = (struct h1_body){ .state = BODY_ENDED };
    conn->in_due_ms = NEVER;
    conn->requests++;
    result r = h1_parse_head(&exchange->request, copy, head.len, conn->server->limits.headers, &framing);
    if (failed(r)) {
        conn->server->stats.heads_refused++;
        exchange_refuse(exchange, &r.error);
        return;
    }
    h1_body_begin(&conn->h1_body, &framing);
    exchange->expects_continue = framing.expects_continue;
    exchange->close_requested = framing.close;
    exchange_start(exchange);
}

static result too_large(const struct conn *conn)
{
    return FAIL(E_HEAD_SIZE, "Send fewer or shorter headers.", "the request head is larger than %u bytes",
                conn->server->limits.head_bytes);
}

/* Returns how much of `in` is used up. */
static size_t read_head(struct conn *conn, struct str in)
{
    bool begun = conn->h1_scan.seen > 0;
    size_t length = in.len;
    switch (h1_find_head(&conn->h1_scan, in, &length)) {
    case H1_INCOMPLETE:
        if (in.len > conn->server->limits.head_bytes)
            break;
        if (!begun) {
            conn->in_due_ms = conn_now_ms() + conn->server->limits.head_within_ms;
            conn_head_begun(conn);
        }
        return 0;
    case H1_COMPLETE:
        conn->h1_scan = (struct h1_scan){ 0 };
        if (length > conn->server->limits.head_bytes)
            break;
        start_request(conn, (struct str){ in.ptr, length });
        return length;
    case H1_MALFORMED:
        refuse_head(conn, FAIL(E_HEAD,
                               "End each line with CR LF, and use no folded lines and no control characters.",
                               "the request head has a malformed line"));
        return in.len;
    }
    refuse_head(conn, too_large(conn));
    return in.len;
}

static size_t discard_body(struct conn *conn, struct str in)
{
    size_t used = 0, dropped = 0;
    if (!h1_body_decode(&conn->h1_body, in, NULL, SIZE_MAX, &used, &dropped)) {
        conn_finish(conn);
        return in.len;
    }
    conn->h1_discarded_bytes += used;
    if (conn->h1_body.state == BODY_ENDED) {
        conn->h1_discarding = false;
        conn->in_due_ms = conn_now_ms() + conn->server->limits.idle_ms;
    } else if (conn->h1_discarded_bytes > DISCARD_BYTES) {
        conn_finish(conn);
    }
    return used;
}

static struct str plain_left(const struct conn *conn)
{
    return (struct str){ conn->plain.ptr + conn->plain_at, conn->plain.len - conn->plain_at };
}

static void plain_use(struct conn *conn, size_t used)
{
    conn->plain_at += used;
    if (conn->plain_at == conn->plain.len) {
        buf_done(&conn->plain);
        conn->plain_at = 0;
    }
}

static void plain_add(struct conn *conn, struct str bytes)
{
    if (conn->plain_at > 0) {
        buf_consume(&conn->plain, conn->plain_at);
        conn->plain_at = 0;
    }
    if (!buf_append(&conn->plain, bytes))
        conn_abort(conn); /* no memory; the limits are kept elsewhere */
}

static void receive(struct conn *conn, struct str plain)
{
    bool kept = conn->plain.len > 0;
    if (kept && plain.len > 0)
        plain_add(conn, plain);
    struct str in = kept ? plain_left(conn) : plain;
    size_t used = 0;
    while (used < in.len && wants_input(conn)) {
        struct str rest = { in.ptr + used, in.len - used };
        size_t step = conn->h1_discarding ? discard_body(conn, rest) : read_head(conn, rest);
        used += step;
        if (step == 0)
            break;
    }
    if (conn->state != CONN_OPEN)
        return;
    if (kept)
        plain_use(conn, used);
    else if (used < in.len)
        plain_add(conn, (struct str){ in.ptr + used, in.len - used });
}

static void advance(struct conn *conn)
{
    struct http_server *server = conn->server;
    if (conn->plain.len > conn->plain_at && wants_input(conn))
        receive(conn, (struct str){ 0 });
    while (wants_input(conn)) {
        size_t length = conn_read_plain(conn, server->plain, sizeof server->plain);
        if (length == 0)
            return;
        receive(conn, (struct str){ server->plain, length });
    }
}

/* Its body may be there. */
static void wake(struct conn *conn)
{
    for (struct exchange *exchange = conn->exchanges; exchange != NULL; exchange = exchange->next)
        exchange_wake(exchange);
}

/* The peer gets what it asked for, if it asked for something. */
static void ended(struct conn *conn)
{
    wake(conn);
    if (conn->exchange_count == 0)
        conn_finish(conn);
}

static void drain(struct conn *conn)
{
    if (conn->exchange_count == 0 && !conn->h1_discarding && conn->plain.len == 0)
        conn_finish(conn);
}

static void check_due(struct conn *conn, uint64_t now_ms)
{
    if (now_ms < conn->in_due_ms)
        return;
    if (conn->h1_discarding || conn->exchanges != NULL || conn->plain.len == 0)
        conn_finish(conn);
    else
        refuse_head(conn, FAIL(E_SLOW, "Send the whole head at once.",
                               "the request head did not arrive within %u ms",
                               conn->server->limits.head_within_ms));
}

/* ---- the body ---- */

static enum taken take_from(struct conn *conn, struct str in, char *buf, size_t size, size_t *ret_used,
                            size_t *ret_len)
{
    if (!h1_body_decode(&conn->h1_body, in, buf, size, ret_used, ret_len))
        return TAKEN_BROKEN;
    if (*ret_len > 0)
        return TAKEN_BYTES;
    return conn->h1_body.state == BODY_ENDED ? TAKEN_END : TAKEN_NOTHING;
}

/* A declared body is decrypted straight into the handler's memory. */
static enum taken take_declared(struct conn *conn, char *buf, size_t size, size_t *ret_len)
{
    uint64_t left = conn->h1_body.left;
    *ret_len = conn_read_plain(conn, buf, size < left ? size : (size_t)left);
    conn->h1_body.left -= *ret_len;
    if (conn->h1_body.left == 0)
        conn->h1_body.state = BODY_ENDED;
    return *ret_len > 0 ? TAKEN_BYTES : TAKEN_NOTHING;
}

static enum taken body_take(struct exchange *exchange, char *buf, size_t size, size_t *ret_len)
{
    struct conn *conn = exchange->conn;
    struct http_server *server = conn->server;
    enum taken taken = conn->h1_body.state == BODY_ENDED ? TAKEN_END : TAKEN_NOTHING;
    while (taken == TAKEN_NOTHING && conn->state == CONN_OPEN) {
        size_t used;
        if (conn->plain.len > 0) {
            taken = take_from(conn, plain_left(conn), buf, size, &used, ret_len);
            if (taken != TAKEN_BROKEN)
                plain_use(conn, used);
        } else if (conn->h1_body.state == BODY_LENGTH) {
            taken = take_declared(conn, buf, size, ret_len);
            break;
        } else {
            struct str in = { server->plain, conn_read_plain(conn, server->plain, sizeof server->plain) };
            if (in.len == 0)
                break;
            taken = take_from(conn, in, buf, size, &used, ret_len);
            if (taken != TAKEN_BROKEN && used < in.len)
                plain_add(conn, (struct str){ in.ptr + used, in.len - used });
        }
    }
    if (taken == TAKEN_BROKEN)
        exchange->close_requested = true;
    conn_touch(conn); /* there may be room for more */
    return taken;
}

static void go_ahead(struct exchange *exchange)
{
    conn_send(exchange->conn, STR("HTTP/1.1 100 Continue\r\n\r\n"));
    conn_touch(exchange->conn);
}

/* ---- the answer ---- */

static bool has_body(int status)
{
    return status != 204 && status != 304;
}

static bool rest_is_small(const struct exchange *exchange)
{
    const struct h1_body *body = &exchange->conn->h1_body;
    if (body->state == BODY_ENDED)
        return true;
    return !exchange->expects_continue && body->state == BODY_LENGTH && body->left <= DISCARD_BYTES;
}

static void add(struct buf *buf, struct str s)
{
    must(buf_append(buf, s));
}

static void add_number(struct buf *buf, uint64_t number)
{
    char text[HEAD_NUMBER_SIZE];
    add(buf, head_number(text, number));
}

static struct buf *compose_head(struct exchange *exchange, int status, const struct http_header *headers,
                                size_t count)
{
    struct http_server *server = exchange->conn->server;
    struct buf *buf = &server->compose;
    buf_clear(buf);
    add(buf, STR("HTTP/1.1 "));
    add_number(buf, (uint64_t)status);
    add(buf, STR(" "));
    add(buf, str_from(head_reason(status)));
    add(buf, STR("\r\nDate: "));
    add(buf, server_date(server));
    add(buf, STR("\r\nX-Request-Id: "));
    add(buf, str_from(exchange->request.id));
    for (size_t i = 0; i < count; i++) {
        add(buf, STR("\r\n"));
        add(buf, headers[i].name);
        add(buf, STR(": "));
        add(buf, headers[i].value);
    }
    if (exchange->close_after)
        add(buf, STR("\r\nConnection: close"));
    return buf;
}

static bool must_close(const struct exchange *exchange)
{
    const struct http_server *server = exchange->conn->server;
    return exchange->close_requested || server->draining ||
           exchange->conn->requests >= server->limits.requests_per_connection;
}

static void answer(struct exchange *exchange, int status, const struct http_header *headers, size_t count,
                   struct str body)
{
    struct conn *conn = exchange->conn;
    exchange->close_after = must_close(exchange) || !rest_is_small(exchange);
    struct buf *buf = compose_head(exchange, status, headers, count);
    if (has_body(status)) {
        add(buf, STR("\r\nContent-Length: "));
        add_number(buf, body.len);
    }
    add(buf, STR("\r\n\r\n"));
    if (!has_body(status) || exchange->request.method == METHOD_HEAD)
        body.len = 0;
    size_t room = buf->len < PLAIN_BYTES ? PLAIN_BYTES - buf->len : 0; /* the first record takes what fits */
    struct str first = { body.ptr, body.len < room ? body.len : room };
    add(buf, first);
    conn_send_composed(conn);
    if (first.len < body.len)
        conn_send(conn, (struct str){ body.ptr + first.len, body.len - first.len });
}

static void stream_begin(struct exchange *exchange, int status, const struct http_header *headers,
                         size_t count)
{
    exchange->close_after = must_close(exchange);
    exchange->chunked = has_body(status);
    struct buf *buf = compose_head(exchange, status, headers, count);
    add(buf, exchange->chunked ? STR("\r\nTransfer-Encoding: chunked\r\n\r\n") : STR("\r\n\r\n"));
    conn_send_composed(exchange->conn);
}

static void stream_write(struct exchange *exchange, struct str bytes)
{
    must(exchange->chunked);
    struct buf *buf = &exchange->conn->server->compose;
    while (bytes.len > 0) {
        struct str part = { bytes.ptr, bytes.len < PLAIN_BYTES - 16 ? bytes.len : PLAIN_BYTES - 16 };
        buf_clear(buf);
        must(buf_printf(buf, "%zx\r\n", part.len));
        add(buf, part);
        add(buf, STR("\r\n"));
        conn_send_composed(exchange->conn);
        bytes.ptr += part.len;
        bytes.len -= part.len;
    }
}

static void stream_end(struct exchange *exchange)
{
    if (exchange->chunked && exchange->request.method != METHOD_HEAD)
        conn_send(exchange->conn, STR("0\r\n\r\n"));
}

static size_t stream_queued(const struct exchange *exchange)
{
    return conn_queued(exchange->conn);
}

/* ---- afterwards ---- */

static bool ends_here(const struct exchange *exchange)
{
    const struct conn *conn = exchange->conn;
    return exchange->close_after || exchange->close_requested || conn->server->draining ||
           !rest_is_small(exchange);
}

static void handled(struct exchange *exchange)
{
    struct conn *conn = exchange->conn;
    bool broken = exchange->streaming && !exchange->stream_ended;
    bool end = ends_here(exchange);
    exchange_release(exchange);
    if (conn->state != CONN_OPEN)
        return;
    conn_touch(conn);
    if (broken) {
        conn->server->stats.answers_broken_off++;
        conn_abort(conn);
    } else if (end) {
        conn_finish(conn);
    } else {
        const struct http_limits *limits = &conn->server->limits;
        conn->h1_discarding = conn->h1_body.state != BODY_ENDED;
        conn->h1_discarded_bytes = 0;
        conn->in_due_ms = conn_now_ms() + (conn->h1_discarding ? limits->body_within_ms : limits->idle_ms);
    }
}

static result open_nothing(struct conn *conn)
{
    return OK;
}

static void nothing(struct conn *conn) {}

static bool may_begin(const struct exchange *exchange)
{
    /* a connection has one request: its body may come behind */
    return true;
}

const struct protocol h1_protocol = {
    .id = HTTP_PROTOCOL_1_1,
    .refusal_closes = true,
    .open = open_nothing,
    .advance = advance,
    .received = wake,
    .ended = ended,
    .flush = nothing, /* what is sent is in conn->out at once */
    .drain = drain,
    .check_due = check_due,
    .drop = nothing,
    .close = nothing,
    .may_begin = may_begin,
    .handled = handled,
    .body_take = body_take,
    .go_ahead = go_ahead,
    .answer = answer,
    .stream_begin = stream_begin,
    .stream_write = stream_write,
    .stream_end = stream_end,
    .stream_queued = stream_queued,
};
