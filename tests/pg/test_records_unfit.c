/* A cell whose functions somebody replaced by hand: what they answer is an error that names the cell, and the gateway's
 * pool, connections and memory are as before. */
#include "records/keys.h"
#include "records/records.h"
#include "schema/migrate.h"
#include "server.h"

static struct pg_pool *pool_open(void)
{
    return server_pool((struct pg_pool_options){ .connect = server_role("gateway"),
                                                 .name = "us-1",
                                                 .statements = statements,
                                                 .statement_count = STATEMENT_COUNT,
                                                 .connections = 2,
                                                 .statement_within_ms = 30000 });
}

static void as_migrated(void)
{
    static const struct cell_stamp us = { "us", "us-1", 1 };
    server_run("DROP SCHEMA IF EXISTS domicile CASCADE");
    server_run("CREATE SCHEMA domicile AUTHORIZATION domicile_owner");
    struct pg_conn *conn = server_open(server_superuser());
    check_ok(cell_migrate(conn, &us, NULL, NULL));
    pg_close(conn);
    server_run("INSERT INTO domicile.customer (id, region, services_version) VALUES ('acme', 'us', 1)");
}

/* Every function's body is replaced; its name, arguments and type stay. */
static void replace_all(const char *of_rows, const char *of_one, const char *of_value)
{
    char script[2048];
    snprintf(
        script, sizeof script,
        "DO $do$ DECLARE f record; BEGIN FOR f IN SELECT p.oid, p.proname, p.proretset, p.prorettype "
        "FROM pg_proc p WHERE pronamespace = 'domicile'::regnamespace AND prorettype NOT IN "
        "('trigger'::regtype, 'void'::regtype) "
        "AND proname <> 'cell_status' LOOP EXECUTE format('CREATE OR REPLACE FUNCTION domicile.%%I(%%s) "
        "RETURNS %%s LANGUAGE plpgsql SECURITY DEFINER AS %%L', f.proname, pg_get_function_arguments(f.oid), "
        "pg_get_function_result(f.oid), CASE WHEN f.proretset THEN %s WHEN f.prorettype = 'record'::regtype "
        "OR f.proname LIKE '%%%%\\_%%%%' AND EXISTS (SELECT FROM unnest((SELECT proargmodes FROM pg_proc "
        "WHERE "
        "oid = f.oid)) m WHERE m = 'o') THEN %s ELSE %s END); END LOOP; END $do$",
        of_rows, of_one, of_value);
    server_run(script);
}

static result ask(struct pg_pool *pool, size_t statement)
{
    struct pg_value params[16];
    struct pg_reply reply = PG_REPLY_INIT;
    size_t count = 0;
    for (const char *at = statements[statement].sql; (at = strchr(at, '$')) != NULL; at++)
        params[count++] = pg_null();
    result r = pg_pool_call(pool, statement, 0, params, count, &reply);
    pg_reply_done(&reply);
    return r;
}

static void check_unfit(result r, size_t statement, const char *with)
{
    char said[256];
    snprintf(said, sizeof said, "\"us-1\" answered \"%s\" with %s", statements[statement].name, with);
    check_fails(E_SCHEMA, r);
    if (strstr(r.error.what, said) == NULL)
        check_failed(__FILE__, __LINE__, "\"%s\" is not in: %s", said, r.error.what);
}

ON_LOOP(p8_a_null_where_none_may_be_is_an_error_of_every_statement)
{
    as_migrated();
    struct pg_pool *pool = pool_open();
    replace_all("'BEGIN RETURN NEXT; END'", "'BEGIN END'", "'BEGIN RETURN NULL; END'");
    for (size_t i = 0; i < STATEMENT_COUNT; i++) {
        bool may_be_null = i == STATEMENT_CLIENT_GET; /* staff have no customer */
        check_unfit(ask(pool, i), i,
                    may_be_null ? "a NULL in column 2 of row 1" : "a NULL in column 1 of row 1");
    }
    struct pg_pool_stats stats = pg_pool_stats(pool);
    assert_int_equal(stats.unfit, STATEMENT_COUNT);
    assert_int_equal(stats.losses, 0);
    pg_pool_free(pool);
}

ON_LOOP(p8_more_rows_than_a_statement_can_have_are_an_error)
{
    as_migrated();
    struct pg_pool *pool = pool_open();
    replace_all("'BEGIN FOR i IN 1..1001 LOOP RETURN NEXT; END LOOP; END'", "'BEGIN END'", "'BEGIN END'");
    static const size_t lists[] = { STATEMENT_RECORD_PAGE, STATEMENT_KEY_CURRENT,    STATEMENT_KEY_GET,
                                    STATEMENT_ROTATION,    STATEMENT_PAGE_TO_RESEAL, STATEMENT_CLIENT_GET,
                                    STATEMENT_CLIENT_PAGE };
    for (size_t i = 0; i < COUNT(lists); i++)
        check_unfit(ask(pool, lists[i]), lists[i], "1001 rows");
    pg_pool_free(pool);
}

