/* HTTP/1.1 on a connection without sockets: requests in, answers out. */
#include "memory.h"

static size_t handled, body_bytes;
static enum error_code body_code;
static struct semaphore gate;
static struct http_request *held;

static void echo(struct http_request *request)
{
    struct str body;
    result r = http_body_read_all(request, 64 * 1024, &body);
    body_code = r.error.code;
    if (failed(r)) {
        http_problem(request, &r.error, NULL);
        return;
    }
    body_bytes = body.len;
    const struct http_header type = { STR("Content-Type"), STR("text/plain") };
    http_respond(request, 200, &type, 1, body);
}

static void stream(struct http_request *request)
{
    http_stream_begin(request, 200, NULL, 0);
    check_ok(http_stream_write(request, STR("one,")));
    check_ok(fiber_yield());
    check_ok(http_stream_write(request, STR("two")));
    if (str_eq(request->path, STR("/broken")))
        return;
    http_stream_end(request);
}

static uint64_t stopped_ns, takes_ns; /* a clock that goes on when a handler says so */

static uint64_t stopped_monotonic(void)
{
    return stopped_ns;
}

static int64_t stopped_wall(void)
{
    return INT64_C(1769860800000);
}

static void on_request(struct http_request *request, void *context)
{
    static const struct http_problem_extra home = { .region = "eu-fr",
                                                    .home_region = "us",
                                                    .home_endpoint = "https://us.example" };
    handled++;
    if (str_eq(request->path, STR("/echo"))) {
        echo(request);
    } else if (str_eq(request->path, STR("/stream")) || str_eq(request->path, STR("/broken"))) {
        stream(request);
    } else if (str_eq(request->path, STR("/home"))) {
        result r =
            FAIL(E_WRONG_REGION, "Send it to the home endpoint.", "the customer \"acme\" lives in \"us\"");
        http_problem(request, &r.error, &home);
    } else if (str_eq(request->path, STR("/wait"))) {
        held = request;
        check_ok(semaphore_acquire(&gate));
        http_respond(request, 200, NULL, 0, STR("late"));
    } else if (str_eq(request->path, STR("/takes"))) {
        stopped_ns += takes_ns;
        http_respond(request, 200, NULL, 0, STR(""));
    } else if (str_eq(request->path, STR("/large"))) {
        static char large[100 * 1000];
        http_respond(request, 200, NULL, 0, (struct str){ large, sizeof large });
    } else if (str_eq(request->path, STR("/forgotten"))) {
        return;
    } else if (str_eq(request->path, STR("/nothing"))) {
        http_respond(request, 204, NULL, 0, STR(""));
    } else if (str_eq(request->path, STR("/unchanged"))) {
        http_respond(request, 304, NULL, 0, STR("what it would be"));
    } else if (str_eq(request->path, STR("/close"))) {
        http_respond_and_close(request, 200, NULL, 0, STR("bye"));
    } else if (str_eq(request->path, STR("/inside"))) {
        result r = FAIL(E_SQL, "Look at node \"par1\".", "relation \"secret\" at 127.10.1.1 is gone");
        http_problem(request, &r.error, NULL);
    } else {
        http_respond(request, 200, NULL, 0, STR("hello"));
    }
}

static const struct http_server_options options = { .on_request = on_request };

static void begin(struct memory *memory)
{
    handled = body_bytes = 0;
    body_code = E_OK;
    memory_begin(memory, &options, false);
}

#define HOST " HTTP/1.1\r\nHost: a\r\n"

/* ---- answers ---- */

