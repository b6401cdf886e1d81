/* Every channel that SQL or a file opens: opened, seen, closed, and seen to end. */
#include "watch_test.h"

#define SET(name, value) "ALTER SYSTEM SET " name " = " value "\nSELECT pg_reload_conf()"
#define RESET(name) "ALTER SYSTEM RESET " name "\nSELECT pg_reload_conf()"

/* ---- pg_hba.conf ---- */

static char hba_before[8192];

static void hba_path(char path[256])
{
    snprintf(path, 256, "%s/data/pg_hba.conf", getenv("PGT_DIR"));
}

static void read_hba(void)
{
    char path[256];
    hba_path(path);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    hba_before[fread(hba_before, 1, sizeof hba_before - 1, file)] = '\0';
    fclose(file);
}

static void write_hba(const char *text, const char *line)
{
    char path[256];
    hba_path(path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "%s%s\n", text, line);
    fclose(file);
}

static void restore_hba(void)
{
    write_hba(hba_before, "");
}

#define HBA_LINE(name, line)                                                                                 \
    static void name(void)                                                                                   \
    {                                                                                                        \
        read_hba();                                                                                          \
        write_hba(hba_before, line);                                                                         \
    }
HBA_LINE(open_hba, "hostssl all all 0.0.0.0/0 cert")
HBA_LINE(plain_hba, "host all domicile_gateway 127.0.0.1/32 scram-sha-256")
HBA_LINE(trusting_hba, "hostssl all domicile_gateway 127.0.0.1/32 trust")
HBA_LINE(md5_hba, "hostssl all domicile_gateway 127.0.0.1/32 md5")
HBA_LINE(changed_hba, "hostssl all domicile_gateway 10.0.0.0/8 cert")
HBA_LINE(replication_hba, "hostssl replication domicile_replication 127.30.1.0/24 cert")
HBA_LINE(by_database_hba, "hostssl domicile domicile_replication 127.30.1.0/24 cert")
HBA_LINE(broken_hba, "hostssl nonsense")

static void shortened_hba(void)
{
    static const char line[] = "local replication all trust\n";
    read_hba();
    char *at = strstr(hba_before, line), text[sizeof hba_before];
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s%s", (int)(at - hba_before), hba_before, at + strlen(line));
    write_hba(text, "");
}

/* ---- sessions ---- */

static const char *const stranger[] = { BIN "psql", "-U", "stranger", "-c", "SELECT pg_sleep(60)", NULL };
static pid_t stranger_pid;

static void let_stranger_in(void)
{
    do_lines("CREATE ROLE stranger LOGIN\nGRANT CONNECT ON DATABASE domicile TO stranger");
    stranger_pid = start_program(stranger);
}

static void put_stranger_out(void)
{
    stop_program(stranger_pid);
    do_lines("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'stranger'\n"
             "DROP OWNED BY stranger\nDROP ROLE stranger");
}
static const char *const to_program[] = { BIN "psql", "-c",
                                          "COPY (SELECT pg_sleep(60)) TO PROGRAM 'cat >/dev/null'", NULL };
static const char *const to_file[] = { BIN "psql", "-c", "COPY (SELECT pg_sleep(60)) TO '/dev/null'", NULL };

#define END_PROGRAMS "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'psql'"

#define BY_SQL(of, opens, closes, about)                                                                     \
    {                                                                                                        \
        .channel = (of), .open = (opens), .close = (closes), .subject = (about)                              \
    }
