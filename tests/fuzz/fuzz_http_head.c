/* HTTP/1.1 as a connection sees it, without TLS: heads, bodies, pipelining. The first byte chooses where the rest is
 * split. What is answered must not depend on the splits. */
#include "http/internal.h"

#include <stdlib.h>

static void on_request(struct http_request *request, void *context)
{
    struct str body = STR("");
    (void)context;
    must(request->path.len > 0 && request->path.ptr[0] == '/' && request->authority.len > 0);
    for (size_t i = 0; i < request->header_count; i++)
        must(head_is_token(request->headers[i].name) && head_is_value(request->headers[i].value));
    result r = http_body_read_all(request, 1000, &body);
    if (failed(r))
        http_respond_and_close(request, error_http_status(r.error.code), NULL, 0, STR(""));
    else
        http_respond(request, 200, NULL, 0, body);
}

struct input {
    struct str bytes;
    size_t step;
    struct buf out; /* the status lines and the bodies; the ids and dates differ */
};

static void settle(struct conn *conn)
{
    for (int i = 0; i < 4; i++)
        must(!failed(fiber_yield()));
    buf_clear(&conn->out);
}

static void feed(void *arg)
{
    static const struct http_server_options options = { .on_request = on_request,
                                                        .limits = { .head_bytes = 2048 } };
    struct input *input = arg;
    struct http_server *server;
    must(!failed(server_new_bare(&server, &options)));
    struct conn *conn = conn_new(server, NULL);
    must(conn != NULL);
    conn->handle_open = true;
    conn_open(conn, &h1_protocol);
    for (size_t at = 0; at < input->bytes.len && conn->state == CONN_OPEN; at += input->step) {
        size_t left = input->bytes.len - at;
        conn_receive(conn, (struct str){ input->bytes.ptr + at, left < input->step ? left : input->step });
        settle(conn);
    }
    conn_ended(conn);
    for (int i = 0; i < 64; i++)
        settle(conn);
    const struct http_stats *stats = http_server_stats(server);
    must(stats->requests_in_flight == 0);
    must(buf_append(&input->out, (struct str){ (const char *)stats->requests, sizeof stats->requests }));
    must(buf_append(&input->out,
                    (struct str){ (const char *)&stats->heads_refused, sizeof stats->heads_refused }));
    conn->handle_open = false;
    conn_maybe_free(conn);
    http_server_free(server);
}

static struct buf run(struct str bytes, size_t step)
{
    struct input input = { .bytes = bytes, .step = step };
    buf_init(&input.out, 4096);
    must(!failed(loop_run(feed, &input)));
    return input.out;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    if (length < 2 || length > 4096)
        return 0;
    struct str rest = { (const char *)bytes + 1, length - 1 };
    struct buf whole = run(rest, rest.len), split = run(rest, 1 + bytes[0] % 64);
    must(str_eq(buf_str(&whole), buf_str(&split)));
    buf_done(&whole);
    buf_done(&split);
    return 0;
}