static void simple_answers(void *arg)
{
    static const struct {
        const char *request, *begins, *has, *body;
        bool open;
    } cases[] = {
        { "GET /" HOST "\r\n", "HTTP/1.1 200 OK\r\nDate: ", "\r\nContent-Length: 5\r\n\r\nhello", "hello",
          true },
        { "HEAD /" HOST "\r\n", "HTTP/1.1 200 OK\r\n", "\r\nContent-Length: 5\r\n\r\n", "", true },
        { "GET /nothing" HOST "\r\n", "HTTP/1.1 204 No Content\r\n", "00000000\r\n\r\n", "", true },
        { "GET /unchanged" HOST "\r\n", "HTTP/1.1 304 Not Modified\r\n", "00000000\r\n\r\n", "", true },
        { "GET /close" HOST "\r\n", "HTTP/1.1 200 OK\r\n", "\r\nConnection: close\r\n", "bye", false },
        { "GET /" HOST "Connection: close\r\n\r\n", "HTTP/1.1 200", "\r\nConnection: close\r\n", "hello",
          false },
        { "PUT /echo" HOST "Content-Length: 3\r\n\r\nabc", "HTTP/1.1 200",
          "00000000\r\nContent-Type: text/plain\r\n", "abc", true },
        { "PUT /echo" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "HTTP/1.1 200", "",
          "abc", true },
        { "GET /stream" HOST "\r\n", "HTTP/1.1 200", "\r\nTransfer-Encoding: chunked\r\n\r\n",
          "4\r\none,\r\n3\r\ntwo\r\n0\r\n\r\n", true },
        { "HEAD /stream" HOST "\r\n", "HTTP/1.1 200", "\r\nTransfer-Encoding: chunked\r\n\r\n", "", true },
        { "GET /broken" HOST "\r\n", "HTTP/1.1 200", "", "4\r\none,\r\n3\r\ntwo\r\n", false },
        { "PUT /" HOST "Content-Length: 5\r\n\r\n12345", "HTTP/1.1 200", "", "hello", true },
        { "PUT /" HOST "Content-Length: 500000\r\n\r\n12345", "HTTP/1.1 200", "\r\nConnection: close\r\n",
          "hello", false },
        { "PUT /" HOST "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n", "HTTP/1.1 200",
          "\r\nConnection: close\r\n", "hello", false },
        { "PUT /echo" HOST "Content-Length: 70000\r\n\r\n", "HTTP/1.1 413 Content Too Large\r\n",
          "\r\nConnection: close\r\n", NULL, false },
        { "PUT /echo" HOST "Content-Length: 70000\r\nExpect: 100-continue\r\n\r\n", "HTTP/1.1 413", "", NULL,
          false },
        { "PUT /echo" HOST "Transfer-Encoding: chunked\r\n\r\n3\nabc", "HTTP/1.1 400",
          "urn:domicile:error:body\"", NULL, false },
        { "GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 400", "urn:domicile:error:head\"", NULL, false },
        { "GET /", "", "", "", true },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct memory memory;
        begin(&memory);
        memory_send(&memory, str_from(cases[i].request));
        const char *out = memory.out.ptr, *end = strstr(out, "\r\n\r\n");
        check_row(cases[i].request, strncmp(out, cases[i].begins, strlen(cases[i].begins)) == 0);
        check_row(cases[i].request, strstr(out, cases[i].has) != NULL);
        if (cases[i].body != NULL)
            check_row(cases[i].request, strcmp(end == NULL ? out : end + 4, cases[i].body) == 0);
        check_row(cases[i].request, !has(&memory, "100 Continue"));
        check_row(cases[i].request, memory_is_open(&memory) == cases[i].open);
        memory_end(&memory);
    }
}

static void requests_get_their_answers(void **state)
{
    on_loop(simple_answers, NULL);
}

static void in_single_bytes(void *arg)
{
    static const char text[] =
        "PUT /echo" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: t\r\n\r\n"
        "GET /" HOST "\r\nPUT /echo" HOST "Content-Length: 4\r\n\r\nwxyz";
    struct memory memory;
    begin(&memory);
    for (size_t i = 0; i + 1 < sizeof text; i++)
        memory_send(&memory, (struct str){ text + i, 1 });
    assert_true(count_of(&memory, "HTTP/1.1 200 OK\r\n") == 3);
    assert_true(has(&memory, "\r\n\r\nabcde") && has(&memory, "\r\n\r\nhello") &&
                has(&memory, "\r\n\r\nwxyz"));
    memory_end(&memory);
}

