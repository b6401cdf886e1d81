/* What the watch and the monitor are told by a host: its server's log and its disk, from files that a test writes and
 * cuts. No PostgreSQL is there. */
#include "host.h"

#include "hosts/conf.h"
#include "hosts/hosts.h"
#include "watch/host_reader.h"
#include "watch/watch_internal.h"

#include <string.h>

static struct config config;
static struct cell cell;
static struct region region;
static struct node node;
static struct cell_watch *watch;
static struct host_reader *reader;

static void declare(void)
{
    config = (struct config){ .regions = &region, .region_count = 1 };
    region = (struct region){ .name = { "eu-fr", 5 }, .cells = &cell, .cell_count = 1 };
    cell = (struct cell){ .name = { "eu-fr-1", 7 },
                          .database = "domicile",
                          .region = &region,
                          .nodes = &node,
                          .node_count = 1,
                          .primary = &node,
                          .ca = host_path("ca.crt"),
                          .monitor.files = { host_path("monitor.crt"), host_path("monitor.key") },
                          .pool.connect_within_ms = 5000 };
    node = (struct node){ .name = { "eu1", 3 },
                          .address = "127.0.0.1",
                          .port = 1,
                          .ssh = { .address = "127.0.0.1",
                                   .port = host_port("good"),
                                   .user = getenv("SSHT_USER"),
                                   .private_key = host_path("user"),
                                   .host_key = host_text(host_path("host.pub")) },
                          .paths = { .data = host_path("scratch"), .log = scratch("pg.log") } };
}

static const char *log_path(void)
{
    return conf_log_json(&test_arena, &node);
}

static void begin_unknowing(void)
{
    declare();
    watch = cell_watch_new(&config, &cell);
    check_ok(host_reader_new(&cell, NULL, &reader));
    remove(log_path());
}

static void begin(void)
{
    begin_unknowing();
    check_ok(watch_known_refresh(&watch->known));
}

static void end(void)
{
    host_reader_free(reader);
    cell_watch_free(watch);
}

/* ---- what a server would write ---- */

static const char *session_at(const char *time, const char *role)
{
    return arena_printf(
        &test_arena,
        "{\"timestamp\":\"%s UTC\",\"user\":\"%s\",\"dbname\":\"domicile\",\"remote_host\":"
        "\"10.9.9.9\",\"error_severity\":\"LOG\",\"message\":\"connection authorized: user=%s "
        "database=domicile SSL enabled (protocol=p)\"}\n",
        time, role, role);
}

static const char *session_of(const char *role)
{
    return session_at("2026-11-25 20:16:00.123", role);
}

