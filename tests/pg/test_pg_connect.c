/* One connection: who is let in, how failures are told apart, and single statements. */
#include "server.h"

#include <arpa/inet.h>
#include <sys/socket.h>

ON_LOOP(tls_with_a_client_certificate_connects)
{
    struct pg_conn *conn = server_open(server_role("gateway"));
    struct pg_reply reply = PG_REPLY_INIT;
    check_ok(pg_exec(
        conn, "SELECT current_user::text, s.ssl, s.version FROM pg_stat_ssl s WHERE pid = pg_backend_pid()",
        NULL, 0, &reply));
    assert_true(str_is(pg_reply_str(&reply, 0, 0), "domicile_gateway"));
    assert_int_equal(pg_reply_number(&reply, 0, 1), 1);
    assert_true(str_is(pg_reply_str(&reply, 0, 2), "TLSv1.3"));
    pg_reply_done(&reply);
    pg_close(conn);
}

static void refused(struct pg_connect_options options, enum error_code code)
{
    struct pg_conn *conn = NULL;
    check_fails(code, pg_connect(&options, &conn));
    assert_null(conn);
}

ON_LOOP(p2_a_server_without_the_right_certificate_is_refused)
{
    struct pg_connect_options other_name = server_role("gateway"), other_ca = server_role("gateway");
    other_name.host = "cell.example";
    refused(other_name, E_TLS);
    other_ca.ca = server_path("other-ca.crt");
    refused(other_ca, E_TLS);
}

ON_LOOP(a_log_in_that_the_server_refuses_is_a_matter_of_configuration)
{
    struct pg_connect_options user = server_role("gateway"), database = server_role("gateway");
    user.user = "domicile_admin"; /* with the gateway's certificate */
    refused(user, E_CONFIG);
    database.database = "elsewhere";
    refused(database, E_CONFIG);
    struct pg_connect_options none = server_role("gateway");
    none.certificate = NULL;
    refused(none, E_CONFIG);
}

ON_LOOP(nobody_there_is_unavailable)
{
    struct pg_connect_options options = server_role("gateway");
    options.port = 1;
    refused(options, E_UNAVAILABLE);
    options = server_role("gateway");
    options.address = NULL;
    options.host = "no-such-host.invalid";
    refused(options, E_UNAVAILABLE);
}

ON_LOOP(a_name_is_resolved_off_the_loop_and_checked_against_the_certificate)
{
    struct pg_connect_options options = server_role("gateway");
    options.address = NULL;
    options.host = "localhost"; /* resolves, but is not in the certificate */
    refused(options, E_TLS);
    options.host = "127.0.0.1"; /* is */
    struct pg_conn *conn;
    check_ok(pg_connect(&options, &conn));
    pg_close(conn);
}

ON_LOOP(a_host_that_is_silent_costs_bounded_time)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    struct pg_connect_options options = server_role("gateway");
    options.port = ntohs(address.sin_port);
    options.connect_within_ms = 150;
    uint64_t begin = now_ms();
    refused(options, E_UNAVAILABLE);
    assert_in_range(now_ms() - begin, 140, 1000);

    struct deadline deadline;
    deadline_begin(&deadline, 50);
    refused(options, E_DEADLINE);
    deadline_end(&deadline);
    close(fd);
}

/* The stack of the running fiber is a fresh one: what a connect touches of it is what a connect needs. */
static void half_of_the_stack_is_left(const char *what)
{
    size_t used = fiber_stack_used();
    print_message("%s: %zu KiB of stack\n", what, used / 1024);
#ifndef __SANITIZE_ADDRESS__
    assert_in_range(used, 4096, FIBER_STACK_BYTES / 2 - 1);
#endif
}

ON_LOOP(a_connect_with_tls_leaves_half_of_the_stack)
{
    struct pg_conn *conn = server_open(server_role("gateway"));
    struct pg_reply reply = PG_REPLY_INIT;
    check_ok(pg_exec(conn, "SELECT 1", NULL, 0, &reply));
    pg_reply_done(&reply);
    half_of_the_stack_is_left("a connect with a client certificate");
    pg_close(conn);
}

ON_LOOP(a_failed_connect_leaves_half_of_the_stack)
{
    struct pg_connect_options other_ca = server_role("gateway"), other_name = server_role("gateway"),
                              user = server_role("gateway"), nobody = server_role("gateway");
    other_ca.ca = server_path("other-ca.crt");
    refused(other_ca, E_TLS);
    other_name.host = "cell.example";
    refused(other_name, E_TLS);
    user.user = "domicile_admin";
    refused(user, E_CONFIG);
    nobody.port = 1;
    refused(nobody, E_UNAVAILABLE);
    struct pg_conn *conn = server_open(server_superuser());
    struct pg_reply reply = PG_REPLY_INIT;
    check_fails(E_SQL, pg_exec(conn, "SELECT 1/0", NULL, 0, &reply));
    pg_close(conn);
    half_of_the_stack_is_left("a connect that fails");
}