static void requests_may_come_in_single_bytes(void **state)
{
    on_loop(in_single_bytes, NULL);
}

static void pipelined(void *arg)
{
    struct memory memory;
    begin(&memory);
    memory_send(&memory,
                STR("PUT /echo" HOST "Content-Length: 1\r\n\r\n1PUT /echo" HOST "Content-Length: 1\r\n\r\n2"
                    "PUT /" HOST "Content-Length: 1\r\n\r\n3PUT /echo" HOST
                    "Transfer-Encoding: chunked\r\n\r\n1\r\n4\r\n0\r\n\r\nGET /close" HOST "\r\nGET /" HOST
                    "\r\n"));
    settle();
    settle();
    memory_collect(&memory);
    const char *one = strstr(memory.out.ptr, "\r\n\r\n1"), *two = strstr(memory.out.ptr, "\r\n\r\n2");
    const char *four = strstr(memory.out.ptr, "\r\n\r\n4"), *bye = strstr(memory.out.ptr, "\r\n\r\nbye");
    assert_true(one != NULL && two > one && four > two && bye > four);
    assert_true(handled == 5); /* nothing behind a close */
    assert_true(!memory_is_open(&memory));
    memory_end(&memory);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    on_loop(pipelined, NULL);
}

/* A peer that sends on and on while its answer is pending is made to wait: here, what is kept is bounded. */
static void pipelining_without_end(void *arg)
{
    static char block[16 * 1024];
    struct memory memory;
    memset(block, 'x', sizeof block);
    begin(&memory);
    semaphore_init(&gate, 0);
    memory_send(&memory, STR("GET /wait" HOST "\r\n"));
    size_t sent = 0;
    while (sent < 1024 * 1024 && memory.conn->stash.len < STASH_BYTES) {
        memory_send(&memory, (struct str){ block, sizeof block });
        sent += sizeof block;
    }
    assert_true(sent <= STASH_BYTES + PLAIN_BYTES && handled == 1);
    semaphore_release(&gate);
    settle();
    memory_collect(&memory);
    assert_true(has(&memory, "late") && has(&memory, "431"));
    memory_end(&memory);
}

static void pipelined_bytes_are_bounded_while_an_answer_is_pending(void **state)
{
    on_loop(pipelining_without_end, NULL);
}

/* Small requests for large answers, from a peer that reads none of them. */
static void asking_without_end(void *arg)
{
    struct memory memory;
    begin(&memory);
    for (int i = 0; i < 100; i++)
        conn_receive(memory.conn, STR("GET /large" HOST "\r\n"));
    for (int i = 0; i < 20; i++)
        settle();
    assert_true(handled == 3 && memory.conn->out.len < OUT_HIGH_BYTES + 110 * 1000);
    for (int i = 0; i < 100; i++) {
        memory_collect(&memory);
        settle();
    }
    assert_true(handled == 100);
    memory_end(&memory);
}

static void p8_answers_that_nobody_reads_are_not_piled_up(void **state)
{
    on_loop(asking_without_end, NULL);
}

/* ---- the body and the region ---- */

static void wrong_region(void *arg)
{
    static const char *requests[] = {
        "PUT /home" HOST "Content-Length: 1000000\r\n\r\n",
        "PUT /home" HOST "Content-Length: 10\r\nExpect: 100-continue\r\n\r\n",
        "PUT /home" HOST "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
        "PUT /home" HOST "Transfer-Encoding: chunked\r\n\r\n",
    };
    for (size_t i = 0; i < COUNT(requests); i++) {
        struct memory memory;
        begin(&memory);
        memory_send(&memory, str_from(requests[i]));
        check_row(requests[i], strncmp(memory.out.ptr, "HTTP/1.1 421 Misdirected Request\r\n", 34) == 0);
        check_row(requests[i], has(&memory, "\r\nConnection: close\r\n"));
        check_row(requests[i], has(&memory, "\"home_endpoint\":\"https://us.example\""));
        check_row(requests[i],
                  has(&memory, "\"region\":\"eu-fr\"") && has(&memory, "\"home_region\":\"us\""));
        check_row(requests[i], !has(&memory, "100 Continue"));
        check_row(requests[i], !memory_is_open(&memory));
        check_row(requests[i], memory.conn->h1_body.state != BODY_ENDED); /* no byte of it was taken */
        memory_end(&memory);
    }
}

