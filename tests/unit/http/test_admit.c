/* What peers can make a server hold: requests, fibers, bytes. Many connections of HTTP/2, in frames as they are on the
 * wire. */
#include "memory.h"

#include <arpa/inet.h>

enum { ANSWER_BYTES = 1024 * 1024, CONNS = 40 };

static size_t handled, busy;
static struct semaphore gate;

static void on_request(struct http_request *request, void *context)
{
    handled++;
    if (str_eq(request->path, STR("/wait"))) {
        check_ok(semaphore_acquire(&gate));
        http_respond(request, 200, NULL, 0, STR("late"));
    } else if (str_eq(request->path, STR("/large"))) {
        char *large = arena_alloc(&request->arena, ANSWER_BYTES);
        memset(large, 'l', ANSWER_BYTES);
        http_respond(request, 200, NULL, 0, (struct str){ large, ANSWER_BYTES });
    } else if (str_eq(request->path, STR("/body")) || str_eq(request->path, STR("/token"))) {
        struct str body;
        result r = http_body_read_all(request, ANSWER_BYTES, &body);
        busy += failed(r) && r.error.code == E_BUSY;
        if (failed(r))
            http_problem(request, &r.error, NULL);
        else
            http_respond(request, 200, NULL, 0, STR("taken"));
    } else {
        http_respond(request, 200, NULL, 0, STR("hello"));
    }
}

static size_t body_first(const struct http_request *request, void *context)
{
    return str_eq(request->path, STR("/token")) ? 2048 : 0;
}

/* ---- many connections ---- */

static struct http_server *server;
static struct conn *conns[CONNS];

static void start(const struct http_limits *limits)
{
    const struct http_server_options options = { .on_request = on_request,
                                                 .body_first = body_first,
                                                 .limits = *limits };
    handled = busy = 0;
    semaphore_init(&gate, 0);
    must(!failed(server_new_bare(&server, &options)));
}

static struct conn *open_from(const char *address)
{
    static const char hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    struct sockaddr_in peer = { .sin_family = AF_INET };
    must(inet_pton(AF_INET, address, &peer.sin_addr) == 1);
    struct conn *conn = conn_new(server, NULL);
    must(conn != NULL);
    address_set(conn, (struct sockaddr *)&peer);
    conn->handle_open = true; /* keeps it until all is over */
    conn_open(conn, &h2_protocol);
    conn_receive(conn, (struct str){ hello, sizeof hello - 1 });
    return conn;
}

static void take_output(struct conn *conn)
{
    buf_done(&conn->out);
    conn_touch(conn);
}

static void stop(struct conn *const *all, size_t count)
{
    for (size_t i = 0; i < count; i++)
        conn_abort(all[i]);
    settle();
    for (size_t i = 0; i < handled; i++)
        semaphore_release(&gate);
    settle();
    for (size_t i = 0; i < count; i++) {
        all[i]->handle_open = false;
        conn_maybe_free(all[i]);
    }
    assert_true(http_server_stats(server)->held_bytes == 0 &&
                http_server_stats(server)->requests_in_flight == 0);
    http_server_free(server);
}

enum ends { HALF, WHOLE };

/* A head with END_HEADERS, all of it in the static table or literal. */
static void ask(struct conn *conn, int stream, const char *path, enum ends ends)
{
    char frame[64] = { 0, 0, 0, 1, (char)(ends == WHOLE ? 5 : 4), 0, 0, (char)(stream >> 8), (char)stream };
    size_t length = strlen(path), at = 9;
    frame[at++] = (char)(ends == WHOLE ? 0x82 : 0x83); /* GET, POST */
    frame[at++] = (char)0x87;
    frame[at++] = 0x04; /* :path */
    frame[at++] = (char)length;
    memcpy(frame + at, path, length);
    at += length;
    memcpy(frame + at,
           "\x01\x01"
           "a",
           3); /* :authority */
    at += 3;
    frame[2] = (char)(at - 9);
    conn_receive(conn, (struct str){ frame, at });
}

