/* What the memory and the kernel can refuse: the peer is cut, the server goes on. */
#include "failing.h"
#include "memory.h"

static void on_request(struct http_request *request, void *context)
{
    struct str body;
    result r = http_body_read_all(request, 64 * 1024, &body);
    if (failed(r))
        http_problem(request, &r.error, NULL);
    else
        http_respond(request, 200, NULL, 0, body);
}

static const struct http_server_options options = { .on_request = on_request };

static void a_server_that_cannot_be_made(void *arg)
{
    struct http_server *server = NULL;
    struct http_server_options loopback = options;
    loopback.listeners[0] = (struct http_listener){ .address = "127.0.0.1", .cleartext = true };
    loopback.listener_count = 1;
    fail_at("calloc", 0, ENOMEM);
    check_fails(E_MEMORY, http_server_new(&server, &loopback));
    assert_true(has_failed());
    fail_at("socket", 0, EMFILE);
    result r = http_server_new(&server, &loopback);
    assert_true(has_failed());
    assert_int_equal(r.error.code, E_IO);
    assert_non_null(strstr(r.error.what, strerror(EMFILE)));
    assert_null(server);
    check_ok(http_server_new(&server, &loopback));
    http_server_free(server);
}

static void what_is_missing_is_said(void **state)
{
    on_loop(a_server_that_cannot_be_made, NULL);
}

#define HEAD "PUT / HTTP/1.1\r\nHost: a\r\n"

static void half_a_head_without_memory(void *arg)
{
    struct memory memory;
    memory_begin(&memory, &options, false);
    memory_send(&memory, STR(HEAD "X: "));
    char more[300]; /* more than the half that is kept has room for */
    memset(more, 'x', sizeof more);
    fail_at("realloc", 0, ENOMEM);
    memory_send(&memory, (struct str){ more, sizeof more });
    assert_true(has_failed());
    assert_false(memory_is_open(&memory));
    assert_int_equal(memory.out.len, 0);
    memory_end(&memory);
}

static void p8_a_peer_whose_bytes_cannot_be_kept_is_cut(void **state)
{
    on_loop(half_a_head_without_memory, NULL);
}

static void a_body_without_memory(void *arg)
{
    struct memory memory;
    memory_begin(&memory, &options, false);
    fail_at("realloc", 0, ENOMEM);
    memory_send(&memory, STR(HEAD "Transfer-Encoding: chunked\r\n\r\n"));
    assert_true(has_failed());
    assert_true(has(&memory, "HTTP/1.1 503"));
    memory_end(&memory);
}

static void a_body_that_has_no_room_is_an_error(void **state)
{
    on_loop(a_body_without_memory, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_missing_is_said),
        cmocka_unit_test(p8_a_peer_whose_bytes_cannot_be_kept_is_cut),
        cmocka_unit_test(a_body_that_has_no_room_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