static void p2_wrong_region_answer_comes_before_the_body(void **state)
{
    on_loop(wrong_region, NULL);
}

static void continued(void *arg)
{
    struct memory memory;
    begin(&memory);
    memory_send(&memory, STR("PUT /echo" HOST "Content-Length: 4\r\nExpect: 100-continue\r\n\r\n"));
    assert_true(strcmp(memory.out.ptr, "HTTP/1.1 100 Continue\r\n\r\n") == 0);
    memory_send(&memory, STR("body"));
    assert_true(has(&memory, "\r\n\r\nbody") && count_of(&memory, "100 Continue") == 1);
    memory_send(&memory, STR("PUT /echo" HOST "Content-Length: 4\r\nExpect: 100-continue\r\n\r\nsoon"));
    assert_true(has(&memory, "\r\n\r\nsoon") &&
                count_of(&memory, "100 Continue") == 1); /* it did not wait for it */
    assert_true(memory_is_open(&memory));
    memory_end(&memory);
}

static void continue_is_sent_when_the_handler_waits_for_the_body(void **state)
{
    on_loop(continued, NULL);
}

static void unread(void *arg)
{
    static char block[32 * 1024];
    struct memory memory;
    begin(&memory);
    memory_send(&memory, STR("PUT /" HOST "Content-Length: 32768\r\n\r\n"));
    assert_true(has(&memory, "\r\n\r\nhello") && memory_is_open(&memory));
    memory_send(&memory, (struct str){ block, sizeof block });
    memory_send(&memory, STR("GET /" HOST "\r\n"));
    assert_true(handled == 2 && count_of(&memory, "HTTP/1.1 200") == 2);
    memory_end(&memory);
}

static void a_small_body_that_nobody_read_is_passed_over(void **state)
{
    on_loop(unread, NULL);
}

static void counted(void *arg)
{
    static char block[10000];
    struct memory memory;
    memset(block, 'x', sizeof block);
    begin(&memory);
    memory_send(&memory, STR("PUT /echo" HOST "Transfer-Encoding: chunked\r\n\r\n"));
    for (int i = 0; i < 7 && body_code == E_OK; i++) {
        memory_send(&memory, STR("2710\r\n"));
        memory_send(&memory, (struct str){ block, sizeof block });
        memory_send(&memory, STR("\r\n"));
    }
    assert_true(body_code == E_BODY_SIZE && has(&memory, "HTTP/1.1 413") && !memory_is_open(&memory));
    memory_end(&memory);
}

static void p8_chunks_beyond_the_limit_are_refused_as_they_are_counted(void **state)
{
    on_loop(counted, NULL);
}

/* ---- peers that leave ---- */

static void leaving(void *arg)
{
    struct memory memory;
    begin(&memory);
    memory_send(&memory, STR("PUT /echo" HOST "Content-Length: 10\r\n\r\nabc"));
    conn_ended(memory.conn);
    settle();
    assert_true(body_code == E_PEER_GONE);
    memory_end(&memory);

    begin(&memory);
    semaphore_init(&gate, 0);
    memory_send(&memory, STR("GET /wait" HOST "\r\n"));
    conn_abort(memory.conn);
    settle();
    assert_true(http_server_stats(memory.server)->requests_in_flight ==
                1); /* the handler has it until it answers */
    assert_true(str_is(held->path, "/wait") && str_is(held->authority, "a"));
    semaphore_release(&gate);
    settle();
    assert_true(http_server_stats(memory.server)->requests_in_flight == 0);
    memory_end(&memory);
}