static void write_log(const char *mode, const char *text)
{
    FILE *file = fopen(log_path(), mode);
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void write_filler(size_t bytes)
{
    FILE *file = fopen(log_path(), "ae");
    assert_non_null(file);
    for (size_t i = 0; i < bytes / 64; i++)
        fprintf(file, "{\"timestamp\":\"\",\"error_severity\":\"LOG\",\"pid\":\"%015zu\"}\n", i);
    assert_int_equal(fclose(file), 0);
}

/* ---- what is found ---- */

static const struct watch_finding *found(const char *channel, const char *subject)
{
    for (size_t i = 0; i < watch_finding_count(watch); i++) {
        const struct watch_finding *finding = watch_finding_at(watch, i);
        if (strcmp(finding->channel->id, channel) == 0 && strstr(finding->subject, subject) != NULL)
            return finding;
    }
    return NULL;
}

static void look_and_count(size_t findings)
{
    host_reader_round(reader, watch);
    for (size_t i = 0; i < watch_finding_count(watch); i++) {
        const struct watch_finding *finding = watch_finding_at(watch, i);
        print_message("    %s: %s (%s)\n", finding->channel->id, finding->subject, finding->evidence);
    }
    assert_int_equal(watch_finding_count(watch), findings);
}

static struct health_host facts(void)
{
    struct health_host ret;
    host_reader_facts(reader, &node, &ret);
    return ret;
}

static uint64_t position(void)
{
    struct str file;
    uint64_t offset = 0;
    watch_log_position(watch, &node, &file, &offset);
    return offset;
}

/* ---- */

ON_LOOP(the_first_time_it_begins_before_the_end)
{
    struct stat log;
    begin();
    write_log("we", session_of("before"));
    write_filler(HOST_READER_FIRST_BYTES);
    write_log("ae", session_of("after"));
    look_and_count(1);
    assert_non_null(found("log-connection", "after from 10.9.9.9"));
    assert_int_equal(stat(log_path(), &log), 0);
    assert_int_equal(position(), log.st_size);
    assert_true(facts().disk_total_bytes.known && facts().disk_free_bytes.known);
    assert_true(facts().disk_total_bytes.value > facts().disk_free_bytes.value);
    end();
}

ON_LOOP(it_reaches_back_and_leaves_what_was_before_a_time)
{
    begin();
    cell_watch_since(watch, INT64_C(1790000000000)); /* 2026-09-21 */
    host_reader_reach(reader, 4 * HOST_READER_ROUND_BYTES);
    write_log("we", session_at("2020-01-01 00:00:00.000", "early"));
    write_log("ae", session_of("late"));
    write_filler(HOST_READER_ROUND_BYTES);
    write_log("ae", session_of("last"));
    look_and_count(1);
    assert_true(host_reader_behind(reader));
    look_and_count(2);
    assert_false(host_reader_behind(reader));
    assert_non_null(found("log-connection", "late"));
    assert_non_null(found("log-connection", "last"));
    assert_int_equal(watch_log_from(watch, &node), INT64_C(1577836800000));
    end();
}

ON_LOOP(later_it_reads_on)
{
    begin();
    write_log("we", "");
    look_and_count(0);
    write_log("ae",
              session_of("first")); /* what comes after a look is read, be it more than at a beginning */
    write_filler((size_t)HOST_READER_FIRST_BYTES * 2);
    look_and_count(1);
    assert_non_null(found("log-connection", "first"));
    write_log("ae", session_of("second"));
    look_and_count(2);
    assert_non_null(found("log-connection", "second"));
    look_and_count(2);
    end();
}

ON_LOOP(a_log_that_was_cut_is_read_from_its_begin)
{
    begin();
    write_log("we", "");
    write_filler(4096);
    look_and_count(0);
    write_log("we", session_of("visitor")); /* the same inode */
    look_and_count(2);
    assert_non_null(found("log-connection", "visitor"));
    assert_non_null(found("blind", "the server's log"));
    assert_non_null(strstr(found("blind", "the server's log")->evidence, "more than 4096 bytes"));
    write_log("ae", session_of("another"));
    look_and_count(3);
    assert_non_null(found("log-connection", "another"));
    assert_int_equal(position(), strlen(session_of("visitor")) + strlen(session_of("another")));
    end();
}

ON_LOOP(a_log_that_was_rotated_away_may_have_had_more)
{
    begin();
    write_log("we", "");
    write_filler(4096);
    look_and_count(0);
    write_log("ae", session_of("unseen"));
    assert_int_equal(rename(log_path(), scratch("log.1")), 0);
    write_log("we", "");
    look_and_count(1);
    assert_non_null(found("blind", "the server's log"));
    assert_int_equal(position(), 0);
    watch_gone(&watch->findings, &watch->findings.items[0], 1);
    look_and_count(0); /* said once, though nothing has been written since */
    write_log("ae", session_of("visitor"));
    look_and_count(1);
    assert_non_null(found("log-connection", "visitor"));
    end();
}

ON_LOOP(a_log_may_be_named_by_a_link)
{
    begin();
    remove(scratch("link.json"));
    assert_int_equal(symlink(log_path(), scratch("link.json")), 0);
    write_log("we", session_of("visitor"));
    node.paths.log = scratch("link.log");
    look_and_count(1);
    assert_non_null(found("log-connection", "visitor"));
    assert_int_equal(position(), strlen(session_of("visitor")));
    end();
}

ON_LOOP(a_log_that_cannot_be_read_is_a_finding)
{
    begin();
    look_and_count(1);
    assert_non_null(found("log-unread", log_path()));
    assert_string_equal(found("log-unread", "")->node, "eu1");
    assert_non_null(strstr(found("log-unread", "")->evidence, "No such file"));
    assert_true(facts().disk_total_bytes.known); /* which is nothing to it */
    node.paths.log = scratch("folder");          /* there, and no file */
    assert_int_equal(mkdir(log_path(), 0755), 0);
    assert_int_equal(mkdir(scratch("folder.json/within"), 0755),
                     0); /* some file systems call an empty one 0 bytes long */
    look_and_count(2);
    assert_non_null(strstr(found("log-unread", log_path())->evidence, "dd"));
    end();
}

ON_LOOP(a_host_that_does_not_answer_is_one_finding)
{
    begin();
    node.ssh.port = 1;
    look_and_count(1);
    assert_non_null(found("log-unread", log_path()));
    assert_false(facts().disk_total_bytes.known);
    end();
}

ON_LOOP(a_log_is_read_without_a_data_directory)
{
    begin();
    node.paths.data = NULL;
    write_log("we", session_of("visitor"));
    look_and_count(1);
    assert_non_null(found("log-connection", "visitor"));
    assert_false(facts().disk_total_bytes.known); /* not another file system's */
    node.paths.data = scratch("no-data");
    write_log("ae", session_of("another"));
    look_and_count(3);
    assert_non_null(found("log-connection", "another"));
    assert_non_null(found("log-unread", "no-data"));
    assert_false(facts().disk_total_bytes.known);
    end();
}

ON_LOOP(a_disk_is_read_without_a_log)
{
    begin();
    node.paths.log = NULL;
    look_and_count(0);
    assert_true(facts().disk_total_bytes.known && facts().disk_free_bytes.known);
    node.paths.data = scratch("no-data");
    look_and_count(1);
    assert_non_null(found("log-unread", "no-data"));
    assert_false(facts().disk_total_bytes.known);
    end();
}

ON_LOOP(a_log_is_read_though_no_server_answers)
{
    begin_unknowing();
    write_log("we", session_of("visitor"));
    check_ok(watch_round(watch, WATCH_ACT));
    look_and_count(2);
    assert_non_null(found("blind", "the node"));
    assert_non_null(found("log-connection", "visitor"));
    check_ok(watch_round(watch, WATCH_ACT));
    look_and_count(2);
    end();
}

/* ---- the record, and commands of the host's own ---- */

static void fail_to_record(void *context, const struct error *why)
{
    (void)context;
    fail_msg("%s", why->what);
}

ON_LOOP(every_command_is_recorded)
{
    static const char *const programs[] = { "df", "stat", "dd" }, *const steps[] = { "disk", "log", "log" };
    const struct host_log_options options = { scratch("reader-state"), "gateway", fail_to_record, NULL };
    struct host_log *record = host_log_new(&options);
    declare();
    watch = cell_watch_new(&config, &cell);
    check_ok(watch_known_refresh(&watch->known));
    check_ok(host_reader_new(&cell, record, &reader));
    write_log("we", session_of("visitor"));
    look_and_count(1);
    node.paths.log = scratch("no-log");
    look_and_count(2);
    json_t *lines = looks_of(options.state_path);
    assert_int_equal(json_array_size(lines), 5); /* and again df, stat */
    for (size_t i = 0; i < 5; i++) {
        const json_t *line = json_array_get(lines, i);
        assert_string_equal(look_text(lines, i, "run"), "gateway");
        assert_string_equal(look_text(lines, i, "step"), steps[i % 3]);
        assert_string_equal(look_text(lines, i, "host"), "eu1");
        assert_string_equal(json_string_value(json_array_get(json_object_get(line, "argv"), 2)),
                            programs[i % 3]);
        assert_int_equal(json_integer_value(json_object_get(line, "exit_status")), i == 4);
        assert_int_equal(strlen(look_text(lines, i, "digest")), 64);
    }
    json_decref(lines);
    end();
    host_log_free(record);
}

/* The first command of an act ends what an older one still does there; that one is not recorded. */
ON_LOOP(no_act_follows_a_command_that_is_not_recorded)
{
    const struct host_log_options options = { scratch("no-folder"), "gateway", fail_to_record, NULL };
    const struct runbook_call call = {
        .arena = &test_arena, .run = "run", .step = "step", .fence = 1, .serial = 1, .attempt = 1
    };
    const struct host_command touch = { .argv = HOST_ARGV("touch", scratch("acted")), .within_ms = 5000 };
    struct cell_hosts *hosts;
    declare();
    node.ssh.state = scratch("guard");
    FILE *no_folder = fopen(options.state_path, "we");
    assert_non_null(no_folder);
    fclose(no_folder);
    struct host_log *record = host_log_new(&options);
    check_ok(cell_hosts_new(&cell, record, &hosts));
    check_fails(E_IO, host_run(hosts, &node, &call, &touch, NULL));
    assert_int_equal(access(scratch("acted"), F_OK), -1);
    cell_hosts_free(hosts);
    host_log_free(record);
}

static struct config_words instead_of(const char *program)
{
    const char *path = scratch(arena_printf(&test_arena, "own-%s", program));
    struct config_word *word = arena_new(&test_arena, struct config_word);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fprintf(file, "#!/bin/sh\necho %s >>%s\nexec %s \"$@\"\n", program, scratch("own-used"), program);
    fclose(file);
    assert_int_equal(chmod(path, 0755), 0);
    word->text = str_from(path);
    return (struct config_words){ word, 1 };
}

ON_LOOP(the_hosts_own_commands_are_used)
{
    begin();
    FILE *used = fopen(scratch("own-used"), "we"); /* for the user of the host as well */
    assert_non_null(used);
    fclose(used);
    assert_int_equal(chmod(scratch("own-used"), 0666), 0);
    node.commands.df = instead_of("df");
    node.commands.stat = instead_of("stat");
    node.commands.dd = instead_of("dd");
    write_log("we", session_of("visitor"));
    look_and_count(1);
    assert_non_null(found("log-connection", "visitor"));
    assert_true(facts().disk_total_bytes.known);
    assert_string_equal(host_text(scratch("own-used")), "df\nstat\ndd");
    end();
}

/* More than a round has time for. */
ON_LOOP(a_slow_way_is_gone_in_several_rounds)
{
    struct config_word words[] = { { .text = STR("sh") },
                                   { .text = STR("-c") },
                                   { .text = STR("sleep 0.7; exec dd \"$@\"") },
                                   { .text = STR("dd") } };
    begin();
    node.commands.dd = (struct config_words){ words, 4 };
    write_log("we", session_of("early"));
    write_filler(15 * HOST_READER_PIECE_BYTES);
    write_log("ae", session_of("last"));
    look_and_count(1);
    assert_non_null(found("log-connection", "early"));
    assert_true(host_reader_behind(reader));
    look_and_count(2);
    assert_non_null(found("log-connection", "last"));
    assert_false(host_reader_behind(reader));
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_time_it_begins_before_the_end),
        cmocka_unit_test(it_reaches_back_and_leaves_what_was_before_a_time),
        cmocka_unit_test(a_slow_way_is_gone_in_several_rounds),
        cmocka_unit_test(later_it_reads_on),
        cmocka_unit_test(a_log_that_was_cut_is_read_from_its_begin),
        cmocka_unit_test(a_log_that_was_rotated_away_may_have_had_more),
        cmocka_unit_test(a_log_may_be_named_by_a_link),
        cmocka_unit_test(a_log_that_cannot_be_read_is_a_finding),
        cmocka_unit_test(a_host_that_does_not_answer_is_one_finding),
        cmocka_unit_test(a_log_is_read_without_a_data_directory),
        cmocka_unit_test(a_disk_is_read_without_a_log),
        cmocka_unit_test(a_log_is_read_though_no_server_answers),
        cmocka_unit_test(every_command_is_recorded),
        cmocka_unit_test(no_act_follows_a_command_that_is_not_recorded),
        cmocka_unit_test(the_hosts_own_commands_are_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
