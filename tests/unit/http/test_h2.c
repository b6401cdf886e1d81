/* HTTP/2 on a connection without sockets, against nghttp2's own client side. */
#include "memory.h"

static size_t handled;
static enum error_code body_code, stream_code;
static size_t body_bytes, streamed;
static struct semaphore gate;

static void read_body(struct http_request *request)
{
    struct str body;
    result r = http_body_read_all(request, 256 * 1024, &body);
    body_code = r.error.code;
    if (failed(r)) {
        http_problem(request, &r.error, NULL);
        return;
    }
    body_bytes = body.len;
    http_respond(request, 200, NULL, 0, body);
}

static void stream(struct http_request *request)
{
    static char block[16 * 1024];
    streamed = 0;
    http_stream_begin(request, 200, NULL, 0);
    for (int i = 0; i < 64 && stream_code == E_OK; i++) {
        stream_code = http_stream_write(request, (struct str){ block, sizeof block }).error.code;
        streamed += sizeof block;
    }
    if (stream_code == E_OK && !str_eq(request->path, STR("/broken")))
        http_stream_end(request);
}

/* Ends without its end, and later than what it sent went out. */
static void cut(struct http_request *request)
{
    http_stream_begin(request, 200, NULL, 0);
    for (int i = 0; i < 3; i++)
        check_ok(fiber_yield());
}

static void on_request(struct http_request *request, void *context)
{
    handled++;
    if (str_eq(request->path, STR("/cut"))) {
        cut(request);
        return;
    }
    if (str_eq(request->path, STR("/echo"))) {
        read_body(request);
    } else if (str_eq(request->path, STR("/stream")) || str_eq(request->path, STR("/broken"))) {
        stream(request);
    } else if (str_eq(request->path, STR("/home"))) {
        result r = FAIL(E_WRONG_REGION, NULL, "the customer \"acme\" lives in \"us\"");
        http_problem(request, &r.error, NULL);
    } else if (str_eq(request->path, STR("/wait"))) {
        check_ok(semaphore_acquire(&gate));
        http_respond(request, 200, NULL, 0, STR("late"));
    } else if (str_eq(request->path, STR("/nothing"))) {
        http_respond(request, 204, NULL, 0, STR(""));
    } else if (str_eq(request->path, STR("/unchanged"))) {
        http_respond(request, 304, NULL, 0, STR("what it would be"));
    } else {
        const struct http_header header = { STR("X-Mixed-Case"), STR("kept") };
        http_respond(request, 200, &header, 1, STR("hello"));
    }
}

/* ---- the client ---- */

enum { REST_AND_MORE_MS = 1300 }; /* longer than an answered stream stays open for the rest of its request */

struct answer {
    int status;
    size_t bytes, continues;
    char text[4096]; /* what fits */
    char length[24]; /* of content-length; "" without one */
    bool mixed;      /* X-Mixed-Case came, in lower case as it must */
    bool closed;
    uint32_t error;
};

struct client {
    struct memory memory;
    nghttp2_session *session;
    size_t seen;                /* of memory.out */
    struct answer answers[400]; /* by stream id / 2 */
    bool goaway;
    size_t taken; /* frames of a flood */
    uint32_t goaway_error;
    int32_t goaway_last;
};

static struct answer *answer_of(struct client *client, int32_t stream_id)
{
    return &client->answers[(stream_id / 2) % 400];
}

static int on_client_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                            size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
                            void *user)
{
    struct answer *answer = answer_of(user, frame->hd.stream_id);
    if (name_length == 7 && memcmp(name, ":status", 7) == 0) {
        int status = atoi((const char *)value);
        answer->continues += status == 100;
        answer->status = status;
    } else if (name_length == 14 && memcmp(name, "content-length", 14) == 0) {
        snprintf(answer->length, sizeof answer->length, "%.*s", (int)value_length, (const char *)value);
    } else if (name_length == 12 && memcmp(name, "x-mixed-case", 12) == 0) {
        answer->mixed = value_length == 4 && memcmp(value, "kept", 4) == 0;
    }
    return 0;
}

static int on_client_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *bytes,
                          size_t length, void *user)
{
    struct answer *answer = answer_of(user, stream_id);
    if (answer->bytes + length < sizeof answer->text)
        memcpy(answer->text + answer->bytes, bytes, length);
    answer->bytes += length;
    return 0;
}

static int on_client_close(nghttp2_session *session, int32_t stream_id, uint32_t error, void *user)
{
    struct answer *answer = answer_of(user, stream_id);
    answer->closed = true;
    answer->error = error;
    return 0;
}

static int on_client_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct client *client = user;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        client->goaway = true;
        client->goaway_error = frame->goaway.error_code;
        client->goaway_last = frame->goaway.last_stream_id;
    }
    return 0;
}

static const struct http_server_options options = { .on_request = on_request };

