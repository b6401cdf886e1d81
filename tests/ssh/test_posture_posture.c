/* A scan of a real host: an OpenSSH server and a PostgreSQL beside it, and what is wrong with them is found. */
#include "host.h"

#include "pg/exec.h"
#include "posture/posture.h"

#include <fcntl.h>
#include <string.h>

static struct cell cell;
static struct region region;
static struct node node;
static struct posture_asker asker;
static struct posture_line lines[POSTURE_COUNT];

static const char *pg_path(const char *name)
{
    return arena_printf(&test_arena, "%s/%s", getenv("PGT_DIR"), name);
}

static void declare(void)
{
    region = (struct region){ .name = { "eu-fr", 5 } };
    cell = (struct cell){ .name = { "eu-fr-1", 7 },
                          .database = "domicile",
                          .ca = pg_path("ca.crt"),
                          .region = &region,
                          .pool.connect_within_ms = 5000,
                          .fit.clock_offset_ms = 2000,
                          .monitor.files = { pg_path("monitor.crt"), pg_path("monitor.key") } };
    node = (struct node){
        .name = { "eu1", 3 },
        .address = "127.0.0.1",
        .port = (uint32_t)atoi(getenv("PGT_PORT")),
        .ssh = { .address = "127.0.0.1",
                 .port = host_port("good"),
                 .user = getenv("SSHT_USER"),
                 .private_key = host_path("user"),
                 .host_key = host_text(host_path("host.pub")),
                 .state = host_path("scratch"),
                 .config = host_path("good.conf") },
        .paths = { .data = pg_path("data"), .tls = getenv("PGT_DIR"), .log = pg_path("pg.log") },
        .shared_host = true
    };
    asker = (struct posture_asker){ .cell = &cell, .node = &node, .sql_role = PG_MONITOR };
}

static void scan_giving(enum error_code code)
{
    check_fails(code, posture_scan(&asker, &test_arena, lines));
    for (size_t i = 0; i < POSTURE_COUNT; i++) {
        assert_non_null(lines[i].answer);
        assert_non_null(lines[i].told_by);
        assert_int_equal(lines[i].grade == POSTURE_NOBODY, lines[i].verdict == POSTURE_UNKNOWN);
    }
}

static void scan(void)
{
    scan_giving(E_OK);
}

static void print_lines(void)
{
    for (size_t i = 0; i < POSTURE_COUNT; i++)
        print_message("%-18s %-8s %-9s %s  [%s]\n", posture_checks[i].name,
                      posture_verdict_word(lines[i].verdict), posture_grade_word(lines[i].grade),
                      lines[i].answer, lines[i].told_by);
}

static void is(enum posture_id id, enum posture_verdict verdict, const char *answer)
{
    if (lines[id].verdict != verdict || strstr(lines[id].answer, answer) == NULL)
        fail_msg("%s is %s: %s (wanted %s: %s)", posture_checks[id].name,
                 posture_verdict_word(lines[id].verdict), lines[id].answer, posture_verdict_word(verdict),
                 answer);
}

static void superuser(const char *sql)
{
    const struct pg_connect_options options = {
        .host = pg_path("socket"), .port = (uint16_t)node.port, .database = "postgres", .user = "postgres"
    };
    struct pg_conn *conn;
    check_ok(pg_connect(&options, &conn));
    check_ok(pg_run(conn, sql));
    pg_close(conn);
}

/* ---- */
static void fail_to_record(void *context, const struct error *why)
{
    (void)context;
    fail_msg("%s", why->what);
}

