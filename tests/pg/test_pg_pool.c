/* The pool: batches, and what a call can end with while the server is well. */
#include "server.h"

enum { INSERT, COUNT, SLEEP, READ_SLEEP, DIVIDE, MIRROR, ALONE, SETTING, STATEMENTS };

static const struct pg_statement statements[STATEMENTS] = {
    [INSERT] = { .name = "insert", .sql = "INSERT INTO pool_test (k, v) VALUES ($1, $2)" },
    [COUNT] = { .name = "count", .sql = "SELECT count(*) FROM pool_test", .idempotent = true },
    [SLEEP] = { .name = "sleep", .sql = "SELECT pg_sleep($1::integer / 1000.0)" },
    [READ_SLEEP] = { .name = "read_sleep",
                     .sql = "SELECT pg_sleep($1::integer / 1000.0)",
                     .idempotent = true },
    [DIVIDE] = { .name = "divide", .sql = "SELECT 1 / $1::integer" },
    [MIRROR] = { .name = "echo", .sql = "SELECT $1::bytea", .idempotent = true },
    [SETTING] = { .name = "setting", .sql = "SELECT current_setting($1)", .idempotent = true },
    [ALONE] = { .name = "alone", .sql = "SELECT txid_current()", .alone = true },
};

static struct pg_pool_options options(size_t connections)
{
    return (struct pg_pool_options){ .connect = server_superuser(),
                                     .statements = statements,
                                     .statement_count = STATEMENTS,
                                     .connections = connections };
}

static void fresh_table(void)
{
    server_run(
        "DROP TABLE IF EXISTS pool_test CASCADE; CREATE TABLE pool_test (k text PRIMARY KEY, v integer)");
}

/* ---- many callers ---- */

struct caller {
    struct pg_pool *pool;
    size_t statement;
    uint64_t shard;
    int number;
    char key[24];
    result r;
    struct pg_reply reply;
};

static void call(void *arg)
{
    struct caller *caller = arg;
    struct pg_value key_and_number[] = { pg_text(str_from(caller->key)), pg_int4(caller->number) };
    struct pg_value number[] = { pg_int4(caller->number) };
    bool inserts = caller->statement == INSERT;
    size_t params = inserts ? 2 : caller->statement == COUNT || caller->statement == ALONE ? 0 : 1;
    caller->r = pg_pool_call(caller->pool, caller->statement, caller->shard,
                             inserts ? key_and_number : number, params, &caller->reply);
}

static void spawn_callers(struct scope *scope, struct pg_pool *pool, struct caller *callers, size_t count,
                          size_t statement, int number)
{
    for (size_t i = 0; i < count; i++) {
        callers[i] = (struct caller){ .pool = pool, .statement = statement, .number = number };
        snprintf(callers[i].key, sizeof callers[i].key, "k%zu", i);
        check_ok(fiber_spawn(scope, "caller", call, &callers[i]));
    }
}

static void drop_replies(struct caller *callers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pg_reply_done(&callers[i].reply);
}

ON_LOOP(calls_of_one_turn_share_a_batch)
{
    fresh_table();
    struct pg_pool *pool = server_pool(options(1));
    struct caller callers[50];
    struct scope scope = SCOPE_INIT;
    spawn_callers(&scope, pool, callers, 50, INSERT, 7);
    check_ok(scope_join(&scope));
    for (size_t i = 0; i < 50; i++)
        check_ok(callers[i].r);
    drop_replies(callers, 50);
    assert_int_equal(server_number("SELECT count(*) FROM pool_test"), 50);
    assert_int_equal(server_number("SELECT count(DISTINCT xmin::text) FROM pool_test"),
                     1); /* one transaction */
    struct pg_pool_stats stats = pg_pool_stats(pool);
    assert_int_equal(stats.batches, 1);
    assert_int_equal(stats.statements, 50);
    assert_int_equal(stats.in_flight + stats.queued, 0);
    pg_pool_free(pool);
}