static void begin_with(struct client *client, const struct http_server_options *with, bool manual_window)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    memset(client, 0, sizeof *client);
    handled = body_bytes = streamed = 0;
    body_code = stream_code = E_OK;
    memory_begin(&client->memory, with, true);
    must(nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_client_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_client_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_client_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_client_frame);
    nghttp2_option_set_no_http_messaging(option, 1); /* it may send what it must not */
    nghttp2_option_set_no_auto_window_update(option, manual_window);
    must(nghttp2_session_client_new2(&client->session, callbacks, client, option) == 0);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    must(nghttp2_submit_settings(client->session, 0, NULL, 0) == 0);
}

static void begin(struct client *client)
{
    begin_with(client, &options, false);
}

static void end(struct client *client)
{
    nghttp2_session_del(client->session);
    memory_end(&client->memory);
}

/* Carries frames to and fro until both are silent. */
static void exchange_frames(struct client *client)
{
    for (bool busy = true; busy;) {
        const uint8_t *frames;
        ssize_t length;
        busy = false;
        while ((length = nghttp2_session_mem_send(client->session, &frames)) > 0) {
            conn_receive(client->memory.conn, (struct str){ (const char *)frames, (size_t)length });
            busy = true;
        }
        settle();
        memory_collect(&client->memory);
        struct buf *out = &client->memory.out;
        if (out->len > client->seen) {
            ssize_t used = nghttp2_session_mem_recv(client->session, (const uint8_t *)out->ptr + client->seen,
                                                    out->len - client->seen);
            assert_true(used == (ssize_t)(out->len - client->seen));
            client->seen = out->len;
            busy = true;
        }
    }
}

struct header_pair {
    const char *name, *value;
};

static nghttp2_nv nv(const char *name, const char *value)
{
    return (nghttp2_nv){ (uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name), strlen(value),
                         0 };
}

static size_t upload_left;

static ssize_t give_upload(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t size,
                           uint32_t *flags, nghttp2_data_source *source, void *user)
{
    size_t length = upload_left < size ? upload_left : size;
    memset(buf, 'u', length);
    upload_left -= length;
    if (upload_left == 0)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)length;
}

/* body: SIZE_MAX for none; `more` ends with a NULL name. */
static int32_t request(struct client *client, const char *method, const char *path, size_t body,
                       const struct header_pair *more)
{
    nghttp2_nv pairs[160] = { nv(":method", method), nv(":scheme", "https"), nv(":path", path),
                              nv(":authority", "a") };
    size_t count = 4;
    for (; more != NULL && more->name != NULL; more++)
        pairs[count++] = nv(more->name, more->value);
    nghttp2_data_provider provider = { .read_callback = give_upload };
    if (body != SIZE_MAX)
        upload_left = body;
    int32_t id = nghttp2_submit_request(client->session, NULL, pairs, count,
                                        body == SIZE_MAX ? NULL : &provider, NULL);
    must(id > 0);
    return id;
}

/* ---- what works ---- */

static void simple(void *arg)
{
    struct client *client = arg;
    begin(client);
    int32_t get = request(client, "GET", "/", SIZE_MAX, NULL),
            head = request(client, "HEAD", "/", SIZE_MAX, NULL);
    exchange_frames(client);
    assert_true(answer_of(client, get)->status == 200 && strcmp(answer_of(client, get)->text, "hello") == 0);
    assert_true(answer_of(client, head)->status == 200 && answer_of(client, head)->bytes == 0);
    assert_true(answer_of(client, get)->closed && answer_of(client, head)->closed);
    assert_true(answer_of(client, get)->mixed && answer_of(client, head)->mixed);
    int32_t put = request(client, "PUT", "/echo", 200 * 1024, NULL); /* more than the stream's window */
    exchange_frames(client);
    assert_true(answer_of(client, put)->status == 200 && answer_of(client, put)->bytes == 200 * 1024);
    int32_t down = request(client, "GET", "/stream", SIZE_MAX, NULL);
    exchange_frames(client);
    assert_true(answer_of(client, down)->bytes == 1024 * 1024 &&
                answer_of(client, down)->error == NGHTTP2_NO_ERROR);
    int32_t broken = request(client, "GET", "/broken", SIZE_MAX, NULL);
    exchange_frames(client);
    assert_true(answer_of(client, broken)->closed &&
                answer_of(client, broken)->error == NGHTTP2_INTERNAL_ERROR);
    assert_true(memory_is_open(&client->memory));
    end(client);
}

static void streams_are_answered(void **state)
{
    static struct client client;
    on_loop(simple, &client);
}

