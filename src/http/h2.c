/* HTTP/2 on a connection (RFC 9113), by nghttp2: a stream is an exchange. nghttp2 keeps the protocol's own rules; here
 * are the limits on what a peer may make us do, and the flow between streams and handlers. */
#include "http/internal.h"

#include "http/problem.h"

enum {
    STREAM_WINDOW_BYTES = 64 * 1024 - 1,
    CONNECTION_WINDOW_BYTES = 1024 * 1024, /* the most of bodies that waits for a connection's handlers */
    ACKS_MAX = 100,
    RESETS_BURST = 200,
    RESETS_PER_S = 33,
    BUDGET_FRAMES = 1000, /* frames that are neither request nor body: so many at once, */
    BUDGET_FRAMES_PER_S = 100,
    BUDGET_FOR_SENT = 2, /* and so many for each frame that we send of an answer, */
    BYTES_FOR_A_FRAME =
        256, /* or one for so many bytes of bodies, either way: a peer may give room in small steps, */
    EARNED_BYTES = 64 << 20, /* also long after it got what it pays with */
    REST_MS = 1000           /* for a peer to end a request that is answered */
};

static struct exchange *exchange_at(nghttp2_session *session, int32_t stream_id)
{
    return nghttp2_session_get_stream_user_data(session, stream_id);
}

/* GOAWAY; closes when its streams are served. */
static void leave(struct conn *conn)
{
    if (conn->h2_leaving || conn->state != CONN_OPEN)
        return;
    conn->h2_leaving = true;
    (void)nghttp2_submit_goaway(conn->h2, NGHTTP2_FLAG_NONE,
                                nghttp2_session_get_last_proc_stream_id(conn->h2), NGHTTP2_NO_ERROR, NULL,
                                0); /* without memory the close says it */
    conn_touch(conn);
}

/* ---- requests in ---- */

/* Frames against bytes: what a transfer costs in frames is paid by what it moves. */
static void earn(struct conn *conn, size_t bytes)
{
    conn->h2_earned_bytes += bytes;
    if (conn->h2_earned_bytes > EARNED_BYTES)
        conn->h2_earned_bytes = EARNED_BYTES;
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *header, void *user)
{
    struct conn *conn = user;
    if (header->type == NGHTTP2_HEADERS || (header->type == NGHTTP2_DATA && header->length > 0))
        return 0;
    if (conn->h2_earned_bytes >= BYTES_FOR_A_FRAME) {
        conn->h2_earned_bytes -= BYTES_FOR_A_FRAME;
        return 0;
    }
    uint64_t now = conn_now_ms(), refill = (now - conn->h2_budget_at_ms) * BUDGET_FRAMES_PER_S / 1000;
    if (refill > 0) {
        conn->h2_budget_at_ms = now;
        conn->h2_budget = refill > BUDGET_FRAMES ? BUDGET_FRAMES : conn->h2_budget + (int32_t)refill;
    }
    if (conn->h2_budget > BUDGET_FRAMES)
        conn->h2_budget = BUDGET_FRAMES;
    return --conn->h2_budget < 0 ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct conn *conn = user;
    conn->h2_head_stream = frame->hd.stream_id;
    conn_head_begun(conn);
    conn->h2_head_due_ms = conn_now_ms() + conn->server->limits.head_within_ms;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    /* A reset stream's handler still runs: the streams that nghttp2 counts are not all that cost. */
    if (conn->exchange_count >= 2 * conn->server->limits.streams_per_connection)
        return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                         NGHTTP2_REFUSED_STREAM);
    struct exchange *exchange = exchange_new(conn);
    h2_head_begin(exchange);
    exchange->stream_id = frame->hd.stream_id;
    exchange->stream_open = true;
    buf_init(&exchange->body_in, STREAM_WINDOW_BYTES);
    return nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, exchange);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags, void *user)
{
    struct exchange *exchange = exchange_at(session, frame->hd.stream_id);
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST && exchange != NULL) /* trailers are dropped */
        h2_head_add(exchange, (struct str){ (const char *)name, name_length },
                    (struct str){ (const char *)value, value_length });
    return 0;
}

