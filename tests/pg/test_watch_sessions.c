/* Who copies the cluster: programs that are really run, addresses of another region, what the log alone has, and a standby
 * that goes its own way. */
#include "relay.h"
#include "watch_test.h"

#include "watch/watch_internal.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* ---- addresses: a relay of ours, which speaks from them ---- */

static struct relay relay;
static pid_t relayed;

static void open_relayed(const char *from, const char *const *argv)
{
    relay = relay_start(getenv("PGT_PORT"), from);
    set_environment("PGHOST", "127.0.0.1");
    set_environment("PGPORT", relay.port);
    relayed = start_program(argv);
    set_environment("PGHOST", server_path("socket"));
    set_environment("PGPORT", getenv("PGT_PORT"));
}

static void close_relayed(void)
{
    stop_program(relayed);
    relay_stop(&relay);
}

static const char *const sleeper[] = { BIN "psql", "-c", "SELECT pg_sleep(60)", NULL };
static const char *wal_to[] = { BIN "pg_receivewal", "-D", NULL, "--no-loop", NULL };

/* A program that was killed leaves what the next one would stumble over. */
static const char *scratch(const char *kind)
{
    static unsigned count;
    char *path = arena_printf(&w.shipped.arena, "%s%u", server_path(kind), count++);
    assert_int_equal(mkdir(path, 0700), 0);
    return path;
}

static void open_from_us(void)
{
    wal_to[2] = scratch("wal");
    open_relayed("127.20.1.1", wal_to);
}

static void open_session_from_us(void)
{
    open_relayed("127.20.1.1", sleeper);
}

static void open_in_clear(void)
{
    set_environment("PGSSLMODE", "disable");
    open_relayed("127.30.0.1", sleeper);
    unsetenv("PGSSLMODE");
}

/* What libpq may use is the system's choice: another one for this client. */
static void open_with_tls_1_1(void)
{
    static const char permissive[] = "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\n"
                                     "CipherString = DEFAULT@SECLEVEL=0\nMinProtocol = TLSv1\n";
    FILE *file = fopen(server_path("openssl.cnf"), "w");
    assert_non_null(file);
    fputs(permissive, file);
    fclose(file);
    do_lines(
        "ALTER SYSTEM SET ssl_min_protocol_version = 'TLSv1'\nSELECT pg_reload_conf()\nSELECT pg_sleep(0.3)");
    set_environment("OPENSSL_CONF", server_path("openssl.cnf"));
    set_environment("PGSSLMODE", "require");
    set_environment("PGSSLMINPROTOCOLVERSION", "TLSv1");
    set_environment("PGSSLMAXPROTOCOLVERSION", "TLSv1.1");
    open_relayed("127.30.0.1", sleeper);
    unsetenv("OPENSSL_CONF");
    unsetenv("PGSSLMODE");
    unsetenv("PGSSLMINPROTOCOLVERSION");
    unsetenv("PGSSLMAXPROTOCOLVERSION");
}

static void close_tls_1_1(void)
{
    close_relayed();
    do_lines("ALTER SYSTEM RESET ssl_min_protocol_version\nSELECT pg_reload_conf()");
}

#define END_SESSIONS                                                                                         \
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND "        \
    "backend_type IN ('client backend', 'walsender') AND usename = 'postgres'"

static const char *wal_as_other[] = { BIN "pg_receivewal", "-D", NULL, "-d", "application_name=other", NULL };
static const char *base_to[] = {
    BIN "pg_basebackup", "-D", NULL, "-r", "100k", "-c", "fast", "-X", "none", NULL
};
static const char *const changes[] = {
    BIN "pg_recvlogical", "-d", "domicile", "-S", "l", "--start", "-f", "-", "--create-slot", NULL
};

/* The key of the standbys, on the host of a declared client. */
static void open_from_client(void)
{
    base_to[2] = scratch("base");
    set_environment("PGUSER", "domicile_replication");
    open_relayed("127.30.0.1", base_to);
    set_environment("PGUSER", "postgres");
}