static void without_body(void *arg)
{
    static const struct {
        const char *method, *path, *length;
        int status;
        size_t bytes;
    } cases[] = { { "GET", "/", "5", 200, 5 },
                  { "HEAD", "/", "5", 200, 0 },
                  { "GET", "/nothing", "", 204, 0 },
                  { "GET", "/unchanged", "", 304, 0 } };
    struct client *client = arg;
    begin(client);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int32_t id = request(client, cases[i].method, cases[i].path, SIZE_MAX, NULL);
        exchange_frames(client);
        const struct answer *answer = answer_of(client, id);
        assert_true(answer->closed && answer->error == NGHTTP2_NO_ERROR);
        assert_true(answer->status == cases[i].status && answer->bytes == cases[i].bytes);
        assert_true(strcmp(answer->length, cases[i].length) == 0);
    }
    end(client);
}

static void answers_have_a_body_and_its_length_where_they_may(void **state)
{
    static struct client client;
    on_loop(without_body, &client);
}

static void cut_off(void *arg)
{
    struct client *client = arg;
    const uint8_t *frames;
    ssize_t length;
    begin(client);
    exchange_frames(client);
    int32_t id = request(client, "GET", "/cut", SIZE_MAX, NULL);
    while ((length = nghttp2_session_mem_send(client->session, &frames)) > 0)
        conn_receive(client->memory.conn, (struct str){ (const char *)frames, (size_t)length });
    settle();
    const struct buf *out = &client->memory.conn->out; /* not collected: nothing else wakes the connection */
    assert_true(nghttp2_session_mem_recv(client->session, (const uint8_t *)out->ptr, out->len) ==
                (ssize_t)out->len);
    assert_true(answer_of(client, id)->status == 200 && answer_of(client, id)->closed &&
                answer_of(client, id)->error == NGHTTP2_INTERNAL_ERROR);
    buf_done(&client->memory.conn->out);
    end(client);
}

static void a_stream_that_its_handler_leaves_is_cut_at_once(void **state)
{
    static struct client client;
    on_loop(cut_off, &client);
}

static void bytewise(void *arg)
{
    struct client *client = arg;
    const uint8_t *frames;
    ssize_t length;
    begin(client);
    int32_t put = request(client, "PUT", "/echo", 10, NULL);
    while ((length = nghttp2_session_mem_send(client->session, &frames)) > 0)
        for (ssize_t i = 0; i < length; i++)
            conn_receive(client->memory.conn, (struct str){ (const char *)frames + i, 1 });
    exchange_frames(client);
    assert_true(answer_of(client, put)->status == 200 &&
                strcmp(answer_of(client, put)->text, "uuuuuuuuuu") == 0);
    end(client);
}

static void frames_may_come_in_single_bytes(void **state)
{
    static struct client client;
    on_loop(bytewise, &client);
}

/* ---- the body and the region ---- */

static void wrong_region(void *arg)
{
    static const struct header_pair expecting[] = { { "expect", "100-continue" },
                                                    { "content-length", "1000000" },
                                                    { 0 } };
    struct client *client = arg;
    begin(client);
    semaphore_init(&gate, 0);
    int32_t other = request(client, "GET", "/wait", SIZE_MAX, NULL);
    exchange_frames(client);
    int32_t put = request(client, "PUT", "/home", 1000 * 1000, expecting);
    exchange_frames(client);
    struct answer *answer = answer_of(client, put);
    assert_true(answer->status == 421 && answer->continues == 0 &&
                strstr(answer->text, "urn:domicile:error:wrong-region"));
    assert_true(!answer->closed && upload_left > 0); /* it has a moment to take the answer and stop, */
    size_t left = upload_left;
    check_ok(fiber_sleep(REST_AND_MORE_MS));
    exchange_frames(client);
    assert_true(answer->closed && answer->error == NGHTTP2_NO_ERROR &&
                upload_left == left); /* and no room for more */
    assert_true(client->goaway && client->goaway_error == NGHTTP2_NO_ERROR && client->goaway_last >= put);
    assert_true(memory_is_open(&client->memory));
    semaphore_release(&gate);
    exchange_frames(client);
    assert_true(answer_of(client, other)->status == 200); /* the stream beside it was served */
    assert_true(!memory_is_open(&client->memory));
    end(client);
}

static void p2_wrong_region_answer_comes_before_the_body(void **state)
{
    static struct client client;
    on_loop(wrong_region, &client);
}

static void continued(void *arg)
{
    static const struct header_pair expecting[] = { { "expect", "100-continue" }, { 0 } };
    struct client *client = arg;
    begin(client);
    nghttp2_nv pairs[] = { nv(":method", "PUT"), nv(":scheme", "https"), nv(":path", "/echo"),
                           nv(":authority", "a"), nv(expecting[0].name, expecting[0].value) };
    int32_t put = nghttp2_submit_headers(client->session, 0, -1, NULL, pairs, 5, NULL);
    exchange_frames(client);
    assert_true(answer_of(client, put)->continues == 1);
    upload_left = 3;
    nghttp2_data_provider provider = { .read_callback = give_upload };
    must(nghttp2_submit_data(client->session, NGHTTP2_FLAG_END_STREAM, put, &provider) == 0);
    exchange_frames(client);
    assert_true(answer_of(client, put)->status == 200 && strcmp(answer_of(client, put)->text, "uuu") == 0);
    end(client);
}