ON_LOOP(one_bad_statement_among_fifty_fails_alone)
{
    fresh_table();
    server_run("INSERT INTO pool_test VALUES ('k17', 1)");
    struct pg_pool *pool = server_pool(options(1));
    struct caller callers[50];
    struct scope scope = SCOPE_INIT;
    spawn_callers(&scope, pool, callers, 50, INSERT, 7);
    check_ok(scope_join(&scope));
    for (size_t i = 0; i < 50; i++) {
        if (i != 17)
            check_ok(callers[i].r);
    }
    check_fails(E_SQL, callers[17].r);
    assert_string_equal(callers[17].reply.sqlstate, "23505");
    drop_replies(callers, 50);
    assert_int_equal(server_number("SELECT count(*) FROM pool_test WHERE v = 7"), 49);
    struct pg_pool_stats stats = pg_pool_stats(pool);
    assert_int_equal(stats.batches_undone, 1);
    assert_int_equal(stats.statements_again, 49);
    pg_pool_free(pool);
}

/* What a statement returned means nothing until the Sync: here the commit itself refuses. */
ON_LOOP(a_refusal_at_the_commit_undoes_and_is_found_out)
{
    fresh_table();
    server_run("CREATE OR REPLACE FUNCTION late_no() RETURNS trigger LANGUAGE plpgsql AS $$"
               "BEGIN IF new.k = 'k3' THEN RAISE EXCEPTION 'late'; END IF; RETURN NULL; END $$;"
               "CREATE CONSTRAINT TRIGGER late_no AFTER INSERT ON pool_test DEFERRABLE INITIALLY DEFERRED "
               "FOR EACH ROW EXECUTE FUNCTION late_no()");
    struct pg_pool *pool = server_pool(options(1));
    struct caller callers[10];
    struct scope scope = SCOPE_INIT;
    spawn_callers(&scope, pool, callers, 10, INSERT, 7);
    check_ok(scope_join(&scope));
    for (size_t i = 0; i < 10; i++) {
        if (i == 3)
            check_fails(E_SQL, callers[i].r);
        else
            check_ok(callers[i].r);
    }
    drop_replies(callers, 10);
    assert_int_equal(server_number("SELECT count(*) FROM pool_test"), 9);
    pg_pool_free(pool);
}

ON_LOOP(a_statement_that_stands_alone_shares_its_transaction_with_nobody)
{
    fresh_table();
    struct pg_pool *pool = server_pool(options(1));
    struct caller callers[9];
    struct scope scope = SCOPE_INIT;
    spawn_callers(&scope, pool, callers, 9, INSERT, 7);
    callers[4].statement = ALONE;
    check_ok(scope_join(&scope));
    for (size_t i = 0; i < 9; i++)
        check_ok(callers[i].r);
    int64_t alone = pg_reply_number(&callers[4].reply, 0, 0);
    drop_replies(callers, 9);
    assert_int_equal(pg_pool_stats(pool).batches, 3);
    char sql[96];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM pool_test WHERE xmin::text = '%lld'", (long long)alone);
    assert_int_equal(server_number("SELECT count(*) FROM pool_test"), 8);
    assert_int_equal(server_number(sql), 0);
    pg_pool_free(pool);
}

ON_LOOP(a_batch_waits_while_a_larger_one_is_in_flight)
{
    struct pg_pool *pool = server_pool(options(1));
    struct caller first[4], next[4];
    struct scope scope = SCOPE_INIT;
    spawn_callers(&scope, pool, first, 4, SLEEP, 250);
    check_ok(fiber_sleep(10));
    spawn_callers(&scope, pool, next, 3, SLEEP, 1);
    check_ok(fiber_sleep(10));
    assert_int_equal(pg_pool_stats(pool).batches, 1);
    assert_int_equal(pg_pool_stats(pool).queued, 3);
    spawn_callers(&scope, pool, next + 3, 1, SLEEP, 1);
    check_ok(fiber_sleep(10));
    assert_int_equal(pg_pool_stats(pool).batches, 2);
    assert_int_equal(pg_pool_stats(pool).queued, 0);
    assert_int_equal(pg_pool_stats(pool).in_flight, 8);
    check_ok(scope_join(&scope));
    for (size_t i = 0; i < 4; i++) {
        check_ok(first[i].r);
        check_ok(next[i].r);
    }
    drop_replies(first, 4);
    drop_replies(next, 4);
    pg_pool_free(pool);
}

