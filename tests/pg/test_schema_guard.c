/* Who may change the schema: nobody whom a certificate makes, and what a superuser changes is noted. */
#include "schema/guard.h"
#include "schema/migrate.h"
#include "server.h"

static const struct cell_stamp eu = { "eu-fr", "eu-fr-1", 1 };

static void migrate(void)
{
    struct pg_conn *conn = server_open(server_superuser());
    check_ok(cell_migrate(conn, &eu, NULL, NULL));
    pg_close(conn);
}

static int64_t unmarked(void)
{
    return server_number("SELECT count(*) FROM domicile_guard.ddl WHERE migration IS NULL");
}

static int64_t members_of_owner(void)
{
    return server_number("SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid WHERE "
                         "r.rolname = 'domicile_owner'");
}

static void record_something(void)
{
    server_run("SELECT domicile.audit_write('store', 'refused', 'eu-fr', 1, NULL, NULL, NULL, NULL, NULL, "
               "'c-0123456789', 'customer-app', 'own-records', 'req-0001')");
}

/* ---- an administrator ---- */

ON_LOOP(p3_an_administrators_certificate_changes_no_guard)
{
    static const char *const refused[] = {
        "SET ROLE domicile_owner",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION domicile_owner",
        "SET session_replication_role = replica",
        "GRANT domicile_owner TO domicile_admin",
        "ALTER TABLE domicile.audit DISABLE TRIGGER ALL",
        "ALTER TABLE domicile.audit DISABLE TRIGGER audit_stays",
        "DROP TRIGGER audit_stays ON domicile.audit",
        "UPDATE domicile.audit SET principal = 'nobody'",
        "DELETE FROM domicile.audit",
        "TRUNCATE domicile.audit",
        "INSERT INTO domicile.audit SELECT * FROM domicile.audit",
        ("CREATE OR REPLACE FUNCTION domicile.audit_stays() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN "
         "RETURN "
         "new; END'"),
        "ALTER FUNCTION domicile.audit_stays() OWNER TO domicile_admin",
        "CREATE FUNCTION domicile.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DROP SCHEMA domicile CASCADE",
        "DROP SCHEMA domicile_guard CASCADE",
        "DELETE FROM domicile_guard.ddl",
        "UPDATE domicile_guard.ddl SET migration = 'x'",
        "DROP EVENT TRIGGER domicile_guard_ddl",
        "ALTER EVENT TRIGGER domicile_guard_ddl DISABLE",
        "SELECT domicile.audit_write('a','b','eu-fr',1,NULL,NULL,NULL,NULL,NULL,'p','r','u','q')",
        "SELECT secret_hash FROM domicile.client",
        "SELECT payload FROM domicile.record",
    };
    migrate();
    record_something();
    struct pg_conn *admin = server_open(server_role("admin"));
    for (size_t i = 0; i < COUNT(refused); i++) {
        result r = pg_run(admin, refused[i]);
        if (!failed(r) || r.error.code != E_SQL)
            fail_msg("an administrator may: %s", refused[i]);
    }
    check_fails(E_SQL, cell_migrate(admin, &eu, NULL, NULL));
    assert_int_equal(unmarked(), 0);
    assert_int_equal(members_of_owner(), 0);
    assert_int_equal(server_number("SELECT count(*) FROM domicile.audit WHERE principal = 'c-0123456789'"),
                     1);
    pg_close(admin);
}

ON_LOOP(an_administrator_keeps_the_staffs_clients)
{
    migrate();
    struct pg_conn *admin = server_open(server_role("admin"));
    assert_int_equal(server_number_on(admin, "SELECT schema_version FROM domicile.cell_status()"),
                     cell_migration_count);
    assert_int_equal(server_number_on(admin, "SELECT count(*) FROM domicile.client_page(NULL, '', 10)"), 0);
    assert_int_equal(
        server_number_on(admin, "SELECT count(*) FROM domicile_guard.ddl WHERE migration IS NULL"), 0);
    pg_close(admin);
}

/* ---- a superuser ---- */

#define REWRITE                                                                                              \
    "BEGIN; ALTER TABLE domicile.audit DISABLE TRIGGER audit_stays; UPDATE domicile.audit SET principal = "  \
    "'nobody'; ALTER TABLE domicile.audit ENABLE ALWAYS TRIGGER audit_stays; "