static void continue_is_sent_when_the_handler_waits_for_the_body(void **state)
{
    static struct client client;
    on_loop(continued, &client);
}

/* ---- what is refused ---- */

static const struct {
    const char *title;
    struct header_pair headers[5]; /* all of them, in this order */
    int status;                    /* 0: the stream is reset */
} refused[] = {
    { "no path", { { ":method", "GET" }, { ":scheme", "https" }, { ":authority", "a" } }, 0 },
    { "no method", { { ":path", "/" }, { ":scheme", "https" }, { ":authority", "a" } }, 0 },
    { "no host at all", { { ":method", "GET" }, { ":scheme", "https" }, { ":path", "/" } }, 0 },
    { "pseudo behind regular",
      { { ":method", "GET" }, { ":scheme", "https" }, { ":path", "/" }, { "x", "y" }, { ":authority", "a" } },
      0 },
    { "two paths",
      { { ":method", "GET" },
        { ":scheme", "https" },
        { ":path", "/" },
        { ":path", "/a" },
        { ":authority", "a" } },
      0 },
    { "unknown pseudo",
      { { ":method", "GET" },
        { ":scheme", "https" },
        { ":path", "/" },
        { ":authority", "a" },
        { ":x", "y" } },
      0 },
    { "connection header",
      { { ":method", "GET" },
        { ":scheme", "https" },
        { ":path", "/" },
        { ":authority", "a" },
        { "connection", "close" } },
      0 },
    { "transfer-encoding",
      { { ":method", "GET" },
        { ":scheme", "https" },
        { ":path", "/" },
        { ":authority", "a" },
        { "transfer-encoding", "chunked" } },
      0 },
    { "upper-case name",
      { { ":method", "GET" }, { ":scheme", "https" }, { ":path", "/" }, { ":authority", "a" }, { "X", "y" } },
      0 },
    { "LF in a value",
      { { ":method", "GET" },
        { ":scheme", "https" },
        { ":path", "/" },
        { ":authority", "a" },
        { "x", "y\nz: 1" } },
      400 },
    { "another host",
      { { ":method", "GET" },
        { ":scheme", "https" },
        { ":path", "/" },
        { ":authority", "a" },
        { "host", "b" } },
      400 },
    { "a bad host",
      { { ":method", "GET" }, { ":scheme", "https" }, { ":path", "/" }, { ":authority", "a/b" } },
      0 },
    { "user information",
      { { ":method", "GET" }, { ":scheme", "https" }, { ":path", "/" }, { ":authority", "u@a" } },
      400 },
    { "absolute path",
      { { ":method", "GET" }, { ":scheme", "https" }, { ":path", "https://a/" }, { ":authority", "a" } },
      0 },
    { "fragment",
      { { ":method", "GET" }, { ":scheme", "https" }, { ":path", "/#a" }, { ":authority", "a" } },
      400 },
    { "asterisk",
      { { ":method", "OPTIONS" }, { ":scheme", "https" }, { ":path", "*" }, { ":authority", "a" } },
      400 },
    { "connect", { { ":method", "CONNECT" }, { ":authority", "a:443" } }, 400 },
    { "content-length without body",
      { { ":method", "GET" },
        { ":scheme", "https" },
        { ":path", "/" },
        { ":authority", "a" },
        { "content-length", "5" } },
      0 },
    { "expectation",
      { { ":method", "GET" },
        { ":scheme", "https" },
        { ":path", "/" },
        { ":authority", "a" },
        { "expect", "a-pony" } },
      417 },
};

static void hostile(void *arg)
{
    struct client *client = arg;
    for (size_t i = 0; i < COUNT(refused); i++) {
        nghttp2_nv pairs[5];
        size_t count = 0;
        while (count < 5 && refused[i].headers[count].name != NULL) {
            pairs[count] = nv(refused[i].headers[count].name, refused[i].headers[count].value);
            pairs[count++].flags = NGHTTP2_NV_FLAG_NO_COPY_NAME; /* as it is, not in lower case */
        }
        begin(client);
        int32_t id = nghttp2_submit_request(client->session, NULL, pairs, count, NULL, NULL);
        exchange_frames(client);
        check_row(refused[i].title, handled == 0);
        check_row(refused[i].title, answer_of(client, id)->status == refused[i].status);
        check_row(refused[i].title,
                  refused[i].status == 0 || http_server_stats(client->memory.server)->heads_refused == 1);
        check_row(refused[i].title, answer_of(client, id)->closed || !memory_is_open(&client->memory));
        end(client);
    }
}

static void hostile_heads_are_refused(void **state)
{
    static struct client client;
    on_loop(hostile, &client);
}