static void a_handler_keeps_its_request_when_the_peer_leaves(void **state)
{
    on_loop(leaving, NULL);
}

static void half_closed(void *arg)
{
    struct memory memory;
    begin(&memory);
    semaphore_init(&gate, 0);
    memory_send(&memory, STR("GET /wait" HOST "\r\nGET /" HOST "\r\n"));
    conn_ended(memory.conn);
    semaphore_release(&gate);
    settle();
    memory_collect(&memory);
    assert_true(has(&memory, "late") && has(&memory, "hello") && !memory_is_open(&memory));
    memory_end(&memory);
}

static void who_ends_its_side_still_gets_its_answers(void **state)
{
    on_loop(half_closed, NULL);
}

/* ---- limits and drain ---- */

static void limits(void *arg)
{
    static char block[20000];
    struct memory memory;
    memset(block, 'x', sizeof block);
    begin(&memory);
    memory_send(&memory, STR("GET /" HOST "X: "));
    memory_send(&memory, (struct str){ block, sizeof block });
    assert_true(has(&memory, "HTTP/1.1 431") && has(&memory, "urn:domicile:error:head-size") &&
                !memory_is_open(&memory));
    assert_true(handled == 0 && http_server_stats(memory.server)->heads_refused == 1);
    memory_end(&memory);

    struct http_server_options few = options;
    few.limits.requests_per_connection = 3;
    memory_begin(&memory, &few, false);
    for (int i = 0; i < 3; i++)
        memory_send(&memory, STR("GET /" HOST "\r\n"));
    assert_true(count_of(&memory, "HTTP/1.1 200") == 3 && count_of(&memory, "Connection: close") == 1);
    assert_true(!memory_is_open(&memory));
    memory_end(&memory);
}

static void p8_limits_on_heads_and_requests_hold(void **state)
{
    on_loop(limits, NULL);
}

static void limits_left_out(void *arg)
{
    struct memory memory;
    begin(&memory);
    const struct http_limits *limits = &memory.server->limits;
    assert_int_equal(limits->head_bytes, 16 * 1024);
    assert_int_equal(limits->headers, 100);
    assert_int_equal(limits->body_bytes, 1024 * 1024);
    assert_int_equal(limits->connections, 20000);
    assert_int_equal(limits->streams_per_connection, 100);
    assert_int_equal(limits->requests_per_connection, 10000);
    assert_int_equal(limits->handshake_within_ms, 10000);
    assert_int_equal(limits->head_within_ms, 10000);
    assert_int_equal(limits->body_within_ms, 30000);
    assert_int_equal(limits->idle_ms, 60000);
    assert_int_equal(limits->stall_ms, 20000);
    assert_int_equal(limits->linger_ms, 2000);
    memory_end(&memory);
}

static void p8_limits_that_are_left_out_are_those_of_the_header(void **state)
{
    on_loop(limits_left_out, NULL);
}

static void draining(void *arg)
{
    struct memory memory;
    begin(&memory);
    semaphore_init(&gate, 0);
    memory_send(&memory, STR("GET /wait" HOST "\r\n"));
    memory.server->draining = true;
    conn_drain(memory.conn);
    assert_true(memory_is_open(&memory));
    semaphore_release(&gate);
    settle();
    memory_collect(&memory);
    assert_true(has(&memory, "late") && has(&memory, "Connection: close") && !memory_is_open(&memory));
    memory_end(&memory);
}

static void a_drain_lets_the_request_in_flight_end(void **state)
{
    on_loop(draining, NULL);
}