ON_LOOP(a_batch_that_waited_leaves_when_the_one_before_it_is_answered)
{
    struct pg_pool *pool = server_pool(options(1));
    struct caller first[4], last;
    struct scope scope = SCOPE_INIT;
    spawn_callers(&scope, pool, first, 4, SLEEP, 50);
    check_ok(fiber_sleep(10));
    spawn_callers(&scope, pool, &last, 1, SLEEP, 1);
    check_ok(scope_join(&scope));
    check_ok(last.r);
    assert_int_equal(pg_pool_stats(pool).batches, 2);
    drop_replies(first, 4);
    drop_replies(&last, 1);
    pg_pool_free(pool);
}

/* ---- limits ---- */

ON_LOOP(p8_a_full_pool_refuses_at_once)
{
    struct pg_pool_options full = options(2);
    full.queue_max = 8;
    struct pg_pool *pool = server_pool(full);
    struct caller callers[9];
    struct scope scope = SCOPE_INIT;
    spawn_callers(&scope, pool, callers, 8, SLEEP, 100);
    check_ok(fiber_sleep(1));
    callers[8] = (struct caller){ .pool = pool, .statement = SLEEP, .number = 1 };
    uint64_t begin = now_ms();
    call(&callers[8]);
    check_fails(E_BUSY, callers[8].r);
    assert_in_range(now_ms() - begin, 0, 50);
    check_ok(scope_join(&scope));
    for (size_t i = 0; i < 8; i++)
        check_ok(callers[i].r);
    drop_replies(callers, 9);
    assert_int_equal(pg_pool_stats(pool).busy, 1);
    pg_pool_free(pool);
}

ON_LOOP(a_callers_deadline_ends_its_call_and_nothing_else)
{
    struct pg_pool *pool = server_pool(options(1));
    struct caller late = { .pool = pool, .statement = SLEEP, .number = 1000 };
    uint64_t begin = now_ms();
    struct deadline deadline;
    deadline_begin(&deadline, 50);
    call(&late);
    deadline_end(&deadline);
    check_fails(E_DEADLINE, late.r);
    assert_null(late.reply.result);
    assert_in_range(now_ms() - begin, 45, 600);
    struct caller next = { .pool = pool, .statement = DIVIDE, .number = 1 };
    call(&next);
    check_ok(next.r);
    assert_int_equal(pg_reply_number(&next.reply, 0, 0), 1);
    drop_replies(&next, 1);
    assert_int_equal(pg_pool_stats(pool).losses, 0);
    assert_int_equal(pg_pool_stats(pool).late, 1);
    pg_pool_free(pool);
}

ON_LOOP(a_statement_that_waits_too_long_for_a_lock_fails_alone)
{
    fresh_table();
    struct pg_conn *other = server_open(server_superuser());
    server_do(other, "BEGIN; INSERT INTO pool_test VALUES ('k5', 0)");
    struct pg_pool_options slow = options(1);
    slow.statement_within_ms = 2000;
    struct pg_pool *pool = server_pool(slow);
    struct caller callers[10];
    struct scope scope = SCOPE_INIT;
    uint64_t begin = now_ms();
    spawn_callers(&scope, pool, callers, 10, INSERT, 7);
    check_ok(scope_join(&scope));
    assert_in_range(now_ms() - begin, 950, 1950);
    for (size_t i = 0; i < 10; i++) {
        if (i != 5)
            check_ok(callers[i].r);
    }
    check_fails(E_BUSY, callers[5].r);
    assert_string_equal(callers[5].reply.sqlstate, "57014"); /* query_canceled */
    drop_replies(callers, 10);
    server_do(other, "ROLLBACK");
    pg_close(other);
    pg_pool_free(pool);
}