/* nghttp2 would leave such a header out and go on. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                             size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
                             void *user)
{
    struct exchange *exchange = exchange_at(session, frame->hd.stream_id);
    if (exchange != NULL)
        h2_head_malformed(exchange);
    return 0;
}

static void head_ended(struct conn *conn)
{
    conn->h2_head_stream = 0;
    conn->h2_head_due_ms = NEVER;
}

static void start_request(struct conn *conn, struct exchange *exchange, bool whole)
{
    exchange->body_whole = whole;
    conn->in_due_ms = NEVER;
    if (++conn->requests >= conn->server->limits.requests_per_connection)
        leave(conn);
    result r = h2_head_check(exchange, whole);
    if (failed(r)) {
        conn->server->stats.heads_refused++;
        exchange_refuse(exchange, &r.error);
        return;
    }
    exchange_start(exchange);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct conn *conn = user;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    struct exchange *exchange = exchange_at(session, frame->hd.stream_id);
    bool whole = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_HEADERS)
        head_ended(conn);
    if (exchange == NULL)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        start_request(conn, exchange, whole);
    } else if (whole) {
        conn->in_due_ms = NEVER;
        exchange->body_whole = true;
        exchange_wake(exchange);
        (void)exchange_try(exchange); /* later, then */
    }
    return 0;
}

/* ---- the body ---- */

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *bytes,
                   size_t length, void *user)
{
    struct exchange *exchange = exchange_at(session, stream_id);
    earn(user, length);
    if (exchange == NULL)
        return nghttp2_session_consume(session, stream_id, length);
    if (exchange->handled &&
        !exchange->pending) /* nobody reads it: the stream gets no more room, the others keep theirs */
        return nghttp2_session_consume_connection(session, length);
    if (exchange->body_in_at > 0) {
        buf_consume(&exchange->body_in, exchange->body_in_at);
        exchange->body_in_at = 0;
    }
    if (!buf_append(&exchange->body_in, (struct str){ (const char *)bytes, length }))
        return NGHTTP2_ERR_CALLBACK_FAILURE; /* no memory: the window is as large as the buffer */
    exchange_account(exchange);
    exchange_wake(exchange);
    (void)exchange_try(exchange); /* later, then */
    return 0;
}

/* It takes no fiber to wait for a body that is wanted in any case. */
static bool may_begin(const struct exchange *exchange)
{
    return exchange->body_whole || exchange->body_in.len - exchange->body_in_at >= exchange->body_first;
}

static void consume(struct exchange *exchange, size_t length)
{
    nghttp2_session *session = exchange->conn->h2;
    if (exchange->conn->state != CONN_OPEN || length == 0)
        return;
    int status = exchange->stream_open ? nghttp2_session_consume(session, exchange->stream_id, length)
                                       : nghttp2_session_consume_connection(session, length);
    must(status == 0 || status == NGHTTP2_ERR_NOMEM);
    conn_touch(exchange->conn);
}

static enum taken body_take(struct exchange *exchange, char *buf, size_t size, size_t *ret_len)
{
    size_t left = exchange->body_in.len - exchange->body_in_at, length = left < size ? left : size;
    if (length == 0)
        return exchange->body_whole && !exchange->gone ? TAKEN_END : TAKEN_NOTHING;
    memcpy(buf, exchange->body_in.ptr + exchange->body_in_at, length);
    exchange->body_in_at += length;
    if (exchange->body_in_at == exchange->body_in.len) {
        buf_done(&exchange->body_in);
        exchange->body_in_at = 0;
    }
    exchange_account(exchange);
    consume(exchange, length);
    *ret_len = length;
    return TAKEN_BYTES;
}

/* ---- the end of a handler ---- */

static void rest_if_empty(struct conn *conn)
{
    if (conn->exchange_count == 0)
        conn->in_due_ms = conn_now_ms() + conn->server->limits.idle_ms;
}

static void handled(struct exchange *exchange)
{
    struct conn *conn = exchange->conn;
    bool open = conn->state == CONN_OPEN;
    if (open && exchange->stream_open && exchange->streaming && !exchange->stream_ended)
        h2_reset(exchange, NGHTTP2_INTERNAL_ERROR);
    consume(exchange, exchange->body_in.len - exchange->body_in_at);
    if (open && exchange->stream_open) {
        exchange_forget(exchange);
        conn_touch(conn);
        return; /* until the stream is closed */
    }
    exchange->stream_open = false;
    exchange_release(exchange);
    rest_if_empty(conn);
    conn_touch(conn);
}

/* ---- the end of a stream, and of the session ---- */