ON_LOOP(a_host_answers_every_question_that_it_can)
{
    const struct host_log_options record = { scratch("scan-state"), "node-scan", fail_to_record, NULL };
    declare();
    asker.log = host_log_new(&record);
    scan();
    host_log_free(asker.log);
    print_lines();
    json_t *asked = looks_of(record.state_path); /* all of it is recorded */
    assert_true(json_array_size(asked) > POSTURE_SQL_FIRST);
    for (size_t i = 0; i < json_array_size(asked); i++) {
        assert_string_equal(look_text(asked, i, "run"), "node-scan");
        assert_string_equal(look_text(asked, i, "step"), "scan");
    }
    json_decref(asked);
    is(POSTURE_OS, POSTURE_OK, "kernel Linux");
    is(POSTURE_FILES_DATA, POSTURE_OK, "0700");
    is(POSTURE_SSHD_LOGIN, POSTURE_FINDING, "passwordauthentication yes"); /* nobody has set it */
    is(POSTURE_TCP, POSTURE_FINDING, arena_printf(&test_arena, "127.0.0.1:%u", (unsigned)host_port("rsa")));
    is(POSTURE_CLOCK_OFFSET, POSTURE_OK, "ms");
    is(POSTURE_PG_VERSION, POSTURE_OK, "15.");
    is(POSTURE_PG_CHECKSUMS, POSTURE_OK, "on");
    is(POSTURE_PG_TLS, POSTURE_OK, "TLSv1.2");
    is(POSTURE_PG_DURABILITY, POSTURE_OK, "fsync = on");
    is(POSTURE_PG_LOG_CONNECTIONS, POSTURE_FINDING, "log_connections = off");
    assert_string_equal(lines[POSTURE_CLOCK_OFFSET].told_by, "date +%s.%N");
    assert_non_null(strstr(lines[POSTURE_DISK].told_by, "findmnt -J"));
    assert_non_null(strstr(lines[POSTURE_CORES].told_by, "/proc/"));
}

