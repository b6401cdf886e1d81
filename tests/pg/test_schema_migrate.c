/* The schema's files, the stamp, and the check that a gateway makes. Each test has a database of its own. */
#include "schema/migrate.h"
#include "server.h"

static const char *database;

static void fresh_database(const char *name)
{
    char sql[512];
    snprintf(sql, sizeof sql, "CREATE DATABASE %s OWNER domicile_owner", name);
    struct pg_conn *conn = server_open(server_superuser());
    check_ok(pg_run(conn, sql));
    pg_close(conn);
    database = name;
}

static struct pg_conn *open_as(const char *role)
{
    struct pg_connect_options options = server_role(role);
    options.database = database;
    return server_open(options);
}

static struct pg_conn *open_as_superuser(void)
{
    struct pg_connect_options options = server_superuser();
    options.database = database;
    return server_open(options);
}

static const struct cell_stamp eu = { "eu-fr", "eu-fr-1", 1 }, us = { "us", "us-1", 1 };

static int applied_count;

static void count_applied(void *context, const struct cell_migration *migration)
{
    (void)context;
    (void)migration;
    applied_count++;
}

static result migrate(const struct cell_stamp *stamp)
{
    applied_count = 0;
    struct pg_conn *conn = open_as_superuser();
    result r = cell_migrate(conn, stamp, count_applied, NULL);
    pg_close(conn);
    return r;
}

static result check_as_gateway(const char *region, const char *cell, int64_t *ret_epoch)
{
    struct pg_conn *conn = open_as("gateway");
    result r = cell_check(conn, region, cell, ret_epoch);
    pg_close(conn);
    return r;
}

ON_LOOP(migrating_again_changes_nothing)
{
    fresh_database("again");
    check_ok(migrate(&eu));
    assert_int_equal(applied_count, cell_migration_count);
    int64_t epoch = 0;
    check_ok(check_as_gateway("eu-fr", "eu-fr-1", &epoch));
    assert_int_equal(epoch, 1);
    check_ok(migrate(&eu));
    assert_int_equal(applied_count, 0);
}

ON_LOOP(p1_a_cell_of_another_region_is_neither_migrated_nor_served)
{
    fresh_database("foreign_cell");
    check_ok(migrate(&us));
    check_fails(E_REGION_STAMP, migrate(&eu));
    assert_int_equal(applied_count, 0);
    check_fails(E_REGION_STAMP, check_as_gateway("eu-fr", "us-1", NULL));
    check_fails(E_REGION_STAMP, check_as_gateway("us", "us-2", NULL));
    check_ok(check_as_gateway("us", "us-1", NULL));
    check_ok(migrate(&us)); /* the lock was given back */
}

ON_LOOP(p1_the_stamp_of_a_cell_stays)
{
    fresh_database("stamp");
    check_ok(migrate(&us));
    struct pg_conn *conn = open_as_superuser();
    check_ok(pg_run(conn, "SET ROLE domicile_owner"));
    check_fails(E_SQL, pg_run(conn, "UPDATE domicile.cell SET region = 'eu-fr'"));
    check_fails(E_SQL, pg_run(conn, "DELETE FROM domicile.cell"));
    check_fails(E_SQL, pg_run(conn, "TRUNCATE domicile.cell CASCADE"));
    check_fails(E_SQL, pg_run(conn, "UPDATE domicile.cell SET epoch = 0"));
    check_fails(E_SQL,
                pg_run(conn, "INSERT INTO domicile.cell (region, name, epoch) VALUES ('eu-fr', 'x1', 1)"));
    check_ok(pg_run(conn, "UPDATE domicile.cell SET epoch = 2"));
    check_fails(E_SQL, pg_run(conn, "UPDATE domicile.cell SET epoch = 1"));
    pg_close(conn);
}

ON_LOOP(p1_a_database_without_the_schema_is_not_served)
{
    fresh_database("empty");
    check_fails(E_SCHEMA, check_as_gateway("eu-fr", "eu-fr-1", NULL));
    struct pg_conn *conn = open_as_superuser();
    check_ok(cell_migrate(conn, &eu, NULL, NULL));
    check_ok(pg_run(conn, "SET ROLE domicile_owner"));
    check_ok(pg_run(conn, "DELETE FROM domicile.schema_version WHERE version = (SELECT max(version) FROM "
                          "domicile.schema_version)"));
    pg_close(conn);
    check_fails(E_SCHEMA, check_as_gateway("eu-fr", "eu-fr-1", NULL));
}

ON_LOOP(p1_a_cell_that_lost_its_stamp_is_not_served)
{
    fresh_database("stampless");
    check_ok(migrate(&eu));
    struct pg_connect_options options = server_superuser();
    options.database = database;
    struct pg_conn *conn = server_open(options);
    check_ok(pg_run(conn, "SET session_replication_role = replica")); /* else a trigger keeps it */
    check_ok(pg_run(conn, "DELETE FROM domicile.cell"));
    pg_close(conn);
    check_fails(E_SCHEMA, check_as_gateway("eu-fr", "eu-fr-1", NULL));
}