static struct opening openings[] = {
    { "pg-receivewal", .program = wal_to, .close = END_SESSIONS, .subject = "postgres from a local socket" },
    { "walsender", .program = wal_as_other, .close = END_SESSIONS, .subject = "as other" },
    { "pg-basebackup", .program = base_to, .close = END_SESSIONS, .subject = "pg_basebackup" },
    { "pg-basebackup", .open_by = open_from_client, .close_by = close_relayed,
      .subject = "domicile_replication from 127.30.0.1" },
    { "pg-recvlogical", .program = changes, .subject = "pg_recvlogical",
      .close = END_SESSIONS "\nSELECT pg_sleep(0.2)\nSELECT pg_drop_replication_slot(slot_name) FROM "
                            "pg_replication_slots WHERE slot_name = 'l'" },
    { "replication-abroad", .open_by = open_from_us, .close_by = close_relayed, .close = END_SESSIONS,
      .subject = "postgres from 127.20.1.1" },
    { "client-abroad", .open_by = open_session_from_us, .close_by = close_relayed, .close = END_SESSIONS,
      .subject = "postgres from 127.20.1.1" },
    { "client-plain", .open_by = open_in_clear, .close_by = close_relayed, .close = END_SESSIONS,
      .subject = "postgres from 127.30.0.1" },
    { "client-tls-old", .open_by = open_with_tls_1_1, .close_by = close_tls_1_1, .close = END_SESSIONS,
      .subject = "postgres from 127.30.0.1" },
};

ON_LOOP(every_copier_is_seen)
{
    watching_begin("");
    wal_to[2] = scratch("wal");
    wal_as_other[2] = scratch("wal");
    base_to[2] = scratch("base");
    open_all(openings, COUNT(openings));
    watching_end();
}

/* ---- sever ---- */

static int64_t audited(const char *action)
{
    char sql[200];
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM domicile.audit WHERE action = '%s' AND rule = 'watch:replication-abroad'",
             action);
    return server_number(sql);
}

ON_LOOP(a_replication_connection_from_another_region_is_severed_and_audited)
{
    watching_begin("sever = true;");
    server_run("ALTER ROLE domicile_replication LOGIN");
    set_environment("PGUSER", "domicile_replication");
    open_from_us();
    assert_true(rounds_until("replication-abroad", "domicile_replication from 127.20.1.1", true) >= 0);
    check_ok(watch_sever(w.watch, &w.cell->nodes[0], w.monitor));
    assert_true(rounds_until("replication-abroad", NULL, false) >= 0);
    check_ok(watch_record(w.watch, w.monitor));
    assert_int_equal(watch_event_count(w.watch), 0);
    assert_int_equal(audited("finding-begin"), 1);
    assert_int_equal(audited("finding-severed"), 1);
    assert_int_equal(audited("finding-end"), 1);
    assert_int_equal(
        server_number("SELECT count(*) FROM domicile.finding WHERE ended_at >= began_at AND channel "
                      "= 'replication-abroad'"),
        1);
    close_relayed();

    /* a superuser's is not the monitor's to end, and the audit log says so */
    set_environment("PGUSER", "postgres");
    open_from_us();
    assert_true(rounds_until("replication-abroad", "postgres from 127.20.1.1", true) >= 0);
    check_ok(watch_sever(w.watch, &w.cell->nodes[0], w.monitor));
    check_ok(watch_record(w.watch, w.monitor));
    assert_int_equal(audited("finding-not-severed"), 1);
    ask_once();
    check_ok(watch_sever(w.watch, &w.cell->nodes[0], w.monitor));
    check_ok(watch_record(w.watch, w.monitor));
    assert_int_equal(audited("finding-not-severed"), 1); /* once */
    close_relayed();
    do_lines(END_SESSIONS);
    assert_true(rounds_until("replication-abroad", NULL, false) >= 0);
    check_ok(watch_record(w.watch, w.monitor));
    watching_end();
}

/* ---- more than can be kept ---- */

static void make_tables(int count)
{
    char sql[200];
    snprintf(
        sql, sizeof sql,
        "DO $$BEGIN FOR i IN 1..%d LOOP EXECUTE format('CREATE TABLE public.t%%s (a int)', i); END LOOP; "
        "END$$",
        count);
    server_run(sql);
}