ON_LOOP(what_is_made_wrong_is_found_and_what_is_put_right_is_not)
{
    FILE *file;
    declare();
    file = fopen(host_path("good.conf"), "a");
    assert_non_null(file);
    fputs(
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin no\nMACs hmac-sha2-512\n"
        "KexAlgorithms curve25519-sha256\nCiphers aes256-ctr\n",
        file);
    fclose(file);
    file = fopen(pg_path("left.key"), "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(chmod(pg_path("left.key"), 0644), 0);
    assert_int_equal(chmod(pg_path("data"), 0750), 0);
    file = fopen(pg_path("pg.json"), "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(chmod(pg_path("pg.json"), 0644), 0);
    superuser("ALTER SYSTEM SET fsync = off");
    superuser("SELECT pg_reload_conf()");
    node.disk_encryption = "LUKS, below the virtual machine";
    scan();
    is(POSTURE_SSHD_LOGIN, POSTURE_OK, "passwordauthentication no");
    is(POSTURE_SSHD_ROOT, POSTURE_OK, "permitrootlogin no");
    is(POSTURE_SSHD_KEX, POSTURE_OK, "none weak");
    is(POSTURE_SSHD_CIPHERS, POSTURE_OK, "none weak");
    is(POSTURE_SSHD_MACS, POSTURE_OK, "none weak");
    is(POSTURE_FILES_TLS, POSTURE_FINDING, "left.key 0644");
    is(POSTURE_FILES_DATA, POSTURE_OK, "0750");
    is(POSTURE_FILES_LOG, POSTURE_FINDING, "0644");
    UNTIL((scan(), lines[POSTURE_PG_DURABILITY].verdict == POSTURE_FINDING));
    is(POSTURE_PG_DURABILITY, POSTURE_FINDING, "fsync = off");
    if (lines[POSTURE_DISK].grade != POSTURE_OBSERVED) {
        is(POSTURE_DISK, POSTURE_OK, "declared: LUKS, below the virtual machine");
        assert_int_equal(lines[POSTURE_DISK].grade, POSTURE_DECLARED);
    }
    superuser("ALTER SYSTEM RESET fsync");
    superuser("SELECT pg_reload_conf()");
    assert_int_equal(remove(pg_path("left.key")), 0);
    assert_int_equal(chmod(pg_path("pg.json"), 0600), 0);
    scan();
    is(POSTURE_FILES_LOG, POSTURE_OK, "0600");
}

/* Below this sshd only the file is there: what sshd itself would say, it cannot. */
ON_LOOP(a_file_with_includes_is_read_as_sshd_reads_it)
{
    const char *dir = scratch("sshd.d"), *path = scratch("main.conf"), *one, *other;
    declare();
    node.ssh.config = path;
    assert_int_equal(mkdir(dir, 0755), 0);
    one = arena_printf(&test_arena, "%s/10-a.conf", dir);
    other = arena_printf(&test_arena, "%s/20-b.conf", dir);
    FILE *file = fopen(path, "w");
    fprintf(file, "Include %s/*.conf\nNonsense yes\nPermitRootLogin yes\nPasswordAuthentication no\n", dir);
    fclose(file);
    file = fopen(one, "w");
    fputs("PermitRootLogin no\nMatch User x\nX11Forwarding no\n", file);
    fclose(file);
    file = fopen(other, "w");
    fputs("PermitRootLogin yes\nKbdInteractiveAuthentication no", file);
    fclose(file);
    scan();
    is(POSTURE_SSHD_ROOT, POSTURE_OK, "permitrootlogin no (from the file only");
    is(POSTURE_SSHD_LOGIN, POSTURE_OK, "kbdinteractiveauthentication no");
    is(POSTURE_SSHD_MACS, POSTURE_UNKNOWN, "macs is not shown");
    assert_non_null(strstr(lines[POSTURE_SSHD_ROOT].told_by, "cat "));
    assert_int_equal(chmod(other, 0), 0);
    if (geteuid() == 0) { /* else the owner of the files is the one who reads them */
        scan();
        is(POSTURE_SSHD_ROOT, POSTURE_UNKNOWN, "other files are included");
    }
    node.ssh.config = scratch("not-there");
    scan();
    is(POSTURE_SSHD_ROOT, POSTURE_UNKNOWN, "No such file");
}

ON_LOOP(what_cannot_be_asked_is_unknown)
{
    declare();
    node.paths.data = scratch("no-data");
    node.paths.log = scratch("no-log");
    asker.sql_role = PG_NOBODY;
    scan();
    is(POSTURE_FILES_DATA, POSTURE_UNKNOWN, "No such file");
    is(POSTURE_FILES_LOG, POSTURE_UNKNOWN, "No such file");
    is(POSTURE_DISK, POSTURE_UNKNOWN, "");
    for (enum posture_id id = POSTURE_SQL_FIRST; id < POSTURE_COUNT; id++)
        is(id, POSTURE_UNKNOWN, "not asked");
    declare();
    node.port = 1;
    scan_giving(E_UNAVAILABLE);
    is(POSTURE_PG_TLS, POSTURE_UNKNOWN, "port 1");
}

ON_LOOP(a_host_that_is_not_reached_passes_nothing)
{
    declare();
    node.ssh.port = 1;
    scan_giving(E_UNAVAILABLE);
    for (enum posture_id id = 0; id < POSTURE_SQL_FIRST; id++)
        assert_int_equal(lines[id].verdict, POSTURE_UNKNOWN);
    is(POSTURE_PG_TLS, POSTURE_OK, "TLSv1.2");
    declare();
    node.ssh.user = NULL;
    node.disk_encryption = "LUKS";
    scan();
    is(POSTURE_OS, POSTURE_UNKNOWN, "no ssh for this node");
    is(POSTURE_DISK, POSTURE_OK, "declared: LUKS");
    declare();
    node.ssh.port = host_port("changed");
    scan_giving(E_HOST_KEY);
    is(POSTURE_OS, POSTURE_UNKNOWN, "SHA256:");
    is(POSTURE_PG_TLS, POSTURE_OK, "TLSv1.2");
}

ON_LOOP(a_scan_can_be_cut_short)
{
    struct deadline deadline;
    declare();
    deadline_begin(&deadline, 100);
    check_fails(E_DEADLINE, posture_scan(&asker, &test_arena, lines));
    deadline_end(&deadline);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_answers_every_question_that_it_can),
        cmocka_unit_test(what_is_made_wrong_is_found_and_what_is_put_right_is_not),
        cmocka_unit_test(a_file_with_includes_is_read_as_sshd_reads_it),
        cmocka_unit_test(what_cannot_be_asked_is_unknown),
        cmocka_unit_test(a_host_that_is_not_reached_passes_nothing),
        cmocka_unit_test(a_scan_can_be_cut_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
