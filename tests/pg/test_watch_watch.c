/* Every channel that SQL or a file opens: opened, seen, closed, and seen to end. Those of SQL are in watch_openings.json,
 * which the sandbox's tests open as well. */
#include "watch_test.h"

#include "base/json.h"

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
HBA_LINE(gateway_hba, "hostssl replication domicile_gateway 127.0.0.1/32 cert")
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

static const struct opening own[] = {
    { "copy-program", .program = to_program, .close = END_PROGRAMS, .subject = "postgres" },
    { "copy-file", .program = to_file, .close = END_PROGRAMS, .subject = "postgres" },
    { "client", .open_by = let_stranger_in, .close_by = put_stranger_out, .subject = "stranger" },
    { "hba-open", .open_by = open_hba, .close_by = restore_hba, .subject = "0.0.0.0/0" },
    { "hba-plain", .open_by = plain_hba, .close_by = restore_hba, .subject = "host all" },
    { "hba-plain", .open_by = trusting_hba, .close_by = restore_hba, .subject = "trust" },
    { "hba-plain", .open_by = md5_hba, .close_by = restore_hba, .subject = "md5" },
    { "hba-changed", .open_by = changed_hba, .close_by = restore_hba, .subject = "10.0.0.0/8" },
    { "hba-changed", .open_by = replication_hba, .close_by = restore_hba, .subject = "127.30.1.0/24" },
    { "hba-changed", .open_by = by_database_hba, .close_by = restore_hba, .subject = "domicile_replication" },
    { "hba-changed", .open_by = gateway_hba, .close_by = restore_hba,
      .subject = "replication domicile_gateway" },
    { "hba-changed", .open_by = broken_hba, .close_by = restore_hba, .subject = "line " },
    { "hba-changed", .open_by = shortened_hba, .close_by = restore_hba, .subject = "missing: local" },
};

/* ---- openings by SQL ---- */

enum { OWN = COUNT(own), OPENINGS_MAX = 200 };
static struct opening openings[OPENINGS_MAX];

/* In w's arena, a line each. */
static const char *lines_of(const json_t *statements)
{
    const char *lines = "";
    for (size_t i = 0; i < json_array_size(statements); i++)
        lines = arena_printf(&w.shipped.arena, "%s%s%s", lines, i > 0 ? "\n" : "",
                             json_string_value(json_array_get(statements, i)));
    return lines;
}

static size_t read_openings(void)
{
    struct str text;
    json_t *document = NULL;
    size_t count = OWN;
    memcpy(openings, own, sizeof own);
    check_ok(config_file_text(SOURCE_DIR, "tests/pg/watch_openings.json", &w.shipped.arena, &text));
    check_ok(json_parse(text, JSON_DEPTH_MAX, &document));
    for (size_t i = 0; i < json_array_size(document); i++) {
        const json_t *each = json_array_get(document, i);
        assert_true(count < OPENINGS_MAX);
        openings[count++] = (struct opening){
            .channel = arena_cstr(&w.shipped.arena, json_member_str(each, "channel")),
            .subject = arena_cstr(&w.shipped.arena, json_member_str(each, "subject")),
            .open = lines_of(json_object_get(each, "open")),
            .close = lines_of(json_object_get(each, "close")),
        };
    }
    json_decref(document);
    return count;
}

ON_LOOP(every_channel_is_seen_to_open_and_to_close)
{
    watching_begin("");
    open_all(openings, read_openings());
    watching_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_channel_is_seen_to_open_and_to_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