static void too_much(void *arg)
{
    static char big[17000];
    struct header_pair many[121] = { 0 };
    struct client *client = arg;
    memset(big, 'x', sizeof big - 1);
    for (int i = 0; i < 120; i++)
        many[i] = (struct header_pair){ "x", "y" };
    begin(client);
    int32_t headers = request(client, "GET", "/", SIZE_MAX, many);
    int32_t large =
        request(client, "GET", "/", SIZE_MAX, (struct header_pair[]){ { "x", big }, { "y", big }, { 0 } });
    int32_t body = request(client, "PUT", "/echo", 300 * 1024,
                           (struct header_pair[]){ { "content-length", "307200" }, { 0 } });
    exchange_frames(client);
    assert_true(answer_of(client, headers)->status == 431 && answer_of(client, large)->status == 431);
    assert_true(answer_of(client, body)->status == 413 && !answer_of(client, body)->closed);
    check_ok(fiber_sleep(REST_AND_MORE_MS));
    exchange_frames(client);
    assert_true(answer_of(client, body)->closed);
    int32_t more = request(client, "PUT", "/echo", 300 * 1024, NULL);
    exchange_frames(client);
    assert_true(answer_of(client, more)->status == 413 && body_code == E_BODY_SIZE);
    int32_t other =
        request(client, "PUT", "/echo", 10, (struct header_pair[]){ { "content-length", "11" }, { 0 } });
    exchange_frames(client);
    assert_true(answer_of(client, other)->status != 200 && body_code == E_PEER_GONE);
    int32_t fine = request(client, "GET", "/", SIZE_MAX, NULL);
    exchange_frames(client);
    assert_true(answer_of(client, fine)->status == 200);
    end(client);
}

static void p8_limits_on_heads_and_bodies_hold(void **state)
{
    static struct client client;
    on_loop(too_much, &client);
}

/* ---- half heads ---- */

/* HEADERS of a stream without END_HEADERS. */
static void send_half_head(struct client *client, int32_t stream_id)
{
    const char half[] = { 0, 0, 1, 1, 0, 0, 0, 0, (char)stream_id, (char)0x82 };
    conn_receive(client->memory.conn, (struct str){ half, sizeof half });
}

/* What else the connection does neither ends the wait for the head nor makes it longer. */
static void half_heads(void *arg)
{
    static const struct {
        const char *title, *method, *path;
        size_t body;
    } cases[] = {
        { "answered at once", "GET", "/", SIZE_MAX },
        { "answered later", "GET", "/wait", SIZE_MAX },
        { "with a body", "PUT", "/echo", 100 },
    };
    enum { HEAD_MS = 60 * 1000 };
    struct http_server_options limited = options;
    struct client *client = arg;
    limited.limits.head_within_ms = HEAD_MS;
    for (size_t i = 0; i < COUNT(cases); i++) {
        begin_with(client, &limited, false);
        exchange_frames(client);
        semaphore_init(&gate, 0);
        int32_t whole = request(client, cases[i].method, cases[i].path, cases[i].body, NULL);
        const uint8_t *frames;
        for (ssize_t length; (length = nghttp2_session_mem_send(client->session, &frames)) > 0;)
            conn_receive(client->memory.conn, (struct str){ (const char *)frames, (size_t)length });
        send_half_head(client, whole + 2);
        semaphore_release(&gate);
        exchange_frames(client);
        check_row(cases[i].title,
                  answer_of(client, whole)->status == 200 && answer_of(client, whole)->closed);
        conn_check_due(client->memory.conn, conn_now_ms() + HEAD_MS / 2);
        check_row(cases[i].title, memory_is_open(&client->memory));
        conn_check_due(client->memory.conn, conn_now_ms() + HEAD_MS);
        exchange_frames(client);
        check_row(cases[i].title, !memory_is_open(&client->memory));
        check_row(cases[i].title, client->goaway && client->goaway_error == NGHTTP2_ENHANCE_YOUR_CALM);
        check_row(cases[i].title, http_server_stats(client->memory.server)->heads_refused == 1);
        end(client);
    }
}

static void p8_a_half_head_is_cut_whatever_other_streams_do(void **state)
{
    static struct client client;
    on_loop(half_heads, &client);
}

/* ---- floods ---- */

static void send_frames(struct client *client, const uint8_t *frame, size_t length, size_t count)
{
    for (size_t i = 0; i < count && memory_is_open(&client->memory); i++) {
        conn_receive(client->memory.conn, (struct str){ (const char *)frame, length });
        memory_collect(&client->memory);
        client->taken = i;
    }
}

static void floods(void *arg)
{
    static const struct {
        const char *title;
        uint8_t frame[32];
        size_t length;
    } cases[] = {
        { "ping", { 0, 0, 8, 6, 0, 0, 0, 0, 0 }, 17 },
        { "settings", { 0, 0, 0, 4, 0, 0, 0, 0, 0 }, 9 },
        { "priority", { 0, 0, 5, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1 }, 14 },
        { "window update", { 0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1 }, 13 },
    };
    struct client *client = arg;
    for (size_t i = 0; i < COUNT(cases); i++) {
        begin(client);
        exchange_frames(client);
        send_frames(client, cases[i].frame, cases[i].length, 3000);
        check_row(cases[i].title, !memory_is_open(&client->memory));
        check_row(cases[i].title, client->taken <= 1200);
        end(client);
    }
}