static void limit_later(void *arg)
{
    struct memory memory;
    begin(&memory);
    http_server_limit_bodies(memory.server, 1000, 60);
    assert_true(memory.server->limits.body_bytes == 1000 && memory.server->limits.headers == 100);
    memory_send(&memory, STR("PUT /echo" HOST "Content-Length: 1000\r\n\r\n"));
    for (int i = 0; i < 100 && memory_is_open(&memory); i++) {
        check_ok(fiber_sleep(10));
        memory_send(&memory, STR("a"));
    }
    assert_true(has(&memory, "HTTP/1.1 408") && body_code == E_SLOW && !memory_is_open(&memory));
    memory_end(&memory);
}

static void limits_of_bodies_may_change_while_it_runs(void **state)
{
    on_loop(limit_later, NULL);
}

static void slow(void *arg)
{
    struct http_server_options quick = options;
    quick.limits = (struct http_limits){ .head_within_ms = 60, .body_within_ms = 60, .idle_ms = 60 };
    struct memory memory;
    memory_begin(&memory, &quick, false);
    memory_send(&memory,
                STR("GET / HTTP/1.1\r\n")); /* at once: a connection that is idle is closed without a word */
    int more = 0;
    for (; more < 100 && !has(&memory, "HTTP/1.1 408"); more++) { /* a byte now and then does not help */
        check_ok(fiber_sleep(10));
        memory_send(&memory, STR("a"));
    }
    assert_true(has(&memory, "HTTP/1.1 408") && more < 100);
    memory_end(&memory);

    memory_begin(&memory, &quick, false);
    memory_send(&memory, STR("PUT /echo" HOST "Content-Length: 1000\r\n\r\n"));
    for (int i = 0; i < 100 && memory_is_open(&memory); i++) {
        check_ok(fiber_sleep(10));
        memory_send(&memory, STR("a"));
    }
    assert_true(has(&memory, "HTTP/1.1 408") && body_code == E_SLOW && !memory_is_open(&memory));
    memory_end(&memory);

    memory_begin(&memory, &quick, false);
    check_ok(fiber_sleep(200));
    assert_true(!memory_is_open(&memory) && memory.conn->out.len == 0);
    memory_end(&memory);
}

static void p8_who_dribbles_is_cut_however_steadily(void **state)
{
    on_loop(slow, NULL);
}

/* ---- counts ---- */

static void quiet(void *context, enum log_level level, const char *line)
{
    snprintf(context, 512, "%s", line);
}

static void counted_answers(void *arg)
{
    static const uint32_t bounds_us[HTTP_DURATION_BOUNDS] = HTTP_DURATION_BOUNDS_US;
    struct memory memory;
    begin(&memory);
    const struct http_stats *stats = http_server_stats(memory.server);
    uint64_t sum_us = 0;
    for (size_t i = 0; i < HTTP_DURATION_BOUNDS; i++)
        for (uint32_t more = 0; more < 2; more++) {
            struct http_stats before = *stats;
            takes_ns = (uint64_t)(bounds_us[i] + more) * 1000 + 999; /* whole microseconds count */
            memory_send(&memory, STR("GET /takes" HOST "\r\n"));
            sum_us += bounds_us[i] + more;
            assert_int_equal(stats->durations[i + more], before.durations[i + more] + 1);
        }
    assert_int_equal(stats->durations_us, sum_us);
    assert_int_equal(stats->requests[HTTP_PROTOCOL_1_1][2], 2 * HTTP_DURATION_BOUNDS);
    memory_send(&memory, STR("GET /inside" HOST "\r\n"));
    assert_int_equal(stats->requests[HTTP_PROTOCOL_1_1][5], 1);
    assert_int_equal(stats->requests[HTTP_PROTOCOL_2][2], 0);
    memory_end(&memory);
}

static void answers_are_counted_by_status_and_duration(void **state)
{
    static const struct clock_source stopped = { stopped_monotonic, stopped_wall };
    char said[512];
    stopped_ns = 1000000000;
    log_set_sink(quiet, said);
    clock_set_source(&stopped);
    on_loop(counted_answers, NULL);
    clock_set_source(NULL);
    log_set_sink(NULL, NULL);
}

/* ---- problems ---- */