ON_LOOP(values_go_and_come_in_binary)
{
    struct pg_conn *conn = server_open(server_superuser());
    char bytes[256];
    for (int i = 0; i < 256; i++)
        bytes[i] = (char)i;
    struct pg_value params[] = { pg_bytes((struct str){ bytes, sizeof bytes }),
                                 pg_text(STR("é")),
                                 pg_int4(-2),
                                 pg_int4(-70000),
                                 pg_int8(INT64_MIN),
                                 pg_bool(true),
                                 pg_null(),
                                 pg_text(STR("")) };
    struct pg_reply reply = PG_REPLY_INIT;
    check_ok(pg_exec(conn,
                     "SELECT $1::bytea, $2::text, $3::integer::smallint, $4::integer, $5::bigint, "
                     "$6::boolean, $7::text, $8::text",
                     params, 8, &reply));
    assert_true(str_eq(pg_reply_str(&reply, 0, 0), (struct str){ bytes, sizeof bytes }));
    assert_true(str_is(pg_reply_str(&reply, 0, 1), "é"));
    assert_int_equal(pg_reply_number(&reply, 0, 2), -2);
    assert_int_equal(pg_reply_number(&reply, 0, 3), -70000);
    assert_true(pg_reply_number(&reply, 0, 4) == INT64_MIN);
    assert_int_equal(pg_reply_number(&reply, 0, 5), 1);
    assert_true(pg_reply_is_null(&reply, 0, 6));
    assert_false(pg_reply_is_null(&reply, 0, 7));
    pg_reply_done(&reply);
    pg_close(conn);
}

ON_LOOP(a_refused_statement_says_why_and_the_connection_goes_on)
{
    struct pg_conn *conn = server_open(server_superuser());
    struct pg_reply reply = PG_REPLY_INIT;
    check_fails(E_SQL, pg_exec(conn, "SELECT 1/0", NULL, 0, &reply));
    assert_string_equal(reply.sqlstate, "22012");
    assert_null(reply.result);
    check_fails(E_SQL, pg_run_script(conn, "CREATE TABLE half (i int); SELECT 1/0"));
    assert_int_equal(server_number_on(conn, "SELECT (to_regclass('half') IS NULL)"), 1);
    pg_close(conn);
}

ON_LOOP(a_script_larger_than_the_socket_takes_at_once_is_sent_whole)
{
    struct pg_conn *conn = server_open(server_role("gateway"));
    size_t size = 4 * 1024 * 1024;
    char *script = malloc(size + 64);
    size_t begin = (size_t)snprintf(script, 64, "SELECT length('");
    memset(script + begin, 'x', size);
    snprintf(script + begin + size, 8, "')");
    struct pg_reply reply = PG_REPLY_INIT;
    check_ok(pg_exec(conn, script, NULL, 0, &reply));
    assert_int_equal(pg_reply_number(&reply, 0, 0), size);
    pg_reply_done(&reply);
    free(script);
    pg_close(conn);
}

ON_LOOP(a_connection_that_dies_is_unavailable)
{
    struct pg_conn *conn = server_open(server_superuser());
    check_fails(E_UNAVAILABLE, pg_run(conn, "SELECT pg_terminate_backend(pg_backend_pid())"));
    check_fails(E_UNAVAILABLE, pg_run(conn, "SELECT 1"));
    pg_close(conn);
}

/* ---- a wait that is cut short ---- */

struct asking {
    struct pg_connect_options options;
    const char *sql;
    uint64_t within_ms;
    enum error_code code;
};

/* Keeps the connection for a while: the server is told by the wait's end, not by the close. */
static void ask_and_give_up(void *arg)
{
    struct asking *asking = arg;
    struct pg_conn *conn = server_open(asking->options);
    struct deadline deadline;
    deadline_begin(&deadline, asking->within_ms);
    asking->code = pg_run(conn, asking->sql).error.code;
    deadline_end(&deadline);
    struct shield shield;
    fiber_shield(&shield);
    check_ok(fiber_sleep(1500));
    check_fails(E_UNAVAILABLE, pg_run(conn, "SELECT 1"));
    fiber_unshield(&shield);
    pg_close(conn);
}

static int64_t running(struct pg_conn *observer, const char *sql)
{
    struct pg_reply reply = PG_REPLY_INIT;
    const struct pg_value like = pg_text(str_from(sql));
    check_ok(pg_exec(observer, "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = $1",
                     &like, 1, &reply));
    int64_t count = pg_reply_number(&reply, 0, 0);
    pg_reply_done(&reply);
    return count;
}