ON_LOOP(p3_a_guard_that_was_off_within_one_transaction_is_noted)
{
    migrate();
    record_something();
    server_run("DELETE FROM domicile_guard.ddl WHERE migration IS NULL");
    server_run(REWRITE "ROLLBACK");
    assert_int_equal(unmarked(), 0);
    server_run(REWRITE "COMMIT");
    assert_int_equal(unmarked(), 2);
    assert_int_equal(
        server_number(
            "SELECT count(*) FROM domicile_guard.ddl WHERE migration IS NULL AND who = 'postgres' AND "
            "tag = 'ALTER TABLE' AND object = 'domicile.audit' AND address = 'a local socket'"),
        2);
    /* neither as the owner, nor as who says that triggers are for replicas only */
    server_run("SET session_replication_role = replica; SET ROLE domicile_owner; " REWRITE "COMMIT");
    assert_int_equal(unmarked(), 4);
    server_run("BEGIN; CREATE FUNCTION domicile.gone() RETURNS int LANGUAGE sql AS 'SELECT 1'; DROP FUNCTION "
               "domicile.gone; COMMIT");
    assert_int_equal(unmarked(), 6);
    server_run("BEGIN; DROP TRIGGER audit_stays_whole ON domicile.audit; ROLLBACK");
    server_run("CREATE TABLE public.other (i int); DROP TABLE public.other"); /* no guard */
    assert_int_equal(unmarked(), 6);
    server_run("DELETE FROM domicile_guard.ddl WHERE migration IS NULL");
}

ON_LOOP(p3_the_audit_log_stays_also_where_triggers_are_for_replicas)
{
    migrate();
    record_something();
    struct pg_conn *superuser = server_open(server_superuser());
    check_ok(pg_run(superuser, "SET session_replication_role = replica"));
    check_fails(E_SQL, pg_run(superuser, "UPDATE domicile.audit SET principal = 'nobody'"));
    check_fails(E_SQL, pg_run(superuser, "DELETE FROM domicile.audit"));
    check_fails(E_SQL, pg_run(superuser, "TRUNCATE domicile.audit"));
    pg_close(superuser);
}

/* ---- migrations ---- */

/* As the version before made it: by domicile_admin, a member of the owner. */
static void make_cell_of_the_version_before(void)
{
    server_run("DROP SCHEMA IF EXISTS domicile, domicile_guard CASCADE; DROP EVENT TRIGGER IF EXISTS "
               "domicile_guard_ddl; "
               "DROP EVENT TRIGGER IF EXISTS domicile_guard_drop; GRANT domicile_owner TO domicile_admin");
    struct pg_conn *admin = server_open(server_role("admin"));
    server_do(
        admin,
        "SET ROLE domicile_owner; CREATE SCHEMA domicile; CREATE TABLE domicile.schema_version (version "
        "integer PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL, applied_at timestamptz NOT NULL "
        "DEFAULT now())");
    for (size_t i = 0; i < 8; i++) {
        char sql[300];
        server_do(admin, cell_migrations[i].sql);
        snprintf(sql, sizeof sql,
                 "INSERT INTO domicile.schema_version (version, name, sha256) VALUES (%zu, '%s', '%s')",
                 i + 1, cell_migrations[i].name, cell_migrations[i].sha256);
        server_do(admin, sql);
    }
    server_do(admin, "INSERT INTO domicile.cell (region, name, epoch) VALUES ('eu-fr', 'eu-fr-1', 1)");
    pg_close(admin);
}