static void inside(void *arg)
{
    char line[512] = "";
    struct memory memory;
    begin(&memory);
    log_set_sink(quiet, line);
    memory_send(&memory, STR("GET /inside" HOST "\r\n"));
    log_set_sink(NULL, NULL);
    assert_true(has(&memory, "HTTP/1.1 500") && has(&memory, "Content-Type: application/problem+json"));
    assert_true(has(&memory, "\"type\":\"urn:domicile:error:sql\"") &&
                has(&memory, "\"instance\":\"urn:domicile:request:"));
    assert_true(!has(&memory, "secret") && !has(&memory, "127.10") && !has(&memory, "par1"));
    assert_true(strstr(line, "secret") != NULL && strstr(line, "request=") != NULL);
    memory_end(&memory);
}

static void p2_what_failed_inside_is_logged_and_not_told(void **state)
{
    on_loop(inside, NULL);
}

#ifdef NDEBUG /* else it is a bug that aborts */
static void forgotten(void *arg)
{
    char line[512] = "";
    struct memory memory;
    begin(&memory);
    log_set_sink(quiet, line);
    memory_send(&memory, STR("GET /forgotten" HOST "\r\n"));
    log_set_sink(NULL, NULL);
    assert_true(has(&memory, "HTTP/1.1 500") && has(&memory, "urn:domicile:error:internal"));
    assert_true(strstr(line, "did not answer") != NULL);
    memory_end(&memory);
}

static void a_forgotten_answer_is_an_internal_error(void **state)
{
    on_loop(forgotten, NULL);
}
#endif

static void use_up_numbers(void *arg)
{
    struct memory memory;
    char ids[4][HTTP_ID_SIZE];
    begin(&memory);
    server_make_id(memory.server, ids[0]);
    memory.server->id_next = UINT32_MAX;
    for (int i = 1; i < 4; i++)
        server_make_id(memory.server, ids[i]);
    assert_int_equal(strncmp(ids[0], ids[1], 16), 0);
    assert_string_equal(ids[1] + 16, "ffffffff");
    assert_int_not_equal(strncmp(ids[1], ids[2], 16), 0);
    assert_string_equal(ids[2] + 16, "00000000");
    assert_int_equal(strncmp(ids[2], ids[3], 16), 0);
    memory_end(&memory);
}

static void an_id_does_not_come_again_when_its_numbers_are_used_up(void **state)
{
    on_loop(use_up_numbers, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_get_their_answers),
        cmocka_unit_test(an_id_does_not_come_again_when_its_numbers_are_used_up),
        cmocka_unit_test(requests_may_come_in_single_bytes),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(pipelined_bytes_are_bounded_while_an_answer_is_pending),
        cmocka_unit_test(p8_answers_that_nobody_reads_are_not_piled_up),
        cmocka_unit_test(p2_wrong_region_answer_comes_before_the_body),
        cmocka_unit_test(continue_is_sent_when_the_handler_waits_for_the_body),
        cmocka_unit_test(a_small_body_that_nobody_read_is_passed_over),
        cmocka_unit_test(p8_chunks_beyond_the_limit_are_refused_as_they_are_counted),
        cmocka_unit_test(a_handler_keeps_its_request_when_the_peer_leaves),
        cmocka_unit_test(who_ends_its_side_still_gets_its_answers),
        cmocka_unit_test(p8_limits_that_are_left_out_are_those_of_the_header),
        cmocka_unit_test(p8_limits_on_heads_and_requests_hold),
        cmocka_unit_test(a_drain_lets_the_request_in_flight_end),
        cmocka_unit_test(limits_of_bodies_may_change_while_it_runs),
        cmocka_unit_test(p8_who_dribbles_is_cut_however_steadily),
        cmocka_unit_test(answers_are_counted_by_status_and_duration),
        cmocka_unit_test(p2_what_failed_inside_is_logged_and_not_told),
#ifdef NDEBUG
        cmocka_unit_test(a_forgotten_answer_is_an_internal_error),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