ON_LOOP(p8_a_function_of_another_kind_is_an_error)
{
    as_migrated();
    struct pg_pool *pool = pool_open();
    /* No row, under the same name and types. */
    server_run("DROP FUNCTION domicile.client_alarms_put; CREATE FUNCTION domicile.client_alarms_put(text, "
               "bigint, text, "
               "text) RETURNS TABLE (outcome text) LANGUAGE sql AS 'SELECT NULL::text WHERE "
               "false'; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA domicile TO domicile_gateway");
    check_unfit(ask(pool, STATEMENT_CLIENT_ALARMS), STATEMENT_CLIENT_ALARMS, "0 rows");
    /* Another type: the prepared statement is refused, and a new connection's answer does not fit. */
    server_run("DROP FUNCTION domicile.client_get; CREATE FUNCTION domicile.client_get(text) RETURNS TABLE "
               "(customer "
               "text, role varchar, secret_hash text, disabled boolean, version bigint, proof bytea, "
               "adopted boolean) LANGUAGE sql AS $$SELECT 'acme', "
               "'customer-app'::varchar, 'x', false, 1::bigint, ''::bytea, true$$; GRANT EXECUTE ON ALL "
               "FUNCTIONS IN SCHEMA domicile TO "
               "domicile_gateway");
    result r = ask(pool, STATEMENT_CLIENT_GET);
    check_fails(E_SQL, r);
    assert_non_null(strstr(r.error.what, "\"us-1\" refused \"client_get\""));
    struct pg_pool *later = pool_open();
    check_unfit(ask(later, STATEMENT_CLIENT_GET), STATEMENT_CLIENT_GET, "a column 2 that is not text");
    pg_pool_free(later);
    /* Fewer columns. */
    server_run(
        "DROP FUNCTION domicile.client_get; CREATE FUNCTION domicile.client_get(text) RETURNS TABLE "
        "(customer "
        "text) LANGUAGE sql AS $$SELECT 'acme'$$; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA domicile TO "
        "domicile_gateway");
    check_fails(E_SQL, ask(pool, STATEMENT_CLIENT_GET));
    pg_pool_free(pool);
}

/* ---- size ---- */

static uint64_t peak_kib(void)
{
    char line[256];
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "VmHWM: %llu", &kib) == 1)
            break;
    fclose(file);
    return kib;
}

ON_LOOP(p8_an_answer_that_is_too_large_is_not_taken_into_memory)
{
    as_migrated();
    struct pg_pool *pool = pool_open();
    server_run(
        "CREATE OR REPLACE FUNCTION domicile.client_get(p_id text) RETURNS TABLE (customer text, role text, "
        "secret_hash text, disabled boolean, version bigint, proof bytea, adopted boolean) LANGUAGE sql "
        "SECURITY "
        "DEFINER AS $$SELECT 'acme', 'customer-app', repeat('x', 100000000), false, 1::bigint, ''::bytea, "
        "true$$");
    uint64_t before = peak_kib();
    result r = ask(pool, STATEMENT_CLIENT_GET);
    check_unfit(r, STATEMENT_CLIENT_GET, "more bytes than it may have");
    assert_in_range(peak_kib() - before, 0, 48 * 1024); /* of 100 MB; ASan keeps what was freed */
    /* Many rows, each of which is small. */
    server_run(
        "CREATE OR REPLACE FUNCTION domicile.client_page(p_customer text, p_after text, p_limit "
        "integer) RETURNS TABLE (id text, "
        "role text, "
        "created_at timestamptz, disabled_at timestamptz, created_by text, created_by_role text, claimed "
        "boolean) LANGUAGE sql SECURITY DEFINER AS $$SELECT 'c-' || i, 'customer-app', now(), "
        "NULL::timestamptz, NULL, NULL, true FROM generate_series(1, 3000000) i$$");
    check_unfit(ask(pool, STATEMENT_CLIENT_PAGE), STATEMENT_CLIENT_PAGE, "more bytes than it may have");
    assert_in_range(peak_kib() - before, 0, 48 * 1024); /* of 100 MB; ASan keeps what was freed */
    /* The others go on, on connections that are made anew. */
    struct deadline deadline;
    deadline_begin(&deadline, SEC(10));
    while (pg_pool_stats(pool).connections_up < 2)
        check_ok(fiber_sleep(5));
    deadline_end(&deadline);
    check_ok(ask(pool, STATEMENT_ROTATIONS_PENDING));
    assert_int_equal(pg_pool_stats(pool).losses, 2);
    assert_int_equal(pg_pool_stats(pool).unfit, 2);
    pg_pool_free(pool);
}

/* As large as they may be: a record of 64 MiB, small ones before and behind it in one batch. */
struct getter {
    struct pg_pool *pool;
    struct str key;
    result r;
    size_t len;
};