ON_LOOP(who_hides_among_a_thousand_findings_is_seen_and_severed)
{
    watching_begin("sever = true;");
    make_tables(WATCH_FINDINGS_MAX + 10);
    ask_once();
    assert_non_null(found("table", NULL));
    assert_non_null(found("blind", "findings"));
    watch_round_end(w.watch);
    set_environment("PGUSER", "domicile_replication");
    open_from_us();
    assert_true(rounds_until("replication-abroad", "domicile_replication from 127.20.1.1", true) >= 0);
    assert_non_null(found("blind", "findings")); /* it stays as long as that is so */
    check_ok(watch_sever(w.watch, &w.cell->nodes[0], w.monitor));
    assert_int_equal(watch_event_at(w.watch, watch_event_count(w.watch) - 1)->kind, WATCH_SEVERED);
    close_relayed();
    set_environment("PGUSER", "postgres");
    server_run("DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION pg_database_owner; "
               "GRANT USAGE ON SCHEMA public TO PUBLIC");
    expect_clean("once the tables are gone");
    watching_end();
}

ON_LOOP(that_nothing_may_be_severed_is_a_finding_and_no_more)
{
    watching_begin("sever = true;");
    do_lines("REVOKE EXECUTE ON FUNCTION pg_terminate_backend FROM domicile_monitor");
    for (int round = 0; round < 3; round++) {
        ask_once();
        check_ok(watch_sever(w.watch, &w.cell->nodes[0], w.monitor));
        assert_non_null(found("blind", "sever"));
    }
    assert_int_equal(watch_event_count(w.watch), 1);
    do_lines("GRANT EXECUTE ON FUNCTION pg_terminate_backend TO domicile_monitor");
    ask_once();
    check_ok(watch_sever(w.watch, &w.cell->nodes[0], w.monitor));
    expect_clean("once it may again");
    watching_end();
}

/* ---- a monitor that starts again ---- */

ON_LOOP(an_open_finding_keeps_its_begin_when_the_monitor_starts_again)
{
    watching_begin("");
    do_lines("CREATE PUBLICATION p FOR TABLE domicile.customer");
    assert_true(rounds_until("publication", "p", true) >= 0);
    int64_t began_ms = found("publication", "p")->began_ms;
    check_ok(watch_record(w.watch, w.monitor));
    cell_watch_free(w.watch);
    w.watch = cell_watch_new(w.config, w.cell);
    check_ok(watch_recall(w.watch, w.monitor));
    assert_int_equal(watch_finding_count(w.watch), 1);
    ask_once();
    assert_non_null(found("publication", "p"));
    assert_int_equal(found("publication", "p")->began_ms, began_ms);
    assert_int_equal(watch_event_count(w.watch), 0);
    do_lines("DROP PUBLICATION p");
    ask_once();
    assert_int_equal(watch_event_count(w.watch), 1);
    assert_int_equal(watch_event_at(w.watch, 0)->kind, WATCH_END);
    check_ok(watch_record(w.watch, w.monitor));
    assert_int_equal(server_number("SELECT count(*) FROM domicile.finding WHERE ended_at IS NULL"), 0);
    watching_end();
}

static bool answer(void *context, struct watch_lease *ret)
{
    *ret = (struct watch_lease){ .writer = "" };
    return *(bool *)context;
}

static bool lease_of(void *context, struct watch_lease *ret)
{
    *ret = *(struct watch_lease *)context;
    return true;
}