/* Until as many run it; ms. */
static uint64_t until_running(struct pg_conn *observer, const char *sql, int64_t count)
{
    uint64_t begun_ms = now_ms();
    while (running(observer, sql) != count && now_ms() - begun_ms < 10000)
        check_ok(fiber_sleep(10));
    return now_ms() - begun_ms;
}

ON_LOOP(a_deadline_ends_the_statement_on_the_server)
{
    static const char sql[] = "SELECT pg_sleep(600)";
    const struct pg_connect_options ways[] = { server_superuser(), server_role("gateway") };
    struct pg_conn *observer = server_open(server_superuser());
    for (size_t i = 0; i < 2; i++) {
        struct asking asking = { ways[i], sql, .within_ms = 200 };
        struct scope scope = SCOPE_INIT;
        check_ok(fiber_spawn(&scope, "asks", ask_and_give_up, &asking));
        assert_in_range(until_running(observer, sql, 1), 0, 5000);
        assert_in_range(until_running(observer, sql, 0), 0, 1200);
        check_ok(scope_join(&scope));
        assert_int_equal(asking.code, E_DEADLINE);
    }
    pg_close(observer);
}

ON_LOOP(a_cancel_ends_the_statement_on_the_server)
{
    static const char sql[] = "SELECT pg_sleep(601)";
    struct pg_conn *observer = server_open(server_superuser());
    struct asking asking = { server_role("gateway"), sql, .within_ms = SEC(600) };
    struct scope scope = SCOPE_INIT;
    check_ok(fiber_spawn(&scope, "asks", ask_and_give_up, &asking));
    assert_in_range(until_running(observer, sql, 1), 0, 5000);
    scope_cancel(&scope);
    assert_in_range(until_running(observer, sql, 0), 0, 1000);
    check_ok(scope_join(&scope));
    assert_int_equal(asking.code, E_CANCELLED);
    pg_close(observer);
}

/* Ending its wait would show the row to everybody though no standby has it. */
ON_LOOP(p4_a_commit_that_waits_for_a_standby_goes_on_waiting)
{
    static const char sql[] = "INSERT INTO waited VALUES (1)",
                      waiting[] = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
                      rows[] = "SELECT count(*) FROM waited";
    struct pg_conn *observer = server_open(server_superuser());
    server_do(observer, "CREATE TABLE waited (i int)");
    check_ok(pg_run(observer, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'"));
    check_ok(pg_run(observer, "SELECT pg_reload_conf()"));
    while (server_number("SELECT (current_setting('synchronous_standby_names') = 'nobody')") != 1)
        check_ok(fiber_sleep(10));

    struct asking asking = { server_superuser(), sql, .within_ms = 300 };
    struct scope scope = SCOPE_INIT;
    check_ok(fiber_spawn(&scope, "writes", ask_and_give_up, &asking));
    check_ok(scope_join(&scope));
    assert_int_equal(asking.code, E_DEADLINE);
    check_ok(fiber_sleep(1500)); /* several intervals of the server's look at its client */
    assert_int_equal(server_number_on(observer, waiting), 1);
    assert_int_equal(server_number_on(observer, rows), 0);

    check_ok(pg_run(observer, "ALTER SYSTEM RESET synchronous_standby_names"));
    check_ok(pg_run(observer, "SELECT pg_reload_conf()"));
    for (int i = 0; i < 500 && server_number_on(observer, waiting) > 0; i++)
        check_ok(fiber_sleep(10));
    assert_int_equal(server_number_on(observer, rows), 1);
    server_do(observer, "DROP TABLE waited");
    pg_close(observer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_with_a_client_certificate_connects),
        cmocka_unit_test(p2_a_server_without_the_right_certificate_is_refused),
        cmocka_unit_test(a_log_in_that_the_server_refuses_is_a_matter_of_configuration),
        cmocka_unit_test(nobody_there_is_unavailable),
        cmocka_unit_test(a_name_is_resolved_off_the_loop_and_checked_against_the_certificate),
        cmocka_unit_test(a_host_that_is_silent_costs_bounded_time),
        cmocka_unit_test(a_connect_with_tls_leaves_half_of_the_stack),
        cmocka_unit_test(a_failed_connect_leaves_half_of_the_stack),
        cmocka_unit_test(values_go_and_come_in_binary),
        cmocka_unit_test(a_refused_statement_says_why_and_the_connection_goes_on),
        cmocka_unit_test(a_script_larger_than_the_socket_takes_at_once_is_sent_whole),
        cmocka_unit_test(a_connection_that_dies_is_unavailable),
        cmocka_unit_test(a_deadline_ends_the_statement_on_the_server),
        cmocka_unit_test(a_cancel_ends_the_statement_on_the_server),
        cmocka_unit_test(p4_a_commit_that_waits_for_a_standby_goes_on_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