static const struct cell_migration two[] = {
    { 1, "001-one",
      "CREATE TABLE domicile.cell (region text, name text, epoch bigint); CREATE TABLE domicile.a (i int)",
      "0000000000000000000000000000000000000000000000000000000000000001" },
    { 2, "002-two", "CREATE TABLE domicile.b (i int)",
      "0000000000000000000000000000000000000000000000000000000000000002" },
};

ON_LOOP(an_applied_file_that_changed_is_refused)
{
    fresh_database("changed");
    struct pg_conn *conn = open_as_superuser();
    check_ok(cell_migrate_with(conn, &eu, two, 1, NULL, NULL));
    struct cell_migration changed[] = { two[0], two[1] };
    changed[0].sha256 = "000000000000000000000000000000000000000000000000000000000000000f";
    check_fails(E_SCHEMA, cell_migrate_with(conn, &eu, changed, 2, NULL, NULL));
    assert_int_equal(server_number_on(conn, "SELECT (to_regclass('domicile.b') IS NULL)"), 1);
    check_ok(cell_migrate_with(conn, &eu, two, 2, NULL, NULL));
    check_fails(E_SCHEMA, cell_migrate_with(conn, &eu, two, 1, NULL, NULL)); /* newer than the program */
    pg_close(conn);
}

ON_LOOP(a_file_that_fails_leaves_nothing_behind)
{
    fresh_database("failing");
    struct pg_conn *conn = open_as_superuser();
    struct cell_migration failing[] = { two[0], two[1] };
    failing[1].sql = "CREATE TABLE domicile.b (i int); SELECT 1/0";
    result r = cell_migrate_with(conn, &eu, failing, 2, NULL, NULL);
    check_fails(E_SQL, r);
    assert_non_null(strstr(r.error.what, "002-two"));
    assert_int_equal(server_number_on(conn, "SELECT (to_regclass('domicile.b') IS NULL)"), 1);
    check_ok(cell_migrate_with(conn, &eu, two, 2, NULL, NULL));
    pg_close(conn);
}

ON_LOOP(a_file_that_was_left_out_is_refused)
{
    fresh_database("gap");
    struct pg_conn *conn = open_as_superuser();
    check_ok(cell_migrate_with(conn, &eu, two, 2, NULL, NULL));
    server_do(conn, "SET ROLE domicile_owner; DELETE FROM domicile.schema_version WHERE version = 1");
    result r = cell_migrate_with(conn, &eu, two, 2, NULL, NULL);
    check_fails(E_SCHEMA, r);
    assert_non_null(strstr(r.error.what, "version 2 but not 1"));
    pg_close(conn);
}

ON_LOOP(a_connection_that_breaks_gives_the_lock_back)
{
    fresh_database("broken");
    struct pg_conn *conn = open_as_superuser();
    struct cell_migration breaking[] = { two[0], two[1] };
    breaking[1].sql =
        "CREATE TABLE domicile.b (i int); RESET ROLE; SELECT pg_terminate_backend(pg_backend_pid())";
    result r = cell_migrate_with(conn, &eu, breaking, 2, NULL, NULL);
    assert_true(failed(r) && r.error.code != E_SQL);
    pg_close(conn);
    conn = open_as_superuser();
    check_ok(cell_migrate_with(conn, &eu, two, 2, NULL, NULL));
    pg_close(conn);
}

struct migrator {
    result r;
};

static void run_migrator(void *arg)
{
    struct migrator *migrator = arg;
    struct pg_conn *conn = open_as_superuser();
    migrator->r = cell_migrate(conn, &eu, count_applied, NULL);
    pg_close(conn);
}

ON_LOOP(two_migrators_at_once_apply_each_file_once)
{
    fresh_database("twice");
    struct migrator migrators[4];
    struct scope scope = SCOPE_INIT;
    applied_count = 0;
    for (size_t i = 0; i < 4; i++)
        check_ok(fiber_spawn(&scope, "migrator", run_migrator, &migrators[i]));
    check_ok(scope_join(&scope));
    for (size_t i = 0; i < 4; i++)
        check_ok(migrators[i].r);
    assert_int_equal(applied_count, cell_migration_count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(migrating_again_changes_nothing),
        cmocka_unit_test(p1_a_cell_of_another_region_is_neither_migrated_nor_served),
        cmocka_unit_test(p1_the_stamp_of_a_cell_stays),
        cmocka_unit_test(p1_a_database_without_the_schema_is_not_served),
        cmocka_unit_test(p1_a_cell_that_lost_its_stamp_is_not_served),
        cmocka_unit_test(an_applied_file_that_changed_is_refused),
        cmocka_unit_test(a_file_that_fails_leaves_nothing_behind),
        cmocka_unit_test(a_file_that_was_left_out_is_refused),
        cmocka_unit_test(a_connection_that_breaks_gives_the_lock_back),
        cmocka_unit_test(two_migrators_at_once_apply_each_file_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