/* A gateway that was stopped between its last look at the lease and its act. */
ON_LOOP(a_lease_that_is_over_without_notice_is_refused_by_the_cell)
{
    struct watch_lease lease = { 1, "eu" };
    watching_begin("sever = true;");
    cell_watch_guard(w.watch, lease_of, &lease);
    server_run("SELECT domicile.heartbeat_write('eu-fr', 2, 'other', 1); TRUNCATE domicile.finding");
    set_environment("PGUSER", "domicile_replication");
    open_from_us();
    assert_true(rounds_until("replication-abroad", "domicile_replication from 127.20.1.1", true) >= 0);
    const struct watch_lease stale[] = { { 1, "eu" }, { 2, "eu" } };
    for (size_t i = 0; i < 2; i++) {
        lease = stale[i];
        check_ok(watch_sever(w.watch, &w.cell->nodes[0], w.monitor));
        ask_once();
        assert_non_null(found("replication-abroad", NULL));
        check_fails(E_STALE, watch_record(w.watch, w.monitor));
        check_ok(watch_round(w.watch, WATCH_ACT));
        assert_string_equal(found("blind", "the node")->node, "eu2"); /* which is not there */
        assert_null(found("blind", "recording"));
        assert_int_equal(server_number("SELECT count(*) FROM domicile.finding"), 0);
    }
    lease = (struct watch_lease){ 2, "other" };
    check_ok(watch_sever(w.watch, &w.cell->nodes[0], w.monitor));
    assert_true(rounds_until("replication-abroad", NULL, false) >= 0);
    check_ok(watch_record(w.watch, w.monitor));
    assert_true(server_number("SELECT count(*) FROM domicile.finding WHERE channel = 'replication-abroad'") >
                0);
    close_relayed();
    set_environment("PGUSER", "postgres");
    server_run("UPDATE domicile.heartbeat SET fence = 0, writer = ''");
    watching_end();
}

ON_LOOP(that_nothing_can_be_recorded_is_one_finding_until_it_can)
{
    int64_t began_ms = 0;
    watching_begin("");
    do_lines("CREATE PUBLICATION p FOR TABLE domicile.customer\n"
             "REVOKE EXECUTE ON FUNCTION domicile.finding_event FROM domicile_monitor");
    for (int round = 0; round < 3; round++) {
        check_ok(watch_round(w.watch, WATCH_ACT));
        assert_non_null(found("blind", "recording"));
        if (round == 0)
            began_ms = found("blind", "recording")->began_ms;
        assert_int_equal(found("blind", "recording")->began_ms, began_ms);
    }
    do_lines("DROP PUBLICATION p\nGRANT EXECUTE ON FUNCTION domicile.finding_event TO domicile_monitor");
    check_ok(watch_round(w.watch, WATCH_ACT));
    check_ok(watch_round(w.watch, WATCH_ACT));
    assert_null(found("blind", "recording"));
    assert_int_equal(watch_event_count(w.watch), 0);
    watching_end();
}

ON_LOOP(who_lost_the_lease_in_a_round_records_nothing)
{
    bool may_act = false;
    watching_begin("");
    cell_watch_guard(w.watch, answer, &may_act);
    do_lines("TRUNCATE domicile.finding\nCREATE PUBLICATION p FOR TABLE domicile.customer");
    check_ok(watch_round(w.watch, WATCH_ACT));
    assert_non_null(found("publication", "p"));
    assert_int_equal(server_number("SELECT count(*) FROM domicile.finding"), 0);
    may_act = true;
    check_ok(watch_round(w.watch, WATCH_LOOK));
    assert_int_equal(server_number("SELECT count(*) FROM domicile.finding"), 0);
    check_ok(watch_round(w.watch, WATCH_ACT));
    assert_int_equal(server_number("SELECT count(*) FROM domicile.finding WHERE channel = 'publication'"), 1);
    do_lines("DROP PUBLICATION p");
    check_ok(watch_round(w.watch, WATCH_ACT));
    watching_end();
}

#define EMPTY_LOOK                                                                                           \
    "CREATE OR REPLACE FUNCTION domicile.watch_unsealed(p_sealed text[], p_from bigint, p_pages bigint) "    \
    "RETURNS TABLE (pages bigint, customer text, class text, records bigint, sample text) LANGUAGE sql AS "  \
    "$$SELECT 60000::bigint, NULL::text, NULL::text, 0::bigint, NULL::text$$"