/* ---- callers that leave ---- */

static void storm_caller(void *arg)
{
    struct caller *caller = arg;
    do {
        call(caller);
        pg_reply_done(&caller->reply);
    } while (!failed(caller->r));
}

ON_LOOP(callers_that_are_cancelled_at_any_time_leave_nothing_behind)
{
    struct pg_pool *pool = server_pool(options(2));
    for (int round = 0; round < 30; round++) {
        struct caller callers[100];
        struct scope scope = SCOPE_INIT;
        for (size_t i = 0; i < 100; i++) {
            callers[i] =
                (struct caller){ .pool = pool, .statement = i % 3 == 0 ? DIVIDE : SLEEP, .shard = i };
            callers[i].number =
                i % 3 == 0 ? (int)(i % 2) : 1; /* half of the divisions fail, and end their caller */
            check_ok(fiber_spawn(&scope, "caller", storm_caller, &callers[i]));
        }
        check_ok(fiber_sleep((uint64_t)round % 7));
        scope_end(&scope);
    }
    struct caller next = { .pool = pool, .statement = DIVIDE, .number = 1 };
    call(&next);
    check_ok(next.r);
    drop_replies(&next, 1);
    struct pg_pool_stats stats = pg_pool_stats(pool);
    assert_int_equal(stats.queued + stats.in_flight, 0);
    assert_int_equal(stats.losses, 0);
    assert_true(stats.cancelled > 100);
    pg_pool_free(pool);
}

/* ---- large values ---- */

struct echo {
    struct pg_pool *pool;
    char *bytes;
    size_t size;
    result r;
};

static void echo(void *arg)
{
    struct echo *one = arg;
    struct pg_value params[] = { pg_bytes((struct str){ one->bytes, one->size }) };
    struct pg_reply reply = PG_REPLY_INIT;
    one->r = pg_pool_call(one->pool, 0, 0, params, 1, &reply);
    if (!failed(one->r) && !str_eq(pg_reply_str(&reply, 0, 0), (struct str){ one->bytes, one->size }))
        one->r = FAIL(E_INTERNAL, NULL, "other bytes came back");
    pg_reply_done(&reply);
}

ON_LOOP(large_values_over_tls_come_back_as_they_went)
{
    struct pg_pool_options tls = options(2);
    tls.connect = server_role("gateway");
    static const struct pg_statement only_mirror[] = {
        { .name = "echo", .sql = "SELECT $1::bytea", .idempotent = true }
    };
    tls.statements = only_mirror;
    tls.statement_count = 1;
    struct pg_pool *pool = server_pool(tls);
    struct echo echoes[24];
    struct scope scope = SCOPE_INIT;
    for (size_t i = 0; i < 24; i++) {
        echoes[i] = (struct echo){ .pool = pool, .size = (i % 3 == 0 ? 1024 * 1024 : 20000) + i * 1001 };
        echoes[i].bytes = malloc(echoes[i].size);
        for (size_t at = 0; at < echoes[i].size; at++)
            echoes[i].bytes[at] = (char)(at * 31 + i);
    }
    for (size_t i = 0; i < 24; i++) {
        check_ok(fiber_spawn(&scope, "echo", echo, &echoes[i]));
    }
    check_ok(scope_join(&scope));
    for (size_t i = 0; i < 24; i++) {
        check_ok(echoes[i].r);
        free(echoes[i].bytes);
    }
    pg_pool_free(pool);
}

/* ---- the end ---- */

ON_LOOP(a_pool_that_is_freed_answers_what_is_in_flight)
{
    fresh_table();
    struct pg_pool *pool = server_pool(options(2));
    struct caller callers[20];
    struct scope scope = SCOPE_INIT;
    spawn_callers(&scope, pool, callers, 20, INSERT, 7);
    check_ok(fiber_yield());
    pg_pool_free(pool);
    check_ok(scope_join(&scope));
    for (size_t i = 0; i < 20; i++)
        check_ok(callers[i].r);
    drop_replies(callers, 20);
    assert_int_equal(server_number("SELECT count(*) FROM pool_test"), 20);
}