/* A peer may reset a stream with NO_ERROR as well. */
static bool is_complete(const struct exchange *exchange)
{
    bool answered = exchange->answered && (!exchange->streaming || exchange->stream_ended);
    return answered && h2_out_left(exchange) == 0 && (exchange->handled || exchange->body_whole);
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error, void *user)
{
    struct conn *conn = user;
    struct exchange *exchange = exchange_at(session, stream_id);
    if (conn->h2_head_stream == stream_id)
        head_ended(
            conn); /* what else there is of it belongs to no stream, and the idle limit to the connection */
    if (exchange == NULL)
        return 0;
    exchange->stream_open = false;
    if (error != NGHTTP2_NO_ERROR || !is_complete(exchange))
        exchange_lost(exchange);
    if (exchange->close_requested)
        leave(conn);
    if (exchange->handled)
        exchange_release(exchange);
    rest_if_empty(conn);
    return 0;
}

/* The answer is out. If it was the last of the connection, GOAWAY comes only now: some clients (python's h2 and what is
 * built on it) take nothing that comes behind it, not even the answer. If the request is not all in, the rest is not
 * wanted (RFC 9113 8.1); but a reset that comes together with the answer makes curl 7.88 and others forget the answer,
 * so the peer has a moment to stop by itself. */
static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct conn *conn = user;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    conn->h2_budget += BUDGET_FOR_SENT;
    if (frame->hd.type == NGHTTP2_DATA)
        earn(conn, frame->hd.length);
    struct exchange *exchange = exchange_at(session, frame->hd.stream_id);
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0 || exchange == NULL)
        return 0;
    if (exchange->close_requested)
        leave(conn);
    if (exchange->body_whole)
        return 0;
    exchange->rest_due_ms = conn_now_ms() + REST_MS;
    return 0;
}

static void set_up(struct http_server *server)
{
    must(nghttp2_session_callbacks_new(&server->h2_callbacks) == 0 &&
         nghttp2_option_new(&server->h2_option) == 0);
    nghttp2_session_callbacks *callbacks = server->h2_callbacks;
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_sent);
    nghttp2_option_set_no_auto_window_update(server->h2_option, 1);
    nghttp2_option_set_no_closed_streams(server->h2_option, 1);
    nghttp2_option_set_max_outbound_ack(server->h2_option, ACKS_MAX);
    nghttp2_option_set_stream_reset_rate_limit(server->h2_option, RESETS_BURST, RESETS_PER_S);
}

static result open_session(struct conn *conn)
{
    struct http_server *server = conn->server;
    if (server->h2_callbacks == NULL)
        set_up(server);
    if (nghttp2_session_server_new2(&conn->h2, server->h2_callbacks, conn, server->h2_option) != 0)
        return FAIL(E_MEMORY, NULL, "not enough memory for an HTTP/2 session");
    conn->h2_budget = BUDGET_FRAMES;
    conn->h2_budget_at_ms = conn_now_ms();
    const nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, server->limits.streams_per_connection },
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, server->limits.head_bytes },
    };
    if (nghttp2_submit_settings(conn->h2, NGHTTP2_FLAG_NONE, settings, COUNT(settings)) != 0 ||
        nghttp2_session_set_local_window_size(conn->h2, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW_BYTES) != 0)
        return FAIL(E_MEMORY, NULL, "not enough memory for an HTTP/2 session");
    return OK;
}

static void drop(struct conn *conn)
{
    for (struct exchange *exchange = conn->exchanges, *next; exchange != NULL; exchange = next) {
        next = exchange->next;
        exchange->stream_open = false;
        if (exchange->handled)
            exchange_release(exchange);
    }
}

static void close_session(struct conn *conn)
{
    nghttp2_session_del(conn->h2);
    conn->h2 = NULL;
}

/* ---- bytes ---- */

static void pump(struct conn *conn)
{
    struct buf *record = &conn->server->compose;
    ssize_t length = 0;
    if (conn->state != CONN_OPEN)
        return;
    buf_clear(record);
    while (conn_has_room(conn)) {
        const uint8_t *frames;
        length = nghttp2_session_mem_send(conn->h2, &frames);
        if (length <= 0)
            break;
        if (record->len + (size_t)length > PLAIN_BYTES) {
            conn_send_composed(conn);
            if (conn->state != CONN_OPEN)
                return;
        }
        must(buf_append(record, (struct str){ (const char *)frames, (size_t)length }));
    }
    conn_send_composed(conn);
    if (length < 0) {
        conn_abort(conn);
        return;
    }
    bool idle = nghttp2_session_want_write(conn->h2) == 0;
    if (idle && (nghttp2_session_want_read(conn->h2) == 0 || (conn->h2_leaving && conn->exchange_count == 0)))
        conn_finish(conn);
}

