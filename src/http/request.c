/* What a handler calls. */
#include "http/internal.h"

#include "base/clock.h"
#include "http/problem.h"

#include <stdlib.h>

/* ---- the head ---- */

struct str http_header(const struct http_request *request, const char *name)
{
    struct str wanted = str_from(name);
    for (size_t i = 0; i < request->header_count; i++)
        if (str_eq(request->headers[i].name, wanted))
            return request->headers[i].value;
    return (struct str){ 0 };
}

size_t http_header_count(const struct http_request *request, const char *name)
{
    struct str wanted = str_from(name);
    size_t count = 0;
    for (size_t i = 0; i < request->header_count; i++)
        count += str_eq(request->headers[i].name, wanted);
    return count;
}

result http_query(struct http_request *request, const char *name, struct str *ret)
{
    struct str rest = request->query, part, found = { 0 };
    while (rest.ptr != NULL && str_cut(&rest, '&', &part)) {
        struct str value = part, key;
        if (!str_cut(&value, '=', &key) || !str_is(key, name))
            continue;
        if (found.ptr != NULL)
            return FAIL(E_ARGUMENT, "Send each query parameter once.",
                        "the query parameter \"%s\" is given twice", name);
        char *decoded = arena_alloc(&request->arena, value.len + 1);
        size_t length = 0;
        if (!str_percent_decode(value, decoded, value.len + 1, &length))
            return FAIL(E_ARGUMENT, "Write two hexadecimal digits after each percent sign.",
                        "the query parameter \"%s\" has a malformed percent escape", name);
        found = (struct str){ decoded, length };
        if (!str_is_utf8(found) || memchr(decoded, '\0', length) != NULL)
            return FAIL(E_ARGUMENT, "Send UTF-8 without NUL.", "the query parameter \"%s\" is not text",
                        name);
        decoded[length] = '\0';
    }
    *ret = found;
    return OK;
}

/* ---- the body ---- */

void http_body_allow(struct http_request *request, uint64_t max, uint64_t within_ms)
{
    struct exchange *exchange = exchange_of(request);
    exchange->body_max = max;
    exchange->body_within_ms = within_ms;
}

static result too_large(uint64_t max)
{
    return FAIL(E_BODY_SIZE, "Send a smaller body.", "the request body is larger than %llu bytes",
                (unsigned long long)max);
}

static void send_continue(struct exchange *exchange)
{
    if (!exchange->expects_continue)
        return;
    exchange->expects_continue = false;
    exchange->conn->protocol->go_ahead(exchange);
}

static result wait_for_body(struct exchange *exchange)
{
    uint64_t now = conn_now_ms();
    send_continue(exchange);
    struct deadline deadline;
    deadline_begin(&deadline, exchange->body_due_ms > now ? exchange->body_due_ms - now : 0);
    result r = exchange_wait_for_peer(exchange);
    deadline_end(&deadline);
    if (failed(r) && r.error.code == E_DEADLINE && !failed(fiber_check()))
        return FAIL(E_SLOW, "Send the body faster.", "the request body did not arrive within %llu ms",
                    (unsigned long long)exchange->body_within_ms);
    return r;
}

result http_body_read(struct http_request *request, char *buf, size_t size, size_t *ret_len)
{
    struct exchange *exchange = exchange_of(request);
    must(size > 0);
    if (request->body_length != HTTP_LENGTH_UNKNOWN && request->body_length > exchange->body_max)
        return too_large(exchange->body_max);
    if (exchange->body_due_ms == NEVER)
        exchange->body_due_ms = conn_now_ms() + exchange->body_within_ms;
    for (;;) {
        size_t length = 0;
        switch (exchange->conn->protocol->body_take(exchange, buf, size, &length)) {
        case TAKEN_BYTES:
            exchange->expects_continue = false; /* it did not wait for it */
            exchange->body_taken += length;
            if (exchange->body_taken > exchange->body_max)
                return too_large(exchange->body_max);
            *ret_len = length;
            return OK;
        case TAKEN_END:
            *ret_len = 0;
            return OK;
        case TAKEN_BROKEN:
            return FAIL(E_BODY, "Send chunks as RFC 9112 describes them.",
                        "the chunks of the request body are malformed");
        case TAKEN_NOTHING:
            if (exchange->gone || exchange->conn->peer_ended)
                return FAIL(E_PEER_GONE, NULL,
                            "the peer closed the connection before the request body was complete");
            TRY(wait_for_body(exchange));
        }
    }
}

static result read_declared(struct http_request *request, struct str *ret)
{
    struct exchange *exchange = exchange_of(request);
    size_t length = (size_t)request->body_length, have = 0;
    TRY(exchange_room_for(exchange, length));
    char *body = arena_alloc(&request->arena, length + 1);
    while (have < length) {
        size_t got;
        TRY(http_body_read(request, body + have, length - have, &got));
        must(got > 0);
        have += got;
        exchange->body_kept = have;
        exchange_account(exchange);
    }
    body[length] = '\0';
    *ret = (struct str){ body, length };
    return OK;
}