static void p8_floods_of_control_frames_are_cut(void **state)
{
    static struct client client;
    on_loop(floods, &client);
}

/* A client that gives room in small steps, for the stream and for the connection each. */
static void small_steps(void *arg)
{
    static const struct {
        const char *title;
        size_t step;
    } cases[] = { { "4 KiB", 4096 }, { "1 KiB", 1024 }, { "512 bytes", 512 } };
    struct client *client = arg;
    for (size_t i = 0; i < COUNT(cases); i++) {
        begin_with(client, &options, true);
        nghttp2_session_set_local_window_size(client->session, 0, 0, 16 << 20);
        for (int round = 0; round < 8; round++) {
            int32_t down = request(client, "GET", "/stream", SIZE_MAX, NULL);
            size_t given = 0;
            struct answer *answer = answer_of(client, down);
            exchange_frames(client);
            while (memory_is_open(&client->memory) && !answer->closed && answer->bytes > given) {
                for (; given < answer->bytes; given += cases[i].step) {
                    nghttp2_submit_window_update(client->session, 0, down, (int32_t)cases[i].step);
                    nghttp2_submit_window_update(client->session, 0, 0, (int32_t)cases[i].step);
                }
                exchange_frames(client);
            }
            check_row(cases[i].title, answer->closed && answer->bytes == 1024 * 1024);
        }
        end(client);
    }
}

static void room_may_be_given_in_small_steps(void **state)
{
    static struct client client;
    on_loop(small_steps, &client);
}

static void empty_data(void *arg)
{
    static const uint8_t empty[] = { 0, 0, 0, 0, 0, 0, 0, 0, 1 };
    struct client *client = arg;
    begin(client);
    nghttp2_nv pairs[] = { nv(":method", "PUT"), nv(":scheme", "https"), nv(":path", "/echo"),
                           nv(":authority", "a") };
    must(nghttp2_submit_headers(client->session, 0, -1, NULL, pairs, 4, NULL) == 1);
    exchange_frames(client);
    send_frames(client, empty, sizeof empty, 3000);
    assert_true(!memory_is_open(&client->memory));
    settle();
    end(client);
}

static void p8_a_flood_of_empty_data_is_cut(void **state)
{
    static struct client client;
    on_loop(empty_data, &client);
}

static void rapid_reset(void *arg)
{
    struct client *client = arg;
    begin(client);
    semaphore_init(&gate, 0);
    exchange_frames(client);
    size_t most = 0;
    for (int i = 0; i < 1000 && memory_is_open(&client->memory); i++) {
        int32_t id = request(client, "GET", "/wait", SIZE_MAX, NULL);
        exchange_frames(client);
        must(nghttp2_submit_rst_stream(client->session, 0, id, NGHTTP2_CANCEL) == 0);
        exchange_frames(client);
        size_t running = http_server_stats(client->memory.server)->requests_in_flight;
        most = running > most ? running : most;
    }
    assert_true(!memory_is_open(&client->memory));
    assert_true(most <= 200 && handled <= 300);
    for (size_t i = 0; i < handled; i++)
        semaphore_release(&gate);
    settle();
    assert_true(http_server_stats(client->memory.server)->requests_in_flight == 0);
    end(client);
}

static void p8_rapid_reset_is_cut(void **state)
{
    static struct client client;
    on_loop(rapid_reset, &client);
}

static void continuations(void *arg)
{
    static const uint8_t headers[] = { 0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82 },
                         more[] = { 0, 0, 0, 9, 0, 0, 0, 0, 1 };
    struct client *client = arg;
    begin(client);
    exchange_frames(client);
    conn_receive(client->memory.conn, (struct str){ (const char *)headers, sizeof headers });
    send_frames(client, more, sizeof more, 100);
    assert_true(!memory_is_open(&client->memory) && handled == 0);
    end(client);
}

static void p8_a_flood_of_continuations_is_cut(void **state)
{
    static struct client client;
    on_loop(continuations, &client);
}

static void streams(void *arg)
{
    struct client *client = arg;
    begin(client);
    semaphore_init(&gate, 0);
    exchange_frames(client);
    for (int i = 0; i < 150; i++)
        request(client, "GET", "/wait", SIZE_MAX, NULL);
    exchange_frames(client);
    assert_true(handled == RUNNING_MAX && /* the client's side holds 50 back, as it was told */
                http_server_stats(client->memory.server)->requests_in_flight == 100);
    for (int i = 0; i < 150; i++)
        semaphore_release(&gate);
    exchange_frames(client);
    assert_true(handled == 150 && http_server_stats(client->memory.server)->requests_in_flight == 0);
    end(client);
}