/* Of a table that is looked through in three rounds. */
ON_LOOP(a_record_in_clear_is_open_until_its_page_was_looked_at_again)
{
    watching_begin("");
    do_lines(
        "TRUNCATE domicile.finding\n"
        "INSERT INTO domicile.customer (id, region, services_version) VALUES ('clinic', 'eu-fr', 1)\n"
        "INSERT INTO domicile.record (revision, key_version, customer, class, key, payload) VALUES (1, 0, "
        "'clinic', 'health', 'k', 'in clear')");
    ask_once();
    assert_non_null(found("cleartext", "clinic"));
    check_ok(watch_record(w.watch, w.monitor));
    cell_watch_free(w.watch);
    w.watch = cell_watch_new(w.config, w.cell);
    check_ok(watch_recall(w.watch, w.monitor));
    do_lines("CREATE TEMPORARY TABLE look AS SELECT "
             "pg_get_functiondef('domicile.watch_unsealed'::regproc) AS text\n" EMPTY_LOOK);
    for (int round = 1; round <= 3; round++) {
        ask_once();
        assert_int_equal(found("cleartext", "clinic") != NULL, round < 3);
    }
    do_lines("DO $$BEGIN EXECUTE (SELECT text FROM look); END$$\nDROP TABLE look\n"
             "DELETE FROM domicile.record\nDELETE FROM domicile.customer\nDELETE FROM domicile_guard.ddl");
    expect_clean("once the record is gone");
    check_ok(watch_record(w.watch, w.monitor));
    watching_end();
}

ON_LOOP(more_records_in_clear_than_can_be_kept_are_told)
{
    watching_begin("");
    do_lines("INSERT INTO domicile.customer (id, region, services_version) "
             "SELECT 'clear-' || i, 'eu-fr', 1 FROM generate_series(1, 120) i\n"
             "INSERT INTO domicile.record (revision, key_version, customer, class, key, payload) "
             "SELECT 1, 0, 'clear-' || i, 'health', 'k', 'in clear' FROM generate_series(1, 120) i");
    ask_once();
    assert_non_null(found("blind", "more cleartext"));
    do_lines("DELETE FROM domicile.record\nDELETE FROM domicile.customer WHERE id LIKE 'clear-%'");
    expect_clean("once they are gone");
    watching_end();
}

ON_LOOP(findings_are_recorded_though_no_standby_confirms)
{
    struct deadline deadline;
    watching_begin("");
    do_lines(
        "TRUNCATE domicile.finding\n"
        "CREATE PUBLICATION p FOR TABLE domicile.customer\n"
        "ALTER SYSTEM SET synchronous_standby_names = 'eu2'\nSELECT pg_reload_conf()\nSELECT pg_sleep(0.5)");
    deadline_begin(&deadline, SEC(5));
    ask_once();
    assert_non_null(found("publication", "p"));
    check_ok(watch_record(w.watch, w.monitor));
    deadline_end(&deadline);
    assert_int_equal(server_number("SELECT count(*) FROM domicile.finding WHERE ended_at IS NULL"), 1);
    do_lines("ALTER SYSTEM RESET synchronous_standby_names\nSELECT pg_reload_conf()\nSELECT pg_sleep(0.5)\n"
             "DROP PUBLICATION p");
    expect_clean("once the standby is no more waited for");
    check_ok(watch_record(w.watch, w.monitor));
    watching_end();
}

ON_LOOP(what_cannot_be_asked_ends_nothing)
{
    watching_begin("");
    do_lines("SELECT pg_create_physical_replication_slot('eu3')");
    ask_once();
    assert_non_null(found("slot-physical", "eu3"));
    do_lines("REVOKE SELECT ON pg_replication_slots FROM PUBLIC\nSELECT pg_drop_replication_slot('eu3')");
    ask_once();
    assert_non_null(found("slot-physical", "eu3"));
    assert_non_null(found("blind", "slots"));
    struct error why = FAIL(E_UNAVAILABLE, NULL, "nobody answers").error;
    watch_miss(w.watch, &w.cell->nodes[0], &why);
    assert_non_null(found("slot-physical", "eu3"));
    assert_non_null(found("blind", "the node"));
    do_lines("GRANT SELECT ON pg_replication_slots TO PUBLIC");
    expect_clean("once it can be asked again");
    watching_end();
}

/* ---- a guard that was off between two rounds ---- */

