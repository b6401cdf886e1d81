/* HTTP/2 frames behind the preface. */
#include "http/internal.h"

static void on_request(struct http_request *request, void *context)
{
    struct str body;
    (void)context;
    must(request->path.len > 0 && request->path.ptr[0] == '/' && request->authority.len > 0);
    result r = http_body_read_all(request, 1000, &body);
    http_respond(request, failed(r) ? error_http_status(r.error.code) : 200, NULL, 0, STR("answer"));
}

static void feed(void *arg)
{
    static const struct http_server_options options = { .on_request = on_request,
                                                        .limits = { .head_bytes = 2048 } };
    const struct str *bytes = arg;
    struct http_server *server;
    must(!failed(server_new_bare(&server, &options)));
    struct conn *conn = conn_new(server, NULL);
    must(conn != NULL);
    conn->handle_open = true;
    conn_open(conn, &h2_protocol);
    conn_receive(conn, STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    size_t half = bytes->len / 2;
    const struct str parts[] = { { bytes->ptr, half }, { bytes->ptr + half, bytes->len - half } };
    for (int part = 0; part < 2; part++) {
        conn_receive(conn, parts[part]);
        for (int i = 0; i < 4; i++)
            must(!failed(fiber_yield()));
        buf_clear(&conn->out);
    }
    conn_abort(conn);
    for (int i = 0; i < 4; i++)
        must(!failed(fiber_yield()));
    must(http_server_stats(server)->requests_in_flight == 0);
    conn->handle_open = false;
    conn_maybe_free(conn);
    http_server_free(server);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct str input = { (const char *)bytes, length };
    if (length > 0 && length < 16 * 1024)
        must(!failed(loop_run(feed, &input)));
    return 0;
}