static void get(void *arg)
{
    struct getter *getter = arg;
    const struct pg_value params[] = { pg_text(STR("us")), pg_int8(1), pg_text(STR("acme")),
                                       pg_text(STR("large")), pg_text(getter->key) };
    struct pg_reply reply = PG_REPLY_INIT;
    getter->r = pg_pool_call(getter->pool, STATEMENT_RECORD_GET, 0, params, 5, &reply);
    getter->len = pg_reply_str(&reply, 0, 3).len;
    pg_reply_done(&reply);
}

ON_LOOP(the_largest_records_fit_beside_small_ones)
{
    as_migrated();
    server_run(
        "INSERT INTO domicile.record (customer, class, key, revision, key_version, payload) SELECT 'acme', "
        "'large', 'k' || i, 1, 0, CASE WHEN i % 7 = 3 THEN decode(repeat('ab', 67109376), 'hex') ELSE 'x' "
        "END FROM "
        "generate_series(1, 14) i");
    struct pg_pool *pool = pool_open();
    struct getter getters[28];
    struct scope scope = SCOPE_INIT;
    char keys[COUNT(getters)][8];
    for (size_t i = 0; i < COUNT(getters); i++) {
        int len = snprintf(keys[i], sizeof keys[i], "k%zu", i % 14 + 1);
        getters[i] = (struct getter){ .pool = pool, .key = { keys[i], (size_t)len } };
        check_ok(fiber_spawn(&scope, "get", get, &getters[i]));
    }
    check_ok(scope_join(&scope));
    for (size_t i = 0; i < COUNT(getters); i++) {
        check_ok(getters[i].r);
        assert_int_equal(getters[i].len, (i % 14 + 1) % 7 == 3 ? 67109376 : 1);
    }
    assert_int_equal(pg_pool_stats(pool).losses, 0);
    pg_pool_free(pool);
}

/* ---- what the record path makes of it ---- */

static void no_alarm(void *context, const struct record_shelf *shelf, struct str key) {}

static void check_page(struct record_shelf *shelf, const char *rows)
{
    char script[1024];
    struct arena arena;
    struct record_page page = { 0 };
    snprintf(script, sizeof script,
             "CREATE OR REPLACE FUNCTION domicile.record_page(p_region text, p_epoch bigint, p_customer "
             "text, p_class "
             "text, p_prefix text, p_after text, p_limit integer, p_max_bytes bigint, p_with_payload "
             "boolean, p_action "
             "text, p_principal text, p_role text, p_rule text, p_request text) RETURNS TABLE (key text, "
             "revision bigint, "
             "key_version integer, written_at timestamptz, payload_bytes integer, payload bytea) LANGUAGE "
             "sql SECURITY "
             "DEFINER AS $$%s$$",
             rows);
    server_run(script);
    arena_init(&arena);
    result r = records_page(shelf, &arena, STR("p"), STR("p3"), 2, true, &page);
    check_fails(E_SCHEMA, r);
    assert_non_null(strstr(r.error.what, "\"us-1\" answered \"record_page\" with"));
    arena_done(&arena);
}

ON_LOOP(p8_a_page_that_was_not_asked_for_is_an_error)
{
    as_migrated();
    struct record_cell cell = { .name = "us-1", .region = "us", .epoch = 1, .pool = pool_open() };
    struct record_store store = { .region = STR("us"), .cells = &cell, .cell_count = 1, .alarm = no_alarm };
    struct record_shelf shelf = { .store = &store,
                                  .cell = &cell,
                                  .epoch = 1,
                                  .customer = STR("acme"),
                                  .class = STR("plain"),
                                  .actor = { STR("c-1"), STR("customer-app"), STR("r"), STR("q") } };
    check_page(&shelf, "VALUES ('p3', 1::bigint, 0, now(), 1, '\\x78'::bytea)"); /* again */
    check_page(&shelf,
               "VALUES ('p5', 1::bigint, 0, now(), 1, '\\x78'::bytea), ('p4', 1, 0, now(), 1, '\\x78')");
    check_page(&shelf, "VALUES ('q4', 1::bigint, 0, now(), 1, '\\x78'::bytea)"); /* another prefix */
    check_page(&shelf, "VALUES ('p4', 1::bigint, 0, now(), 1, NULL::bytea)");
    check_page(&shelf,
               "SELECT 'p' || i, 1::bigint, 0, now(), 1, '\\x78'::bytea FROM generate_series(4, 6) i");
    check_page(&shelf, "VALUES ('p4', 1::bigint, 0, timestamptz 'infinity', 1, '\\x78'::bytea)");
    check_page(&shelf, "SELECT 'p' || repeat('x', 512), 1::bigint, 0, now(), 1, '\\x78'::bytea");
    pg_pool_free(cell.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p8_a_null_where_none_may_be_is_an_error_of_every_statement),
        cmocka_unit_test(p8_more_rows_than_a_statement_can_have_are_an_error),
        cmocka_unit_test(p8_a_function_of_another_kind_is_an_error),
        cmocka_unit_test(p8_an_answer_that_is_too_large_is_not_taken_into_memory),
        cmocka_unit_test(the_largest_records_fit_beside_small_ones),
        cmocka_unit_test(p8_a_page_that_was_not_asked_for_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