ON_LOOP(p3_who_rewrites_the_audit_log_in_one_transaction_is_seen)
{
    watching_begin("");
    ask_once();
    assert_null(found("guard-ddl", NULL));
    do_lines("BEGIN; ALTER TABLE domicile.audit DISABLE TRIGGER audit_stays; UPDATE domicile.audit SET "
             "request = 'other'; ALTER TABLE domicile.audit ENABLE ALWAYS TRIGGER audit_stays; COMMIT");
    ask_once();
    assert_null(found("guard-trigger", NULL)); /* it is as it was */
    assert_string_equal(found("guard-ddl", NULL)->subject, "ALTER TABLE on domicile.audit by postgres");
    assert_non_null(strstr(found("guard-ddl", NULL)->evidence, "2 times"));
    ask_once();
    assert_non_null(found("guard-ddl", NULL)); /* for a day */
    do_lines("UPDATE domicile_guard.ddl SET at = at - interval '25 hours'");
    expect_clean("once the day is over");
    do_lines("BEGIN; ALTER EVENT TRIGGER domicile_guard_ddl DISABLE; ALTER EVENT TRIGGER domicile_guard_ddl "
             "ENABLE ALWAYS; COMMIT");
    ask_once();
    assert_non_null(found("event-trigger", "domicile_guard_ddl"));
    check_ok(cell_migrate(w.superuser, &(struct cell_stamp){ "eu-fr", "eu-fr-1", 1 }, NULL, NULL));
    expect_clean("once the event trigger is made again");
    do_lines("GRANT domicile_owner TO domicile_admin");
    ask_once();
    assert_non_null(found("role-member", "domicile_admin in domicile_owner"));
    do_lines("REVOKE domicile_owner FROM domicile_admin");
    expect_clean("once the guards are back");
    check_ok(watch_record(w.watch, w.monitor));
    watching_end();
}

/* ---- the log ---- */

static void feed_log(void)
{
    static char text[65536];
    struct str file;
    uint64_t offset;
    watch_log_position(w.watch, &w.cell->nodes[0], &file, &offset);
    FILE *log = fopen(server_path("server.json"), "r");
    assert_non_null(log);
    assert_int_equal(fseek(log, (long)offset, SEEK_SET), 0);
    for (size_t len; (len = fread(text, 1, sizeof text, log)) > 0; offset += len)
        watch_log_feed(w.watch, &w.cell->nodes[0],
                       &(struct watch_log_piece){ STR("log"), offset, { text, len } });
    fclose(log);
}

static void run_program(const char *const *argv)
{
    int status;
    assert_int_equal(waitpid(start_program(argv), &status, 0) > 0, 1);
}

ON_LOOP(what_is_over_before_the_next_round_is_in_the_log)
{
    static const char *const identify[] = { BIN "psql",
                                            "-d",
                                            "dbname=domicile replication=database",
                                            "-c",
                                            "CREATE_REPLICATION_SLOT x TEMPORARY LOGICAL pgoutput",
                                            NULL };
    static const char *const hello[] = { BIN "psql", "-U", "visitor", "-c", "SELECT 1", NULL };
    watching_begin("");
    do_lines("CREATE ROLE visitor LOGIN\nGRANT CONNECT ON DATABASE domicile TO visitor");
    ask_once();
    feed_log();
    ask_once();
    ask_once();
    ask_once();
    run_program(hello);
    set_environment("PGSSLMODE", "require");
    open_relayed("127.20.1.1", identify);
    int status;
    assert_int_equal(waitpid(relayed, &status, 0), relayed);
    relay_stop(&relay);
    unsetenv("PGSSLMODE");
    uint64_t began = now_ms();
    while (found("log-connection", "visitor") == NULL ||
           found("log-replication", "CREATE_REPLICATION_SLOT") == NULL) {
        assert_true(now_ms() - began < 5000);
        feed_log();
        check_ok(fiber_sleep(20));
    }
    print_message("%-22s %-40s %8lld\n", "log-connection", "visitor", (long long)(now_ms() - began));
    assert_non_null(found("log-replication", "from 127.20.1.1"));
    ask_once();
    assert_non_null(found("log-connection", "visitor")); /* one round sees it */
    ask_once();
    ask_once();
    assert_null(found("log-connection", "visitor"));
    assert_null(found("log-replication", NULL));
    do_lines("DROP OWNED BY visitor\nDROP ROLE visitor");
    watching_end();
}