static void streams_at_once_are_bounded(void **state)
{
    static struct client client;
    on_loop(streams, &client);
}

/* ---- slow peers, and those that leave ---- */

static void stalled(void *arg)
{
    struct http_server_options quick = options;
    quick.limits =
        (struct http_limits){ .stall_ms = 80, .head_within_ms = 60, .body_within_ms = 60, .idle_ms = 100 };
    struct client *client = arg;
    begin_with(client, &quick, true);
    int32_t down =
        request(client, "GET", "/stream", SIZE_MAX, NULL); /* and the window is never opened again */
    exchange_frames(client);
    assert_true(streamed <= 64 * 1024 + HTTP_STREAM_QUEUE + 2 * 16 * 1024);
    check_ok(fiber_sleep(300));
    exchange_frames(client);
    assert_true(stream_code == E_PEER_GONE && answer_of(client, down)->closed);
    end(client);

    begin_with(client, &quick, false); /* a body that does not come */
    nghttp2_nv pairs[] = { nv(":method", "PUT"), nv(":scheme", "https"), nv(":path", "/echo"),
                           nv(":authority", "a") };
    int32_t put = nghttp2_submit_headers(client->session, 0, -1, NULL, pairs, 4, NULL);
    exchange_frames(client);
    check_ok(fiber_sleep(150));
    exchange_frames(client);
    assert_true(body_code == E_SLOW && answer_of(client, put)->status == 408);
    check_ok(fiber_sleep(REST_AND_MORE_MS + 250)); /* and then nothing: idle */
    exchange_frames(client);
    assert_true(client->goaway && !memory_is_open(&client->memory));
    end(client);

    static const uint8_t headers[] = { 0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82 };
    begin_with(client, &quick, false); /* a head that does not end */
    exchange_frames(client);
    conn_receive(client->memory.conn, (struct str){ (const char *)headers, sizeof headers });
    check_ok(fiber_sleep(150));
    assert_true(!memory_is_open(&client->memory));
    end(client);
}

static void p8_slow_peers_are_cut(void **state)
{
    static struct client client;
    on_loop(stalled, &client);
}

static void leaving(void *arg)
{
    struct client *client = arg;
    begin(client);
    semaphore_init(&gate, 0);
    for (int i = 0; i < 5; i++)
        request(client, "GET", "/wait", SIZE_MAX, NULL);
    exchange_frames(client);
    must(nghttp2_submit_rst_stream(client->session, 0, 1, NGHTTP2_CANCEL) == 0);
    exchange_frames(client);
    assert_true(http_server_stats(client->memory.server)->requests_in_flight == 5);
    conn_abort(client->memory.conn);
    settle();
    assert_true(http_server_stats(client->memory.server)->requests_in_flight == 5);
    for (int i = 0; i < 5; i++)
        semaphore_release(&gate);
    settle();
    assert_true(http_server_stats(client->memory.server)->requests_in_flight == 0);
    end(client);
}

/* A peer may give up a stream politely: its handler is told all the same. */
static void polite_resets(void *arg)
{
    struct client *client = arg;
    begin_with(client, &options, true);
    int32_t down = request(client, "GET", "/stream", SIZE_MAX, NULL);
    exchange_frames(client);
    assert_true(stream_code == E_OK && http_server_stats(client->memory.server)->requests_in_flight == 1);
    must(nghttp2_submit_rst_stream(client->session, 0, down, NGHTTP2_NO_ERROR) == 0);
    exchange_frames(client);
    assert_true(stream_code == E_PEER_GONE &&
                http_server_stats(client->memory.server)->requests_in_flight == 0);

    nghttp2_nv pairs[] = { nv(":method", "PUT"), nv(":scheme", "https"), nv(":path", "/echo"),
                           nv(":authority", "a") };
    int32_t put = nghttp2_submit_headers(client->session, 0, -1, NULL, pairs, 4, NULL);
    exchange_frames(client);
    must(nghttp2_submit_rst_stream(client->session, 0, put, NGHTTP2_NO_ERROR) == 0);
    exchange_frames(client);
    assert_true(body_code == E_PEER_GONE &&
                http_server_stats(client->memory.server)->requests_in_flight == 0);
    assert_true(memory_is_open(&client->memory));
    end(client);
}

static void a_polite_reset_ends_the_handler(void **state)
{
    static struct client client;
    on_loop(polite_resets, &client);
}

/* The request and its reset come at once: when the handler has returned, nothing is open, and the idle limit runs. The
 * limit is an hour, which the test lets pass at once. */