static void send_body(struct conn *conn, int stream, enum ends ends)
{
    const char frame[] = {
        0, 0, 3, 0, (char)(ends == WHOLE ? 1 : 0), 0, 0, (char)(stream >> 8), (char)stream, 'a', 'b', 'c'
    };
    conn_receive(conn, (struct str){ frame, sizeof frame });
}

static uint64_t answers(int status_class)
{
    return http_server_stats(server)->requests[HTTP_PROTOCOL_2][status_class];
}

/* ---- half requests ---- */

static void no_fibers(void *arg)
{
    const struct http_limits limits = { .body_within_ms = 60 * 1000 };
    start(&limits);
    conns[0] = open_from("192.0.2.1");
    size_t alive = loop_stats().fibers_alive;
    for (int stream = 1; stream < 200; stream += 2)
        ask(conns[0], stream, "/token", HALF);
    for (int stream = 1; stream < 200; stream += 2)
        send_body(conns[0], stream, HALF);
    settle();
    assert_true(handled == 0 && loop_stats().fibers_alive == alive);
    send_body(conns[0], 1, WHOLE);
    settle();
    assert_true(handled == 1 && answers(2) == 1);
    conn_check_due(conns[0], conn_now_ms() + 30 * 1000);
    assert_true(answers(4) == 0);
    conn_check_due(conns[0], conn_now_ms() + 61 * 1000);
    settle();
    assert_true(answers(4) == 99 && handled == 1);
    stop(conns, 1);
}

static void p8_half_requests_that_need_their_body_take_no_fiber(void **state)
{
    on_loop(no_fibers, NULL);
}