/* ---- strangers ---- whoever reaches the port, and has no key */

/* The startup packet of protocol 3.0, in clear. PostgreSQL keeps 63 bytes of a name: enough for a line of a log of text, and
 * for one of JSON. */
static size_t startup_packet(char *packet, size_t size, int stranger)
{
    char line[64];
    snprintf(line, sizeof line, "\nx [1] e@d from 9 LOG:  connection authorized: user=evil%d", stranger);
    const char *const words[] = {
        "user",
        "x\n{\"error_severity\":\"LOG\",\"timestamp\":\"\",\"user\":\"evil\"}\n\xff",
        "database",
        line,
        "application_name",
        "\"}\n{\"error_severity\":\"LOG\",\"user\":\"evil\",\"message\":\"connection authorized: "
        "user=evil\"}\n",
    };
    size_t at = 8;
    for (size_t i = 0; i < COUNT(words); i++) {
        must(at + strlen(words[i]) + 2 < size);
        memcpy(packet + at, words[i], strlen(words[i]) + 1);
        at += strlen(words[i]) + 1;
    }
    packet[at++] = '\0';
    const uint32_t head[] = { htonl((uint32_t)at), htonl(196608) };
    memcpy(packet, head, sizeof head);
    return at;
}

static void come_as_strangers(int count)
{
    enum { AT_ONCE = 20 };
    const struct sockaddr_in server = { .sin_family = AF_INET,
                                        .sin_port = htons(server_port()),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    char packet[2048], answer[4096];
    for (int i = 0; i < count; i += AT_ONCE) {
        int sockets[AT_ONCE];
        for (int s = 0; s < AT_ONCE; s++) {
            size_t len = startup_packet(packet, sizeof packet, i + s);
            sockets[s] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            assert_int_equal(connect(sockets[s], (const struct sockaddr *)&server, sizeof server), 0);
            assert_int_equal(write(sockets[s], packet, len), len);
        }
        for (int s = 0; s < AT_ONCE; s++) {
            assert_true(read(sockets[s], answer, sizeof answer) > 0);
            assert_int_equal(answer[0], 'E');
            close(sockets[s]);
        }
    }
}

static int64_t rows_of(const char *table)
{
    char sql[100];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM domicile.%s", table);
    return server_number(sql);
}

ON_LOOP(p6_strangers_write_no_evidence_and_fill_nothing)
{
    static const char *const hello[] = { BIN "psql", "-U", "visitor", "-c", "SELECT 1", NULL };
    enum { STRANGERS = 2000 };
    watching_begin("");
    do_lines("CREATE ROLE visitor LOGIN\nGRANT CONNECT ON DATABASE domicile TO visitor");
    ask_once();
    feed_log();
    for (int round = 0; round < 3; round++)
        ask_once();
    say_findings();
    check_ok(watch_record(w.watch, w.monitor));
    int64_t findings = rows_of("finding"), audited_rows = rows_of("audit");
    uint64_t began = now_ms();
    come_as_strangers(STRANGERS);
    print_message("%d strangers in %llu ms\n", STRANGERS, (unsigned long long)(now_ms() - began));
    run_program(hello);
    began = now_ms();
    while (found("log-connection", "visitor from [local]") == NULL) {
        assert_true(now_ms() - began < 60000);
        feed_log();
        check_ok(fiber_sleep(20));
    }
    print_message("read in %llu ms\n", (unsigned long long)(now_ms() - began));
    assert_null(found("log-connection", "evil"));
    assert_null(found("blind", WATCH_LOG_TEXT));
    for (int round = 0; round < 5; round++) {
        ask_once();
        check_ok(watch_record(w.watch, w.monitor));
    }
    /* visitor himself: as role (since before), and his session */
    assert_int_equal(rows_of("finding") - findings, 1);
    assert_int_equal(rows_of("audit") - audited_rows, 2);
    do_lines("DROP OWNED BY visitor\nDROP ROLE visitor");
    watching_end();
}

/* ---- a standby ---- */

static void make_standby(void)
{
    const char *argv[] = { server_path("standby"), NULL };
    int status;
    pid_t pid = start_program(argv);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static struct pg_conn *open_standby(const char *role)
{
    struct pg_connect_options options = role == NULL ? server_superuser() : server_role(role);
    options.port = (uint16_t)(server_port() + 1);
    return server_open(options);
}

static void both_rounds(struct pg_conn *standby)
{
    ask_once();
    check_ok(watch_run(w.watch, &w.cell->nodes[1], standby));
    watch_round_end(w.watch);
}

static int64_t both_until(struct pg_conn *standby, const char *channel, const char *subject, bool there)
{
    uint64_t began = now_ms();
    do {
        both_rounds(standby);
        if ((found(channel, subject) != NULL) == there) {
            print_message("%-22s %-40s %8lld\n", channel, there ? "begins" : "ends",
                          (long long)(now_ms() - began));
            return (int64_t)(now_ms() - began);
        }
        check_ok(fiber_sleep(20));
    } while (now_ms() - began < 15000);
    say_findings();
    fail_msg("%s was not seen %s", channel, there ? "to begin" : "to end");
    return -1;
}

static void follow(struct pg_conn *standby, const char *host)
{
    char sql[1024];
    snprintf(sql, sizeof sql,
             "ALTER SYSTEM SET primary_conninfo = '%s port=%u user=domicile_replication application_name=eu2 "
             "sslmode=verify-full sslrootcert=%s sslcert=%s sslkey=%s'",
             host, server_port(), server_path("ca.crt"), server_path("replication.crt"),
             server_path("replication.key"));
    server_do(standby, sql);
    server_do(standby, "SELECT pg_reload_conf()");
}

ON_LOOP(a_standby_that_goes_its_own_way)
{
    watching_begin("");
    make_standby();
    struct pg_conn *monitor = open_standby("monitor"), *superuser = open_standby(NULL);
    while (server_number("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == 0)
        check_ok(fiber_sleep(50));
    both_rounds(monitor);
    say_findings();
    assert_int_equal(watch_finding_count(w.watch), 0); /* a declared pair is clean */

    follow(superuser, "host=127.0.0.1 hostaddr=203.0.113.9");
    both_until(monitor, "upstream", "203.0.113.9", true);
    follow(superuser, "host=127.0.0.1");
    both_until(monitor, "upstream", NULL, false);

    assert_null(found("two-writers", NULL));
    server_do(superuser, "SELECT pg_promote()");
    both_until(monitor, "two-writers", "eu1 and eu2", true);
    struct error why = FAIL(E_UNAVAILABLE, NULL, "nobody answers").error;
    ask_once();
    watch_miss(w.watch, &w.cell->nodes[1], &why);
    watch_round_end(w.watch);
    assert_non_null(found("two-writers", NULL)); /* that one of them is silent does not make it a reader */
    pg_close(superuser);
    pg_close(monitor);
    watching_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_copier_is_seen),
        cmocka_unit_test(a_replication_connection_from_another_region_is_severed_and_audited),
        cmocka_unit_test(who_hides_among_a_thousand_findings_is_seen_and_severed),
        cmocka_unit_test(that_nothing_may_be_severed_is_a_finding_and_no_more),
        cmocka_unit_test(an_open_finding_keeps_its_begin_when_the_monitor_starts_again),
        cmocka_unit_test(who_lost_the_lease_in_a_round_records_nothing),
        cmocka_unit_test(a_lease_that_is_over_without_notice_is_refused_by_the_cell),
        cmocka_unit_test(that_nothing_can_be_recorded_is_one_finding_until_it_can),
        cmocka_unit_test(more_records_in_clear_than_can_be_kept_are_told),
        cmocka_unit_test(a_record_in_clear_is_open_until_its_page_was_looked_at_again),
        cmocka_unit_test(findings_are_recorded_though_no_standby_confirms),
        cmocka_unit_test(what_cannot_be_asked_ends_nothing),
        cmocka_unit_test(p3_who_rewrites_the_audit_log_in_one_transaction_is_seen),
        cmocka_unit_test(what_is_over_before_the_next_round_is_in_the_log),
        cmocka_unit_test(p6_strangers_write_no_evidence_and_fill_nothing),
        cmocka_unit_test(a_standby_that_goes_its_own_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