/* The streams go too. */
static void cut(struct conn *conn, uint32_t why)
{
    (void)nghttp2_session_terminate_session(conn->h2, why); /* without memory the close says it */
    pump(conn);
    conn_finish(conn);
}

static void receive(struct conn *conn, struct str plain)
{
    ssize_t used = nghttp2_session_mem_recv(conn->h2, (const uint8_t *)plain.ptr, plain.len);
    if (used == (ssize_t)plain.len)
        return;
    /* A flood, or no HTTP/2 at all. */
    uint32_t why = used == NGHTTP2_ERR_BAD_CLIENT_MAGIC ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_ENHANCE_YOUR_CALM;
    conn->server->stats.heads_refused += used == NGHTTP2_ERR_BAD_CLIENT_MAGIC;
    conn->server->stats.floods_cut += used != NGHTTP2_ERR_BAD_CLIENT_MAGIC;
    cut(conn, why);
}

static void advance(struct conn *conn)
{
    struct http_server *server = conn->server;
    while (conn->state == CONN_OPEN && conn_has_room(conn)) {
        size_t length = conn_read_plain(conn, server->plain, sizeof server->plain);
        if (length == 0)
            return;
        receive(conn, (struct str){ server->plain, length });
        pump(conn);
    }
}

/* ---- time ---- */

/* A stream whose reader takes nothing, by TCP or by its window, is reset. */
static void check_stall(struct exchange *exchange, uint64_t now_ms)
{
    struct conn *conn = exchange->conn;
    if (!exchange->stream_open || h2_out_left(exchange) == 0) {
        exchange->out_since_ms = NEVER;
    } else if (exchange->out_since_ms == NEVER || exchange->out_moved >= STALL_BYTES) {
        exchange->out_since_ms = now_ms;
        exchange->out_moved = 0;
    } else if (now_ms >= exchange->out_since_ms + server_stall_ms(conn->server)) {
        exchange->out_since_ms = NEVER;
        h2_reset(exchange, NGHTTP2_CANCEL);
        exchange_lost(exchange);
        conn_touch(conn);
    }
}

static void check_rest(struct exchange *exchange, uint64_t now_ms)
{
    if (now_ms < exchange->rest_due_ms)
        return;
    exchange->rest_due_ms = NEVER;
    if (!exchange->stream_open)
        return;
    h2_reset(exchange, NGHTTP2_NO_ERROR);
    conn_touch(exchange->conn);
}

static void check_begin(struct exchange *exchange, uint64_t now_ms)
{
    if (!exchange->pending || now_ms < exchange->begin_due_ms)
        return;
    uint32_t within_ms = exchange->conn->server->limits.body_within_ms;
    result r = may_begin(exchange)
                   ? FAIL(E_BUSY, "Read the answers sooner, or send fewer requests at once.",
                          "the connection's other answers were not read within %u ms", within_ms)
                   : FAIL(E_SLOW, "Send the body faster.", "the request body did not arrive within %u ms",
                          within_ms);
    exchange_refuse(exchange, &r.error);
}

static void check_due(struct conn *conn, uint64_t now_ms)
{
    for (struct exchange *exchange = conn->exchanges, *next; exchange != NULL; exchange = next) {
        next = exchange->next;
        check_begin(exchange, now_ms);
        check_stall(exchange, now_ms);
        check_rest(exchange, now_ms);
    }
    if (now_ms >= conn->h2_head_due_ms) {
        conn->server->stats.heads_refused++;
        cut(conn, NGHTTP2_ENHANCE_YOUR_CALM);
    } else if (now_ms >= conn->in_due_ms) {
        conn->in_due_ms = NEVER;
        leave(conn);
    }
}

static void nothing(struct conn *conn) {}

const struct protocol h2_protocol = {
    .id = HTTP_PROTOCOL_2,
    .refusal_closes = false,
    .open = open_session,
    .advance = advance,
    .received = nothing, /* on_data has woken who waits for it */
    .ended = conn_abort, /* the peer could no more say that it has room for an answer */
    .flush = pump,
    .drain = leave,
    .check_due = check_due,
    .drop = drop,
    .close = close_session,
    .may_begin = may_begin,
    .handled = handled,
    .body_take = body_take,
    .go_ahead = h2_go_ahead,
    .answer = h2_answer,
    .stream_begin = h2_stream_begin,
    .stream_write = h2_stream_write,
    .stream_end = h2_stream_end,
    .stream_queued = h2_out_left,
};
