/* The answer on a stream of HTTP/2. */
#include "http/internal.h"

void h2_reset(struct exchange *exchange, uint32_t why)
{
    (void)nghttp2_submit_rst_stream(exchange->conn->h2, NGHTTP2_FLAG_NONE, exchange->stream_id,
                                    why); /* without memory the stream ends with its connection */
}

static void check_submitted(struct exchange *exchange, int status)
{
    if (status != 0) { /* the stream is closing, or there is no memory: then nobody else would end it */
        h2_reset(exchange, NGHTTP2_INTERNAL_ERROR);
        exchange_lost(exchange);
    }
    conn_touch(exchange->conn);
}

static nghttp2_nv pair(struct str name, struct str value)
{
    return (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)name.ptr,
                         .namelen = name.len,
                         .value = (uint8_t *)(uintptr_t)(value.ptr == NULL ? "" : value.ptr),
                         .valuelen = value.len };
}

static struct str lower(struct arena *arena, struct str name)
{
    char *copy = arena_cstr(arena, name);
    for (size_t i = 0; i < name.len; i++)
        if (copy[i] >= 'A' && copy[i] <= 'Z')
            copy[i] = (char)(copy[i] | 0x20);
    return (struct str){ copy, name.len };
}

static void submit(struct exchange *exchange, int status, const struct http_header *headers, size_t count,
                   const struct str *length, const nghttp2_data_provider *provider)
{
    struct conn *conn = exchange->conn;
    struct arena *arena = &exchange->request.arena;
    nghttp2_nv *pairs = arena_alloc(arena, (count + 4) * sizeof *pairs);
    char text[HEAD_NUMBER_SIZE];
    size_t used = 0;
    pairs[used++] = pair(STR(":status"), head_number(text, (uint64_t)status));
    pairs[used++] = pair(STR("date"), server_date(conn->server));
    pairs[used++] = pair(STR("x-request-id"), str_from(exchange->request.id));
    pairs[used - 1].flags = NGHTTP2_NV_FLAG_NO_INDEX;
    for (size_t i = 0; i < count; i++)
        pairs[used++] = pair(lower(arena, headers[i].name), headers[i].value);
    if (length != NULL)
        pairs[used++] = pair(STR("content-length"), *length);
    check_submitted(exchange, nghttp2_submit_response(conn->h2, exchange->stream_id, pairs, used, provider));
}

size_t h2_out_left(const struct exchange *exchange)
{
    return exchange->out.len - exchange->out_at;
}

static ssize_t give_data(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t size,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    enum { FRAME_HEADER = 9 }; /* a frame fits a TLS record */
    struct exchange *exchange = source->ptr;
    size_t length = h2_out_left(exchange);
    if (length == 0 && exchange->streaming && !exchange->stream_ended) {
        exchange->out_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (size > PLAIN_BYTES - FRAME_HEADER)
        size = PLAIN_BYTES - FRAME_HEADER;
    if (length > size)
        length = size;
    if (length > 0)
        memcpy(buf, exchange->out.ptr + exchange->out_at, length);
    exchange->out_at += length;
    exchange->out_moved += length;
    if (exchange->out_at == exchange->out.len) {
        exchange_drop_out(exchange);
    }
    exchange_account(exchange);
    if (exchange->streaming)
        exchange_wake(exchange);
    if (h2_out_left(exchange) == 0 && (!exchange->streaming || exchange->stream_ended))
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)length;
}

void h2_go_ahead(struct exchange *exchange)
{
    nghttp2_nv status = pair(STR(":status"), STR("100"));
    check_submitted(exchange, nghttp2_submit_headers(exchange->conn->h2, NGHTTP2_FLAG_NONE,
                                                     exchange->stream_id, NULL, &status, 1, NULL));
}

void h2_answer(struct exchange *exchange, int status, const struct http_header *headers, size_t count,
               struct str body)
{
    nghttp2_data_provider provider = { .source.ptr = exchange, .read_callback = give_data };
    bool has_body = status != 204 && status != 304;
    bool sends = has_body && exchange->request.method != METHOD_HEAD && body.len > 0;
    char text[HEAD_NUMBER_SIZE];
    struct str length = head_number(text, body.len);
    buf_init(&exchange->out, body.len); /* not in the arena, which goes with the handler */
    must(!sends || buf_append(&exchange->out, body));
    exchange_account(exchange);
    submit(exchange, status, headers, count, has_body ? &length : NULL, sends ? &provider : NULL);
}

void h2_stream_begin(struct exchange *exchange, int status, const struct http_header *headers, size_t count)
{
    nghttp2_data_provider provider = { .source.ptr = exchange, .read_callback = give_data };
    bool sends = exchange->request.method != METHOD_HEAD;
    buf_init(&exchange->out, SIZE_MAX / 4);
    submit(exchange, status, headers, count, NULL, sends ? &provider : NULL);
}

static void go_on(struct exchange *exchange)
{
    if (!exchange->out_deferred)
        return;
    exchange->out_deferred = false;
    check_submitted(exchange, nghttp2_session_resume_data(exchange->conn->h2, exchange->stream_id));
}

void h2_stream_write(struct exchange *exchange, struct str bytes)
{
    if (exchange->out_at > 0) {
        buf_consume(&exchange->out, exchange->out_at);
        exchange->out_at = 0;
    }
    bool fits = buf_append(&exchange->out, bytes);
    exchange_account(exchange);
    if (!fits) {
        exchange_lost(exchange);
        return;
    }
    go_on(exchange);
}

void h2_stream_end(struct exchange *exchange)
{
    go_on(exchange);
}
