/* The pool on bad days: backends that are ended, a server killed with -9, a server that stands still. */
#include "server.h"

enum { INSERT, SLEEP, READ_SLEEP, COUNT, STATEMENTS };

static const struct pg_statement statements[STATEMENTS] = {
    [INSERT] = { .name = "insert", .sql = "INSERT INTO fault_test (k) VALUES ($1)" },
    [SLEEP] = { .name = "sleep", .sql = "SELECT pg_sleep($1::integer / 1000.0)" },
    [READ_SLEEP] = { .name = "read_sleep",
                     .sql = "SELECT pg_sleep($1::integer / 1000.0)",
                     .idempotent = true },
    [COUNT] = { .name = "count", .sql = "SELECT count(*) FROM fault_test", .idempotent = true },
};

enum { WITHIN_MS = 1500, DOWN_MS = 200, SLACK_MS = 700 };

static struct pg_pool_options options(size_t connections)
{
    return (struct pg_pool_options){ .connect = server_superuser(),
                                     .statements = statements,
                                     .statement_count = STATEMENTS,
                                     .connections = connections,
                                     .statement_within_ms = WITHIN_MS,
                                     .down_within_ms = DOWN_MS };
}

struct caller {
    struct pg_pool *pool;
    size_t statement;
    int ms;
    result r;
    char sqlstate[6];
    uint64_t took_ms;
};

static void call(void *arg)
{
    struct caller *caller = arg;
    struct pg_value params[] = { pg_int4(caller->ms) };
    struct pg_reply reply = PG_REPLY_INIT;
    uint64_t begin = now_ms();
    caller->r =
        pg_pool_call(caller->pool, caller->statement, 0, params, caller->statement == COUNT ? 0 : 1, &reply);
    caller->took_ms = now_ms() - begin;
    memcpy(caller->sqlstate, reply.sqlstate, sizeof caller->sqlstate);
    pg_reply_done(&reply);
}

static void wait_until_up(struct pg_pool *pool)
{
    struct deadline deadline;
    deadline_begin(&deadline, SEC(15));
    while (pg_pool_stats(pool).connections_up < pg_pool_stats(pool).connections)
        check_ok(fiber_sleep(10));
    deadline_end(&deadline);
}

static void wait_in_flight(struct pg_pool *pool)
{
    while (pg_pool_stats(pool).in_flight == 0)
        check_ok(fiber_sleep(1));
    check_ok(fiber_sleep(30)); /* it is with the server by now */
}

static const char end_sleepers[] = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                                   "WHERE query LIKE 'SELECT pg_sleep(%' AND state = 'active'";

ON_LOOP(p8_a_write_on_a_lost_connection_is_of_unknown_outcome_and_not_sent_again)
{
    struct pg_pool *pool = server_pool(options(2));
    struct caller caller = { .pool = pool, .statement = SLEEP, .ms = 700 };
    struct scope scope = SCOPE_INIT;
    check_ok(fiber_spawn(&scope, "caller", call, &caller));
    wait_in_flight(pool);
    server_run(end_sleepers);
    check_ok(scope_join(&scope));
    check_fails(E_UNAVAILABLE, caller.r);
    assert_string_equal(caller.sqlstate, "08007");
    assert_int_equal(pg_pool_stats(pool).statements, 1);
    assert_non_null(strstr(pg_pool_stats(pool).last_error.what, "terminating connection"));
    wait_until_up(pool);
    assert_int_equal(pg_pool_stats(pool).losses, 1);
    pg_pool_free(pool);
}

ON_LOOP(a_read_on_a_lost_connection_is_asked_once_more)
{
    struct pg_pool *pool = server_pool(options(2));
    struct caller caller = { .pool = pool, .statement = READ_SLEEP, .ms = 400 };
    struct scope scope = SCOPE_INIT;
    check_ok(fiber_spawn(&scope, "caller", call, &caller));
    wait_in_flight(pool);
    server_run(end_sleepers);
    check_ok(scope_join(&scope));
    check_ok(caller.r);
    assert_int_equal(pg_pool_stats(pool).statements, 2);

    caller.ms = 600;
    check_ok(fiber_spawn(&scope, "caller", call, &caller));
    wait_in_flight(pool);
    server_run(end_sleepers);
    wait_in_flight(pool);
    server_run(end_sleepers);
    check_ok(scope_join(&scope));
    check_fails(E_UNAVAILABLE, caller.r); /* but not twice */
    pg_pool_free(pool);
}

/* ---- kill -9 under load ---- */

struct writer {
    struct pg_pool *pool;
    int number, acknowledged;
    bool stop;
};