/* Memory grows with what has arrived. */
static result read_undeclared(struct http_request *request, size_t max, struct str *ret)
{
    struct exchange *exchange = exchange_of(request);
    struct buf *body = &exchange->body_all;
    buf_done(body);
    buf_init(body, max + PLAIN_BYTES); /* the read that goes beyond max is the one that fails */
    size_t got;
    do {
        TRY(exchange_room_for(exchange, PLAIN_BYTES));
        if (!buf_reserve(body, PLAIN_BYTES))
            return FAIL(E_MEMORY, NULL, "not enough memory for a request body");
        TRY(http_body_read(request, body->ptr + body->len, PLAIN_BYTES, &got));
        body->len += got;
        exchange->body_kept = body->len;
        exchange_account(exchange);
    } while (got > 0);
    body->ptr[body->len] = '\0'; /* the last read found none, in room for more */
    *ret = buf_str(body);
    return OK;
}

result http_body_read_all(struct http_request *request, size_t max, struct str *ret)
{
    struct exchange *exchange = exchange_of(request);
    exchange->body_max = max;
    if (request->body_length == HTTP_LENGTH_UNKNOWN)
        return read_undeclared(request, max, ret);
    if (request->body_length > max)
        return too_large(max);
    return read_declared(request, ret);
}

/* ---- the answer ---- */

bool http_answered(const struct http_request *request)
{
    return ((const struct exchange *)request)->answered;
}

static void note_duration(struct http_stats *stats, uint64_t us)
{
    static const uint32_t bounds_us[HTTP_DURATION_BOUNDS] = HTTP_DURATION_BOUNDS_US;
    size_t bucket = 0;
    while (bucket < HTTP_DURATION_BOUNDS && us > bounds_us[bucket])
        bucket++;
    stats->durations[bucket]++;
    stats->durations_us += us;
}

static void begin_answer(struct exchange *exchange, int status, const struct http_header *headers,
                         size_t count)
{
    must(!exchange->answered && status >= 200 && status <= 599);
    for (size_t i = 0; i < count; i++)
        must(head_is_token(headers[i].name) && head_is_value(headers[i].value));
    exchange->answered = true;
    struct http_stats *stats = &exchange->conn->server->stats;
    stats->requests[exchange->request.protocol][status / 100]++;
    note_duration(stats, (clock_monotonic_ns() - exchange->began_ns) / 1000);
}

/* Then nothing has been done that another answer would hide. */
static bool only_reads(const struct http_request *request)
{
    return request->method == METHOD_GET || request->method == METHOD_HEAD;
}

void http_respond(struct http_request *request, int status, const struct http_header *headers, size_t count,
                  struct str body)
{
    struct exchange *exchange = exchange_of(request);
    if (only_reads(request) && body.len > PLAIN_BYTES) {
        result r = exchange_room_for(exchange, body.len);
        if (failed(r)) {
            exchange->conn->server->stats.requests_refused++;
            http_problem(request, &r.error, NULL);
            return;
        }
    }
    begin_answer(exchange, status, headers, count);
    if (exchange->gone || exchange->conn->state != CONN_OPEN)
        return;
    exchange->conn->protocol->answer(exchange, status, headers, count, body);
    conn_touch(exchange->conn);
}

void http_respond_and_close(struct http_request *request, int status, const struct http_header *headers,
                            size_t count, struct str body)
{
    exchange_of(request)->close_requested = true;
    http_respond(request, status, headers, count, body);
}

void http_stream_begin(struct http_request *request, int status, const struct http_header *headers,
                       size_t count)
{
    struct exchange *exchange = exchange_of(request);
    begin_answer(exchange, status, headers, count);
    exchange->streaming = true;
    if (exchange->gone || exchange->conn->state != CONN_OPEN)
        return;
    send_continue(exchange); /* the body may be read yet, and 100 cannot come behind this head */
    exchange->conn->protocol->stream_begin(exchange, status, headers, count);
    conn_touch(exchange->conn);
}

/* What it has queued itself, or, once that is something, what others have. */
static bool is_full(const struct exchange *exchange)
{
    size_t queued = exchange->conn->protocol->stream_queued(exchange);
    return queued > HTTP_STREAM_QUEUE || (queued > 0 && conn_is_over(exchange->conn));
}

result http_stream_write(struct http_request *request, struct str bytes)
{
    struct exchange *exchange = exchange_of(request);
    must(exchange->streaming && !exchange->stream_ended);
    const struct protocol *protocol = exchange->conn->protocol;
    while (!exchange->gone && exchange->conn->state == CONN_OPEN && is_full(exchange))
        TRY(exchange_wait_for_peer(exchange));
    if (exchange->gone || exchange->conn->state != CONN_OPEN)
        return FAIL(E_PEER_GONE, NULL, "the peer closed the connection before the answer was complete");
    if (bytes.len == 0 || request->method == METHOD_HEAD)
        return OK;
    protocol->stream_write(exchange, bytes);
    conn_touch(exchange->conn);
    return OK;
}

void http_stream_end(struct http_request *request)
{
    struct exchange *exchange = exchange_of(request);
    must(exchange->streaming && !exchange->stream_ended);
    exchange->stream_ended = true;
    if (exchange->gone || exchange->conn->state != CONN_OPEN)
        return;
    exchange->conn->protocol->stream_end(exchange);
    conn_touch(exchange->conn);
}