static void idle_after_reset(void *arg)
{
    enum { IDLE_MS = 3600 * 1000 };
    struct http_server_options idle = options;
    struct client *client = arg;
    struct buf both;
    const uint8_t *frames;
    idle.limits.idle_ms = IDLE_MS;
    begin_with(client, &idle, false);
    exchange_frames(client);
    semaphore_init(&gate, 0);
    buf_init(&both, 4096);
    int32_t slow = request(client, "GET", "/wait", SIZE_MAX, NULL);
    for (ssize_t length; (length = nghttp2_session_mem_send(client->session, &frames)) > 0;)
        must(buf_append(&both, (struct str){ (const char *)frames, (size_t)length }));
    must(nghttp2_submit_rst_stream(client->session, 0, slow, NGHTTP2_CANCEL) == 0);
    for (ssize_t length; (length = nghttp2_session_mem_send(client->session, &frames)) > 0;)
        must(buf_append(&both, (struct str){ (const char *)frames, (size_t)length }));
    conn_receive(client->memory.conn, buf_str(&both));
    buf_done(&both);
    settle();
    semaphore_release(&gate);
    settle();
    assert_true(http_server_stats(client->memory.server)->requests_in_flight == 0);
    conn_check_due(client->memory.conn, conn_now_ms() + IDLE_MS / 2);
    exchange_frames(client);
    assert_true(memory_is_open(&client->memory));
    conn_check_due(client->memory.conn, conn_now_ms() + IDLE_MS);
    exchange_frames(client);
    assert_true(client->goaway && !memory_is_open(&client->memory));
    end(client);
}

static void p8_a_reset_leaves_the_idle_limit_in_force(void **state)
{
    static struct client client;
    on_loop(idle_after_reset, &client);
}

/* With its window closed and its end closed nothing would ever come of it. */
static void ended(void *arg)
{
    struct client *client = arg;
    begin_with(client, &options, true);
    request(client, "GET", "/stream", SIZE_MAX, NULL);
    exchange_frames(client);
    conn_ended(client->memory.conn);
    settle();
    assert_true(stream_code == E_PEER_GONE &&
                http_server_stats(client->memory.server)->requests_in_flight == 0);
    end(client);
}

static void a_peer_that_ends_gets_no_more(void **state)
{
    static struct client client;
    on_loop(ended, &client);
}

static void handlers_keep_their_requests_when_the_peer_leaves(void **state)
{
    static struct client client;
    on_loop(leaving, &client);
}

static void draining(void *arg)
{
    struct client *client = arg;
    begin(client);
    semaphore_init(&gate, 0);
    int32_t slow = request(client, "GET", "/wait", SIZE_MAX, NULL);
    exchange_frames(client);
    conn_drain(client->memory.conn);
    exchange_frames(client);
    assert_true(client->goaway && client->goaway_error == NGHTTP2_NO_ERROR && client->goaway_last == slow);
    assert_true(memory_is_open(&client->memory));
    semaphore_release(&gate);
    exchange_frames(client);
    assert_true(answer_of(client, slow)->status == 200 && !memory_is_open(&client->memory));
    end(client);
}

static void a_drain_sends_goaway_and_lets_streams_end(void **state)
{
    static struct client client;
    on_loop(draining, &client);
}

static void preface(void *arg)
{
    struct memory memory;
    memory_begin(&memory, &options, true);
    memory_send(&memory, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_true(!memory_is_open(&memory));
    memory_end(&memory);
}

static void without_the_preface_it_ends(void **state)
{
    on_loop(preface, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_are_answered),
        cmocka_unit_test(a_stream_that_its_handler_leaves_is_cut_at_once),
        cmocka_unit_test(answers_have_a_body_and_its_length_where_they_may),
        cmocka_unit_test(frames_may_come_in_single_bytes),
        cmocka_unit_test(p2_wrong_region_answer_comes_before_the_body),
        cmocka_unit_test(continue_is_sent_when_the_handler_waits_for_the_body),
        cmocka_unit_test(hostile_heads_are_refused),
        cmocka_unit_test(p8_limits_on_heads_and_bodies_hold),
        cmocka_unit_test(p8_a_half_head_is_cut_whatever_other_streams_do),
        cmocka_unit_test(p8_floods_of_control_frames_are_cut),
        cmocka_unit_test(room_may_be_given_in_small_steps),
        cmocka_unit_test(p8_a_flood_of_empty_data_is_cut),
        cmocka_unit_test(p8_rapid_reset_is_cut),
        cmocka_unit_test(p8_a_flood_of_continuations_is_cut),
        cmocka_unit_test(streams_at_once_are_bounded),
        cmocka_unit_test(p8_slow_peers_are_cut),
        cmocka_unit_test(a_polite_reset_ends_the_handler),
        cmocka_unit_test(p8_a_reset_leaves_the_idle_limit_in_force),
        cmocka_unit_test(a_peer_that_ends_gets_no_more),
        cmocka_unit_test(handlers_keep_their_requests_when_the_peer_leaves),
        cmocka_unit_test(a_drain_sends_goaway_and_lets_streams_end),
        cmocka_unit_test(without_the_preface_it_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