static struct opening openings[] = {
    BY_SQL("slot-physical", "SELECT pg_create_physical_replication_slot('eu3')",
           "SELECT pg_drop_replication_slot('eu3')", "eu3"),
    BY_SQL("slot-logical", "SELECT pg_create_logical_replication_slot('eu2', 'pgoutput')",
           "SELECT pg_drop_replication_slot('eu2')", "eu2"),
    BY_SQL("publication", "CREATE PUBLICATION p FOR TABLE domicile.customer", "DROP PUBLICATION p", "p"),
    BY_SQL("publication-all-tables", "CREATE PUBLICATION p FOR ALL TABLES", "DROP PUBLICATION p", "p"),
    BY_SQL("publication-schema", "CREATE PUBLICATION p FOR TABLES IN SCHEMA domicile", "DROP PUBLICATION p",
           "p"),
    BY_SQL("publication-overlap",
           "CREATE PUBLICATION p FOR TABLE domicile.record WHERE (customer = 'a')\n"
           "CREATE PUBLICATION q FOR TABLE domicile.record WHERE (customer = 'b')",
           "DROP PUBLICATION p, q", "domicile.record"),
    BY_SQL("publication-keys", "CREATE PUBLICATION p FOR TABLE domicile.class_key", "DROP PUBLICATION p",
           "p"),
    BY_SQL("subscription",
           "CREATE SUBSCRIPTION s CONNECTION 'host=203.0.113.1' PUBLICATION p WITH (connect = false)",
           "ALTER SUBSCRIPTION s SET (slot_name = NONE)\nDROP SUBSCRIPTION s", "s"),
    BY_SQL(
        "foreign-server",
        "CREATE EXTENSION postgres_fdw\nCREATE SERVER abroad FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host "
        "'203.0.113.1')",
        "DROP EXTENSION postgres_fdw CASCADE", "abroad"),
    BY_SQL("dblink", "CREATE EXTENSION dblink", "DROP EXTENSION dblink", "extension dblink"),
    BY_SQL("dblink",
           "CREATE FUNCTION public.reach() RETURNS text LANGUAGE sql AS $$SELECT 'host=203.0.113.1 user=x'$$",
           "DROP FUNCTION public.reach()", "function public.reach()"),
    BY_SQL("extension", "CREATE EXTENSION pgcrypto", "DROP EXTENSION pgcrypto", "pgcrypto"),
    BY_SQL("function", "CREATE FUNCTION public.reach() RETURNS int LANGUAGE sql AS 'SELECT 1'",
           "DROP FUNCTION public.reach()", "public.reach()"),
    BY_SQL("language", "CREATE LANGUAGE wild HANDLER plpgsql_call_handler", "DROP LANGUAGE wild", "wild"),
    { "copy-program", .program = to_program, .close = END_PROGRAMS, .subject = "postgres" },
    { "copy-file", .program = to_file, .close = END_PROGRAMS, .subject = "postgres" },
    BY_SQL("server-files", "GRANT pg_execute_server_program TO domicile_gateway",
           "REVOKE pg_execute_server_program FROM domicile_gateway", "pg_execute_server_program"),
    BY_SQL("server-files", "GRANT pg_write_server_files TO domicile_gateway",
           "REVOKE pg_write_server_files FROM domicile_gateway", "pg_write_server_files"),
    BY_SQL("server-files", "GRANT pg_read_server_files TO domicile_gateway",
           "REVOKE pg_read_server_files FROM domicile_gateway", "pg_read_server_files"),
    BY_SQL("role", "CREATE ROLE stranger LOGIN", "DROP ROLE stranger", "stranger"),
    BY_SQL("role-attribute", "ALTER ROLE domicile_gateway SUPERUSER",
           "ALTER ROLE domicile_gateway NOSUPERUSER", "domicile_gateway"),
    BY_SQL("role-attribute", "ALTER ROLE domicile_gateway REPLICATION",
           "ALTER ROLE domicile_gateway NOREPLICATION", "domicile_gateway"),
    BY_SQL("role-attribute", "ALTER ROLE domicile_gateway BYPASSRLS",
           "ALTER ROLE domicile_gateway NOBYPASSRLS", "domicile_gateway"),
    BY_SQL("role-attribute", "ALTER ROLE domicile_gateway CREATEROLE",
           "ALTER ROLE domicile_gateway NOCREATEROLE", "domicile_gateway"),
    BY_SQL("role-member", "GRANT domicile_owner TO domicile_gateway",
           "REVOKE domicile_owner FROM domicile_gateway", "domicile_gateway in domicile_owner"),
    BY_SQL("role-member", "GRANT pg_read_all_data TO domicile_gateway",
           "REVOKE pg_read_all_data FROM domicile_gateway", "pg_read_all_data"),
    BY_SQL("archive", SET("archive_command", "'/bin/true'"), RESET("archive_command"), "archive_command"),
    BY_SQL("archive", SET("archive_library", "'basic_archive'"), RESET("archive_library"), "archive_library"),
    BY_SQL("restore", SET("restore_command", "'/bin/false'"), RESET("restore_command"), "restore_command"),
    BY_SQL("restore", SET("recovery_end_command", "'/bin/false'"), RESET("recovery_end_command"),
           "recovery_end_command"),
    BY_SQL("preload", SET("session_preload_libraries", "'auto_explain'"), RESET("session_preload_libraries"),
           "session_preload_libraries"),
    BY_SQL("preload", "ALTER ROLE domicile_gateway SET session_preload_libraries = 'auto_explain'",
           "ALTER ROLE domicile_gateway RESET ALL", "of role domicile_gateway"),
    BY_SQL("replica-role", "ALTER ROLE domicile_gateway SET session_replication_role = replica",
           "ALTER ROLE domicile_gateway RESET ALL", "of role domicile_gateway"),
    BY_SQL("replica-role", "ALTER DATABASE domicile SET session_replication_role = local",
           "ALTER DATABASE domicile RESET ALL", "in database domicile"),
    BY_SQL("tls-setting", SET("ssl_min_protocol_version", "'TLSv1'"), RESET("ssl_min_protocol_version"),
           "ssl_min_protocol_version"),
    BY_SQL("log-leak", SET("log_statement", "'all'"), RESET("log_statement"), "log_statement"),
    BY_SQL("log-leak", SET("log_min_duration_statement", "'0'"), RESET("log_min_duration_statement"),
           "log_min_duration_statement"),
    BY_SQL("log-leak", SET("log_parameter_max_length", "-1"), RESET("log_parameter_max_length"),
           "log_parameter_max_length"),
    BY_SQL("log-leak", SET("log_parameter_max_length_on_error", "-1"),
           RESET("log_parameter_max_length_on_error"), "log_parameter_max_length_on_error"),
    BY_SQL("log-leak", SET("log_min_error_statement", "'error'"), RESET("log_min_error_statement"),
           "log_min_error_statement"),
    BY_SQL("log-leak", SET("log_error_verbosity", "'verbose'"), RESET("log_error_verbosity"),
           "log_error_verbosity"),
    BY_SQL("log-leak", SET("log_transaction_sample_rate", "1"), RESET("log_transaction_sample_rate"),
           "log_transaction_sample_rate"),
    BY_SQL("log-leak", SET("debug_print_plan", "on"), RESET("debug_print_plan"), "debug_print_plan"),
    BY_SQL("log-leak", "ALTER ROLE domicile_gateway SET auto_explain.log_min_duration = 0",
           "ALTER ROLE domicile_gateway RESET ALL", "auto_explain.log_min_duration of role"),
    BY_SQL("settings-pending", "ALTER SYSTEM SET work_mem = '77MB'", "ALTER SYSTEM RESET work_mem",
           "work_mem"),
    BY_SQL("settings-pending", SET("max_connections", "99"), RESET("max_connections"), "max_connections"),
    BY_SQL("settings-pending", "ALTER SYSTEM SET checkpoint_timeout = '7min'",
           "ALTER SYSTEM RESET checkpoint_timeout", "checkpoint_timeout"),
    BY_SQL("settings-auto", SET("work_mem", "'77MB'"), RESET("work_mem"), "work_mem"),
    { "client", .open_by = let_stranger_in, .close_by = put_stranger_out, .subject = "stranger" },
    { "hba-open", .open_by = open_hba, .close_by = restore_hba, .subject = "0.0.0.0/0" },
    { "hba-plain", .open_by = plain_hba, .close_by = restore_hba, .subject = "host all" },
    { "hba-plain", .open_by = trusting_hba, .close_by = restore_hba, .subject = "trust" },
    { "hba-plain", .open_by = md5_hba, .close_by = restore_hba, .subject = "md5" },
    { "hba-changed", .open_by = changed_hba, .close_by = restore_hba, .subject = "10.0.0.0/8" },
    { "hba-changed", .open_by = replication_hba, .close_by = restore_hba, .subject = "127.30.1.0/24" },
    { "hba-changed", .open_by = by_database_hba, .close_by = restore_hba, .subject = "domicile_replication" },
    { "hba-changed", .open_by = broken_hba, .close_by = restore_hba, .subject = "line " },
    { "hba-changed", .open_by = shortened_hba, .close_by = restore_hba, .subject = "missing: local" },
    BY_SQL("table", "CREATE TABLE public.t (a int)", "DROP TABLE public.t", "public.t"),
    BY_SQL("table", "CREATE VIEW public.v AS SELECT id FROM domicile.customer", "DROP VIEW public.v",
           "view public.v"),
    BY_SQL("table", "CREATE TEMPORARY TABLE mine (a int)", "DROP TABLE mine", "mine"),
    BY_SQL("column", "ALTER TABLE domicile.customer ADD COLUMN note text",
           "ALTER TABLE domicile.customer DROP COLUMN note", "domicile.customer.note"),
    BY_SQL("copy", "CREATE MATERIALIZED VIEW public.m AS SELECT id FROM domicile.customer",
           "DROP MATERIALIZED VIEW public.m", "public.m"),
    BY_SQL("copy", "CREATE TABLE public.c AS SELECT payload FROM domicile.record", "DROP TABLE public.c",
           "public.c"),
    BY_SQL("copy", "CREATE TABLE public.c AS SELECT customer, class, key FROM domicile.record",
           "DROP TABLE public.c", "public.c"),
    BY_SQL("copy", "CREATE TABLE public.c () INHERITS (domicile.customer)", "DROP TABLE public.c",
           "public.c"),
    BY_SQL("large-object", "SELECT lo_create(4711)", "SELECT lo_unlink(4711)", "postgres"),
    BY_SQL("tablespace", "SET allow_in_place_tablespaces = on\nCREATE TABLESPACE elsewhere LOCATION ''",
           "DROP TABLESPACE elsewhere", "elsewhere"),
    BY_SQL("database", "CREATE DATABASE another", "DROP DATABASE another", "another"),
    BY_SQL("guard-trigger", "ALTER TABLE domicile.audit DISABLE TRIGGER audit_stays",
           "ALTER TABLE domicile.audit ENABLE TRIGGER audit_stays", "domicile.audit audit_stays"),
    BY_SQL("guard-trigger", "ALTER TABLE domicile.customer DISABLE TRIGGER ALL",
           "ALTER TABLE domicile.customer ENABLE TRIGGER ALL", "domicile.customer RI_"),
    BY_SQL("guard-trigger",
           "CREATE TRIGGER more BEFORE INSERT ON domicile.record FOR EACH ROW EXECUTE FUNCTION "
           "domicile.audit_stays()",
           "DROP TRIGGER more ON domicile.record", "domicile.record more"),
    BY_SQL("guard-trigger", "CREATE RULE away AS ON UPDATE TO domicile.record DO INSTEAD NOTHING",
           "DROP RULE away ON domicile.record", "domicile.record away"),
    BY_SQL(
        "guard-constraint", "ALTER TABLE domicile.customer DROP CONSTRAINT customer_region_fkey",
        "ALTER TABLE domicile.customer ADD CONSTRAINT customer_region_fkey FOREIGN KEY (region) REFERENCES "
        "domicile.cell (region)",
        "customer_region_fkey"),
    BY_SQL("guard-function", "ALTER FUNCTION domicile.audit_stays() SET work_mem = '1MB'",
           "ALTER FUNCTION domicile.audit_stays() RESET work_mem", "domicile.audit_stays()"),
    BY_SQL("guard-function", "ALTER FUNCTION domicile.cell_status() SECURITY INVOKER",
           "ALTER FUNCTION domicile.cell_status() SECURITY DEFINER", "domicile.cell_status()"),
    BY_SQL("guard-owner", "ALTER TABLE domicile.record OWNER TO postgres",
           "ALTER TABLE domicile.record OWNER TO domicile_owner", "domicile.record"),
    BY_SQL("guard-owner", "ALTER TABLE domicile.record ENABLE ROW LEVEL SECURITY",
           "ALTER TABLE domicile.record DISABLE ROW LEVEL SECURITY", "domicile.record"),
    BY_SQL("grant", "GRANT SELECT ON domicile.record TO domicile_gateway",
           "REVOKE SELECT ON domicile.record FROM domicile_gateway", "domicile_gateway on domicile.record"),
    BY_SQL("grant", "GRANT SELECT (payload) ON domicile.record TO PUBLIC",
           "REVOKE SELECT (payload) ON domicile.record FROM PUBLIC", "PUBLIC on domicile.record.payload"),
    BY_SQL("event-trigger",
           "CREATE FUNCTION public.e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'\n"
           "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION public.e()\nALTER EVENT TRIGGER e "
           "DISABLE",
           "DROP EVENT TRIGGER e\nDROP FUNCTION public.e()", "e"),
    BY_SQL("cleartext",
           "INSERT INTO domicile.customer (id, region, services_version) VALUES ('clinic', 'eu-fr', 1)\n"
           "INSERT INTO domicile.record (revision, key_version, customer, class, key, payload) VALUES (1, 0, "
           "'clinic', 'health', 'k', 'in clear')",
           "DELETE FROM domicile.record\nDELETE FROM domicile.customer", "class health of customer clinic"),
    BY_SQL("cleartext",
           "INSERT INTO domicile.record (revision, key_version, customer, class, key, payload) VALUES (1, 1, "
           "'clinic', 'identity', 'k', repeat('in clear', 10)::bytea)",
           "DELETE FROM domicile.record", "class identity of customer clinic"),
    BY_SQL("blind", SET("log_replication_commands", "off"), RESET("log_replication_commands"),
           "log_replication_commands"),
    BY_SQL("blind", "REVOKE EXECUTE ON FUNCTION pg_hba_file_rules() FROM domicile_monitor",
           "GRANT EXECUTE ON FUNCTION pg_hba_file_rules() TO domicile_monitor", "hba"),
    BY_SQL("blind", "REVOKE pg_monitor FROM domicile_monitor", "GRANT pg_monitor TO domicile_monitor",
           "rights"),
};

ON_LOOP(every_channel_is_seen_to_open_and_to_close)
{
    watching_begin("");
    open_all(openings, sizeof openings / sizeof openings[0]);
    watching_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_channel_is_seen_to_open_and_to_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