static void make_room(void *arg)
{
    static const struct {
        const char *title, *path;
        struct http_limits limits;
        size_t busy;
    } cases[] = {
        { "the process, handlers", "/body", { .requests = 100 }, 300 },
        { "the process, without fibers", "/token", { .requests = 100 }, 0 },
        { "an address, handlers", "/body", { .requests_per_address = 100 }, 300 },
        { "an address, without fibers", "/token", { .requests_per_address = 100 }, 0 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        start(&cases[i].limits);
        for (size_t c = 0; c < 4; c++)
            conns[c] = open_from("192.0.2.1");
        conns[4] = open_from("192.0.2.1");
        for (int n = 0; n < 100; n++) {
            for (size_t c = 0; c < 4; c++)
                ask(conns[c], 2 * n + 1, cases[i].path, HALF);
            settle();
            for (size_t c = 0; c < 4; c++)
                take_output(conns[c]);
            if (n % 10 != 0)
                continue;
            ask(conns[4], n * 2 + 1, "/", WHOLE); /* somebody else's whole request, meanwhile */
            settle();
            take_output(conns[4]);
        }
        check_row(cases[i].title, answers(2) == 10);
        check_row(cases[i].title, http_server_stats(server)->requests_evicted >= 300);
        check_row(cases[i].title, http_server_stats(server)->requests_refused == 0);
        check_row(cases[i].title, answers(5) >= 300 && busy >= cases[i].busy);
        check_row(cases[i].title, server->admitted <= 100);
        stop(conns, 5);
    }
}

static void p8_half_requests_make_room_for_whole_ones(void **state)
{
    on_loop(make_room, NULL);
}

/* Work that is being done is not given up for more of it. */
static void full(void *arg)
{
    static const struct {
        const char *title;
        struct http_limits limits;
        uint64_t refused;
    } cases[] = {
        { "the process", { .requests = 60 }, 2 },
        { "an address", { .requests_per_address = 60 }, 1 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        start(&cases[i].limits);
        for (size_t c = 0; c < 3; c++)
            conns[c] = open_from("192.0.2.1");
        conns[3] = open_from("192.0.2.2");
        for (int n = 0; n < 20; n++)
            for (size_t c = 0; c < 3; c++)
                ask(conns[c], 2 * n + 1, "/wait", WHOLE);
        settle();
        assert_true(handled == 60);
        ask(conns[0], 101, "/", WHOLE);
        ask(conns[3], 1, "/", WHOLE);
        settle();
        check_row(cases[i].title, http_server_stats(server)->requests_refused == cases[i].refused);
        check_row(cases[i].title, answers(5) == cases[i].refused && answers(2) == 2 - cases[i].refused);
        for (int n = 0; n < 60; n++)
            semaphore_release(&gate);
        settle();
        ask(conns[0], 103, "/", WHOLE);
        settle();
        check_row(cases[i].title, answers(2) == 63 - cases[i].refused);
        stop(conns, 4);
    }
}

static void p8_beyond_a_cap_the_new_request_is_refused(void **state)
{
    on_loop(full, NULL);
}

static void turns(void *arg)
{
    start(&(struct http_limits){ .body_within_ms = 1000 * 1000 });
    conns[0] = open_from("192.0.2.1");
    size_t alive = loop_stats().fibers_alive;
    for (int n = 0; n < 100; n++)
        ask(conns[0], 2 * n + 1, "/wait", WHOLE);
    settle();
    assert_true(handled == RUNNING_MAX && loop_stats().fibers_alive == alive + RUNNING_MAX);
    for (int n = 0; n < 100; n++) {
        semaphore_release(&gate);
        settle();
    }
    assert_true(handled == 100 && answers(2) == 100);
    stop(conns, 1);
}

static void p8_a_connection_runs_a_bounded_number_of_handlers(void **state)
{
    on_loop(turns, NULL);
}

/* A slow upload holds up nobody else on the connection, who may be another client of the same proxy. */
static void slow_bodies(void *arg)
{
    start(&(struct http_limits){ 0 });
    conns[0] = open_from("192.0.2.1");
    for (int n = 0; n < 2 * RUNNING_MAX; n++)
        ask(conns[0], 2 * n + 1, "/body", HALF);
    settle();
    assert_true(handled == 2 * RUNNING_MAX);
    ask(conns[0], 4 * RUNNING_MAX + 1, "/", WHOLE);
    settle();
    assert_true(answers(2) == 1);
    stop(conns, 1);
}

static void slow_bodies_hold_up_nobody(void **state)
{
    on_loop(slow_bodies, NULL);
}

/* ---- connections ---- */

static void quiet_ones(void *arg)
{
    static const char half[] = { 0, 0, 1, 1, 0, 0, 0, 0, 3, (char)0x82 };
    start(&(struct http_limits){ 0 });
    for (int i = 0; i < 4; i++)
        conns[i] = open_from("192.0.2.1");
    for (int i = 0; i < 3; i++)
        ask(conns[i], 1, i == 0 ? "/wait" : "/", WHOLE);
    settle();
    for (int i = 0; i < 4; i++)
        take_output(conns[i]);
    conn_receive(conns[2], (struct str){ half, sizeof half });
    static const int order[] = { 3, 2, 1 }; /* it had no request; it has half a head; it is idle */
    for (size_t i = 0; i < COUNT(order); i++) {
        assert_true(conns[order[i]]->state == CONN_OPEN && server_evict_quiet(server));
        assert_true(conns[order[i]]->state == CONN_CLOSED);
    }
    assert_true(!server_evict_quiet(server) && conns[0]->state == CONN_OPEN); /* it has a request */
    stop(conns, 4);
}

static void p8_half_connections_go_before_idle_ones(void **state)
{
    on_loop(quiet_ones, NULL);
}

/* ---- bytes ---- */

/* The window of each stream is 64 KiB, and the peer never opens it. */
static void closed_windows(void *arg)
{
    start(&(struct http_limits){ .stall_ms = 60 * 1000 });
    conns[0] = open_from("192.0.2.1");
    for (int n = 0; n < 100; n++)
        ask(conns[0], 2 * n + 1, "/large", WHOLE);
    for (int i = 0; i < 20; i++) {
        settle();
        take_output(conns[0]);
    }
    size_t held = http_server_stats(server)->held_bytes;
    print_message("100 GETs of 1 MiB with closed windows: %zu MiB held\n", held >> 20);
    assert_true(held > 4 * ANSWER_BYTES && held <= (RUNNING_MAX + 4) * (size_t)ANSWER_BYTES);
    assert_true(handled <= RUNNING_MAX + 4);
    conn_check_due(conns[0], conn_now_ms()); /* from here on it counts */
    conn_check_due(conns[0], conn_now_ms() + 61 * 1000);
    for (int i = 0; i < 20; i++) {
        settle();
        take_output(conns[0]);
    }
    assert_true(handled > RUNNING_MAX + 4 || answers(5) > 0); /* the next had their turn, or were told */
    stop(conns, 1);
}

static void p8_a_closed_window_holds_a_bounded_number_of_bytes(void **state)
{
    on_loop(closed_windows, NULL);
}

static void budgets(void *arg)
{
    enum { BUDGET = 16 };
    static const struct {
        const char *title;
        struct http_limits limits;
        uint64_t others; /* of 1: whether another address is served */
    } cases[] = {
        { "the process", { .bytes = BUDGET * ANSWER_BYTES }, 0 },
        { "an address", { .bytes_per_address = BUDGET * ANSWER_BYTES }, 1 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http_limits limits = cases[i].limits;
        limits.stall_ms = 60 * 1000;
        start(&limits);
        for (size_t c = 0; c < CONNS - 1; c++)
            conns[c] = open_from("192.0.2.1");
        conns[CONNS - 1] = open_from("192.0.2.2");
        for (size_t c = 0; c < CONNS - 1; c++) {
            ask(conns[c], 1, "/large", WHOLE);
            settle();
            take_output(conns[c]);
        }
        check_row(cases[i].title, http_server_stats(server)->held_bytes <= (size_t)BUDGET * ANSWER_BYTES);
        check_row(cases[i].title, http_server_stats(server)->requests_refused >= CONNS - 1 - 2 * BUDGET);
        uint64_t served = answers(2);
        ask(conns[CONNS - 1], 1, "/large", WHOLE);
        settle();
        check_row(cases[i].title, answers(2) - served == cases[i].others);
        for (size_t c = 0; c < CONNS; c++)
            conn_check_due(conns[c], conn_now_ms());
        for (size_t c = 0; c < CONNS; c++) /* who takes nothing goes sooner under pressure */
            conn_check_due(conns[c], conn_now_ms() + (cases[i].others ? 61 : 7) * 1000);
        settle();
        check_row(cases[i].title,
                  http_server_stats(server)->held_bytes <= BUDGET * ANSWER_BYTES / 2 + ANSWER_BYTES);
        ask(conns[0], 3, "/", WHOLE);
        settle();
        check_row(cases[i].title, answers(2) == served + cases[i].others + 1);
        stop(conns, CONNS);
    }
}

static void p8_bytes_beyond_a_budget_are_refused_and_come_back(void **state)
{
    on_loop(budgets, NULL);
}

static void bodies(void *arg)
{
    start(&(struct http_limits){ .bytes = 2 * 1024 });
    conns[0] = open_from("192.0.2.1");
    ask(conns[0], 1, "/body", HALF);
    send_body(conns[0], 1, HALF);
    settle();
    assert_true(busy == 1 && answers(5) == 1);
    stop(conns, 1);
}

static void p8_a_body_beyond_the_budget_is_refused(void **state)
{
    on_loop(bodies, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p8_half_requests_that_need_their_body_take_no_fiber),
        cmocka_unit_test(p8_half_requests_make_room_for_whole_ones),
        cmocka_unit_test(p8_beyond_a_cap_the_new_request_is_refused),
        cmocka_unit_test(p8_a_connection_runs_a_bounded_number_of_handlers),
        cmocka_unit_test(slow_bodies_hold_up_nobody),
        cmocka_unit_test(p8_half_connections_go_before_idle_ones),
        cmocka_unit_test(p8_a_closed_window_holds_a_bounded_number_of_bytes),
        cmocka_unit_test(p8_bytes_beyond_a_budget_are_refused_and_come_back),
        cmocka_unit_test(p8_a_body_beyond_the_budget_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