static void write_on(void *arg)
{
    struct writer *writer = arg;
    for (int i = 0; !writer->stop; i++) {
        char key[32];
        snprintf(key, sizeof key, "w%d-%d", writer->number, i);
        struct pg_value params[] = { pg_text(str_from(key)) };
        struct pg_reply reply = PG_REPLY_INIT;
        result r = pg_pool_call(writer->pool, INSERT, (uint64_t)writer->number, params, 1, &reply);
        pg_reply_done(&reply);
        if (failed(r))
            break;
        writer->acknowledged = i + 1;
    }
}

ON_LOOP(p4_what_was_acknowledged_is_there_after_kill_9)
{
    struct pg_pool *pool = server_pool(options(4));
    for (int round = 0; round < 3; round++) {
        struct writer writers[32];
        struct scope scope = SCOPE_INIT;
        for (int i = 0; i < 32; i++) {
            writers[i] = (struct writer){ .pool = pool, .number = round * 100 + i };
            check_ok(fiber_spawn(&scope, "writer", write_on, &writers[i]));
        }
        check_ok(fiber_sleep(150));
        server_signal(server_pid(), SIGKILL);
        check_ok(scope_join(&scope)); /* each ends with an error, in bounded time */
        check_ok(fiber_sleep(100));
        server_restart();
        wait_until_up(pool);
        struct pg_conn *conn = server_open(server_superuser());
        for (int i = 0; i < 32; i++) {
            assert_true(writers[i].acknowledged > 0);
            char sql[128];
            snprintf(sql, sizeof sql, "SELECT count(*) FROM fault_test WHERE k LIKE 'w%d-%%'",
                     writers[i].number);
            assert_in_range(server_number_on(conn, sql), writers[i].acknowledged,
                            writers[i].acknowledged + 1);
        }
        pg_close(conn);
    }
    pg_pool_free(pool);
}

/* ---- a server that stands still ---- */

ON_LOOP(p8_a_server_that_stands_still_costs_bounded_time_and_no_pile_up)
{
    struct pg_pool *pool = server_pool(options(2));
    server_signal(server_pid(), SIGSTOP);
    uint64_t begin = now_ms();
    for (int round = 0; round < 3; round++) {
        struct caller callers[40];
        struct scope scope = SCOPE_INIT;
        for (size_t i = 0; i < 40; i++) {
            callers[i] = (struct caller){ .pool = pool, .statement = i % 2 == 0 ? COUNT : SLEEP, .ms = 1 };
            check_ok(fiber_spawn(&scope, "caller", call, &callers[i]));
        }
        check_ok(scope_join(&scope));
        for (size_t i = 0; i < 40; i++) {
            assert_true(failed(callers[i].r));
            assert_in_range(callers[i].took_ms, 0, WITHIN_MS + SLACK_MS);
        }
        assert_int_equal(pg_pool_stats(pool).queued + pg_pool_stats(pool).in_flight, 0);
    }
    assert_in_range(now_ms() - begin, 0, 3 * (WITHIN_MS + SLACK_MS));
    check_ok(fiber_sleep(WITHIN_MS / 2));
    assert_int_equal(pg_pool_stats(pool).connections_up, 0); /* overdue ones are given up */
    server_signal(server_pid(), SIGCONT);
    wait_until_up(pool);
    struct caller caller = { .pool = pool, .statement = SLEEP, .ms = 1 };
    call(&caller);
    check_ok(caller.r);
    pg_pool_free(pool);
}

ON_LOOP(a_short_standstill_is_sat_out)
{
    struct pg_pool *pool = server_pool(options(2));
    struct caller caller = { .pool = pool, .statement = SLEEP, .ms = 1 };
    struct scope scope = SCOPE_INIT;
    server_signal(server_pid(), SIGSTOP);
    check_ok(fiber_spawn(&scope, "caller", call, &caller));
    check_ok(fiber_sleep(200));
    server_signal(server_pid(), SIGCONT);
    check_ok(scope_join(&scope));
    check_ok(caller.r);
    assert_int_equal(pg_pool_stats(pool).losses, 0);
    pg_pool_free(pool);
}

ON_LOOP(make_table)
{
    server_run("CREATE TABLE fault_test (k text PRIMARY KEY)");
}

static int set_up(void **state)
{
    make_table(state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p8_a_write_on_a_lost_connection_is_of_unknown_outcome_and_not_sent_again),
        cmocka_unit_test(a_read_on_a_lost_connection_is_asked_once_more),
        cmocka_unit_test(p4_what_was_acknowledged_is_there_after_kill_9),
        cmocka_unit_test(p8_a_server_that_stands_still_costs_bounded_time_and_no_pile_up),
        cmocka_unit_test(a_short_standstill_is_sat_out),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