ON_LOOP(a_cell_of_the_version_before_is_converted)
{
    bool kept;
    struct pg_conn *superuser = server_open(server_superuser());
    make_cell_of_the_version_before();
    struct pg_conn *admin = server_open(server_role("admin"));
    server_do(admin, "SET ROLE domicile_owner");
    assert_int_equal(server_number_on(admin, "SELECT schema_version FROM domicile.cell_status()"), 8);
    check_ok(guard_is_kept(superuser, &kept));
    assert_false(kept);
    check_ok(cell_migrate(superuser, &eu, NULL, NULL));
    check_ok(guard_is_kept(superuser, &kept));
    assert_true(kept);
    assert_int_equal(members_of_owner(), 0);
    check_fails(E_UNAVAILABLE, pg_run(admin, "ALTER TABLE domicile.audit DISABLE TRIGGER ALL"));
    pg_close(admin); /* who was the owner before is not any more */
    admin = server_open(server_role("admin"));
    check_fails(E_SQL, pg_run(admin, "SET ROLE domicile_owner"));
    check_fails(E_SQL, pg_run(admin, "ALTER TABLE domicile.audit DISABLE TRIGGER ALL"));
    assert_int_equal(server_number_on(admin, "SELECT schema_version FROM domicile.cell_status()"),
                     cell_migration_count);
    assert_int_equal(server_number("SELECT count(*) FROM domicile.audit WHERE action = 'schema-migrate'"),
                     (int64_t)cell_migration_count - 8);
    assert_int_equal(unmarked(), 0);
    check_ok(cell_migrate(superuser, &eu, NULL, NULL));
    assert_int_equal(unmarked(), 0);
    pg_close(admin);
    pg_close(superuser);
}

ON_LOOP(what_a_schema_file_does_is_marked_and_audited)
{
    static const char sha256[] = "00000000000000000000000000000000000000000000000000000000000000ff";
    struct cell_migration more[64];
    migrate();
    memcpy(more, cell_migrations, cell_migration_count * sizeof more[0]);
    more[cell_migration_count] =
        (struct cell_migration){ (int)cell_migration_count + 1, "more",
                                 "CREATE TABLE domicile.more (i int); DROP TABLE domicile.more", sha256 };
    struct pg_conn *superuser = server_open(server_superuser());
    int64_t noted = server_number("SELECT count(*) FROM domicile_guard.ddl WHERE migration = 'more'");
    check_ok(cell_migrate_with(superuser, &eu, more, cell_migration_count + 1, NULL, NULL));
    assert_int_equal(unmarked(), 0);
    assert_int_equal(
        server_number("SELECT count(*) FROM domicile_guard.ddl WHERE migration = 'more'") - noted, 2);
    assert_int_equal(
        server_number("SELECT count(*) FROM domicile.audit WHERE action = 'schema-migrate' AND key = "
                      "'more' AND principal = 'system'"),
        1);
    assert_int_equal(
        server_number("SELECT count(*) FROM pg_class c WHERE c.relnamespace = 'domicile'::regnamespace "
                      "AND c.relkind IN ('r', 'S') AND pg_get_userbyid(c.relowner) <> 'domicile_owner'"),
        0);
    pg_close(superuser);
}

ON_LOOP(guards_that_were_removed_are_put_back)
{
    static const char *const removals[] = {
        "ALTER EVENT TRIGGER domicile_guard_ddl DISABLE",
        "BEGIN; ALTER EVENT TRIGGER domicile_guard_ddl DISABLE; ALTER EVENT TRIGGER domicile_guard_ddl "
        "ENABLE "
        "ALWAYS; COMMIT",
        "DROP EVENT TRIGGER domicile_guard_drop",
        "GRANT domicile_owner TO domicile_admin",
        "ALTER TABLE domicile.audit ENABLE TRIGGER audit_stays",
        "DROP SCHEMA domicile_guard CASCADE",
    };
    struct pg_conn *superuser = server_open(server_superuser());
    make_cell_of_the_version_before();
    check_ok(cell_migrate(superuser, &eu, NULL, NULL));
    for (size_t i = 0; i < COUNT(removals); i++) {
        bool kept;
        server_run(removals[i]);
        check_ok(guard_is_kept(superuser, &kept));
        assert_false(kept);
        check_ok(cell_migrate(superuser, &eu, NULL, NULL));
        check_ok(guard_is_kept(superuser, &kept));
        assert_true(kept);
    }
    pg_close(superuser);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p3_an_administrators_certificate_changes_no_guard),
        cmocka_unit_test(an_administrator_keeps_the_staffs_clients),
        cmocka_unit_test(p3_a_guard_that_was_off_within_one_transaction_is_noted),
        cmocka_unit_test(p3_the_audit_log_stays_also_where_triggers_are_for_replicas),
        cmocka_unit_test(what_a_schema_file_does_is_marked_and_audited),
        cmocka_unit_test(a_cell_of_the_version_before_is_converted),
        cmocka_unit_test(guards_that_were_removed_are_put_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