ON_LOOP(a_pool_whose_server_is_not_there_says_so_soon)
{
    struct pg_pool_options nowhere = options(2);
    nowhere.connect = server_role("gateway");
    nowhere.connect.port = 1;
    nowhere.down_within_ms = 100;
    struct pg_pool *pool;
    check_ok(pg_pool_new(&nowhere, &pool));
    struct caller caller = { .pool = pool, .statement = DIVIDE, .number = 1 };
    uint64_t begin = now_ms();
    call(&caller);
    check_fails(E_UNAVAILABLE, caller.r);
    assert_in_range(now_ms() - begin, 95, 1000);
    assert_false(pg_pool_healthy(pool));
    assert_int_equal(pg_pool_stats(pool).last_error.code, E_UNAVAILABLE);
    assert_true(pg_pool_stats(pool).connects_failed >= 2);
    pg_pool_free(pool);
}

static result refuse(struct pg_conn *conn, void *context)
{
    (void)conn;
    (void)context;
    return FAIL(E_REGION_STAMP, NULL, "not this one");
}

ON_LOOP(a_connection_that_fails_its_check_never_serves)
{
    struct pg_pool_options checked = options(1);
    checked.check = refuse;
    struct pg_pool *pool;
    check_ok(pg_pool_new(&checked, &pool));
    struct deadline deadline;
    deadline_begin(&deadline, SEC(10));
    while (pg_pool_stats(pool).connects_failed < 2)
        check_ok(fiber_sleep(5));
    deadline_end(&deadline);
    assert_int_equal(pg_pool_stats(pool).last_error.code, E_REGION_STAMP);
    assert_int_equal(pg_pool_stats(pool).connects, 0);
    assert_false(pg_pool_healthy(pool));
    pg_pool_free(pool);
}

ON_LOOP(short_statements_are_not_compiled)
{
    static const char *const off[] = { "jit", "enable_seqscan" };
    struct pg_pool *pool = server_pool(options(1));
    for (size_t i = 0; i < 2; i++) {
        const struct pg_value name[] = { pg_text(str_from(off[i])) };
        struct pg_reply reply = PG_REPLY_INIT;
        check_ok(pg_pool_call(pool, SETTING, 0, name, 1, &reply));
        assert_true(str_is(pg_reply_str(&reply, 0, 0), "off"));
        pg_reply_done(&reply);
    }
    pg_pool_free(pool);
}

ON_LOOP(make_table)
{
    fresh_table();
}

static int fresh_state(void **state)
{
    make_table(state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_of_one_turn_share_a_batch),
        cmocka_unit_test(one_bad_statement_among_fifty_fails_alone),
        cmocka_unit_test(a_refusal_at_the_commit_undoes_and_is_found_out),
        cmocka_unit_test(a_statement_that_stands_alone_shares_its_transaction_with_nobody),
        cmocka_unit_test(a_batch_waits_while_a_larger_one_is_in_flight),
        cmocka_unit_test(a_batch_that_waited_leaves_when_the_one_before_it_is_answered),
        cmocka_unit_test(p8_a_full_pool_refuses_at_once),
        cmocka_unit_test(a_callers_deadline_ends_its_call_and_nothing_else),
        cmocka_unit_test(a_statement_that_waits_too_long_for_a_lock_fails_alone),
        cmocka_unit_test(callers_that_are_cancelled_at_any_time_leave_nothing_behind),
        cmocka_unit_test(large_values_over_tls_come_back_as_they_went),
        cmocka_unit_test(a_pool_that_is_freed_answers_what_is_in_flight),
        cmocka_unit_test(a_pool_whose_server_is_not_there_says_so_soon),
        cmocka_unit_test(a_connection_that_fails_its_check_never_serves),
        cmocka_unit_test(short_statements_are_not_compiled),
    };
    return cmocka_run_group_tests(tests, fresh_state, NULL);
}
