#include "check.h"

#include "base/arena.h"
#include "base/clock.h"
#include "hosts/host_log.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINES_MAX = 4096 };

static struct arena arena;
static char dir[64];
static const char *state; /* below dir; not there at first */
static struct host_log *log_of_test;
static int unrecorded;
static struct error why;
static int64_t now_ms;
static json_t *lines[LINES_MAX];
static size_t line_count;

/* 2026-11-26, noon */
static const int64_t noon_ms = 1795694400000, day_ms = 24 * 3600 * 1000;

static uint64_t no_monotonic(void)
{
    return 0;
}

static int64_t fake_wall(void)
{
    return now_ms;
}

static void on_unrecorded(void *context, const struct error *error)
{
    assert_ptr_equal(context, &unrecorded);
    unrecorded++;
    why = *error;
}

static struct host_log *open_log(const char *looker)
{
    const struct host_log_options options = { state, looker, on_unrecorded, &unrecorded };
    return host_log_new(&options);
}

static int set_up(void **context)
{
    static const struct clock_source source = { no_monotonic, fake_wall };
    arena_init(&arena);
    strcpy(dir, "/tmp/domicile-log.XXXXXX");
    assert_non_null(mkdtemp(dir));
    state = arena_printf(&arena, "%s/state", dir);
    now_ms = noon_ms;
    clock_set_source(&source);
    unrecorded = 0;
    log_of_test = open_log("node-check");
    return 0;
}

static void forget_lines(void)
{
    for (size_t i = 0; i < line_count; i++)
        json_decref(lines[i]);
    line_count = 0;
}

static int tear_down(void **context)
{
    host_log_free(log_of_test);
    forget_lines();
    clock_set_source(NULL);
    assert_int_equal(system(arena_printf(&arena, "rm -rf %s", dir)), 0);
    arena_done(&arena);
    return 0;
}

/* ---- */

static void add(const char *run, const char *const *argv)
{
    struct ssh_trace trace = { .run = run, .step = "disk", .host = "eu1", .argv = argv, .duration_ms = 12 };
    memset(trace.digest, 'a', sizeof trace.digest - 1);
    host_log_add(log_of_test, &trace);
}

#define ADD(run, ...) add(run, (const char *const[]){ __VA_ARGS__, NULL })

static const char *path_of(const char *name)
{
    return arena_printf(&arena, "%s/commands/%s", state, name);
}

static bool is_there(const char *name)
{
    return access(path_of(name), F_OK) == 0;
}

/* All that parse; *ret_others: lines that do not, and are not empty. */
static void read_lines(const char *name, size_t *ret_others)
{
    char *line = NULL;
    size_t size = 0, others = 0;
    FILE *file = fopen(path_of(name), "re");
    assert_non_null(file);
    forget_lines();
    while (getline(&line, &size, file) > 0) {
        if (strcmp(line, "\n") == 0)
            continue;
        json_t *json = json_loads(line, 0, NULL);
        if (json == NULL) {
            others++;
            continue;
        }
        assert_true(line_count < LINES_MAX);
        lines[line_count++] = json;
    }
    free(line);
    fclose(file);
    if (ret_others == NULL)
        assert_int_equal(others, 0);
    else
        *ret_others = others;
}

static const char *text_of(size_t line, const char *member)
{
    return json_string_value(json_object_get(lines[line], member));
}

static const char *word_of(size_t line, size_t word)
{
    return json_string_value(json_array_get(json_object_get(lines[line], "argv"), word));
}

static void write_text(const char *name, const char *mode, const char *text)
{
    FILE *file = fopen(path_of(name), mode);
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* ---- */

static void a_run_has_a_file_of_its_own(void **context)
{
    ADD("provision-1", "initdb", "-D", "/data");
    read_lines("provision-1.jsonl", NULL);
    assert_int_equal(line_count, 1);
    assert_string_equal(text_of(0, "at"), "2026-11-26T12:00:00.000Z");
    assert_string_equal(text_of(0, "run"), "provision-1");
    assert_string_equal(text_of(0, "step"), "disk");
    assert_string_equal(text_of(0, "host"), "eu1");
    assert_string_equal(word_of(0, 2), "/data");
    assert_int_equal(json_integer_value(json_object_get(lines[0], "exit_status")), 0);
    assert_int_equal(json_integer_value(json_object_get(lines[0], "duration_ms")), 12);
    assert_int_equal(strlen(text_of(0, "digest")), 64);
    assert_true(json_is_null(json_object_get(lines[0], "error")));
    assert_null(json_object_get(lines[0], "argv_cut"));
    assert_false(is_there("look-2026-11-26.jsonl"));
}

static void what_only_looks_is_in_one_file_a_day(void **context)
{
    ADD(NULL, "true");
    ADD("node-check", "false"); /* the looker itself */
    ADD("provision-1", "initdb");
    ADD(NULL, "df");
    read_lines("look-2026-11-26.jsonl", NULL);
    assert_int_equal(line_count, 3);
    for (size_t i = 0; i < line_count; i++)
        assert_string_equal(text_of(i, "run"), "node-check");
    assert_string_equal(word_of(2, 0), "df");
    now_ms += day_ms / 2; /* midnight */
    ADD(NULL, "stat");
    read_lines("look-2026-11-27.jsonl", NULL);
    assert_int_equal(line_count, 1);
    assert_string_equal(text_of(0, "at"), "2026-11-27T00:00:00.000Z");
    assert_int_equal(unrecorded, 0);
}

static void who_begins_a_day_removes_what_is_old(void **context)
{
    static const char *const stay[] = { "look-2026-11-20.jsonl",  "provision-2020-01-01.jsonl",
                                        "look-2020-01-01.jsonl~", "look-2020-01-01.json",
                                        "look-2020-1-01.jsonl",   "xlook-2020-01-01.jsonl",
                                        "look-2020-01-01",        "look-2026-12-24.jsonl" };
    static const char *const go[] = { "look-2026-11-19.jsonl", "look-2020-01-01.jsonl" };
    ADD(NULL, "true");
    for (size_t i = 0; i < COUNT(stay); i++)
        write_text(stay[i], "we", "");
    for (size_t i = 0; i < COUNT(go); i++)
        write_text(go[i], "we", "");
    ADD(NULL, "true"); /* no new day */
    assert_true(is_there(go[0]) && is_there(go[1]));
    now_ms += day_ms;
    ADD("provision-1", "true"); /* a run begins none either */
    assert_true(is_there(go[0]) && is_there(go[1]));
    ADD(NULL, "true");
    for (size_t i = 0; i < COUNT(go); i++)
        if (is_there(go[i]))
            fail_msg("%s is still there", go[i]);
    for (size_t i = 0; i < COUNT(stay); i++)
        if (!is_there(stay[i]))
            fail_msg("%s is gone", stay[i]);
}

/* Lines longer than a page, from several processes that open the file for themselves. */
static void lines_of_several_processes_stay_whole(void **context)
{
    enum { PROCESSES = 4, EACH = 300, WORD = 4000 };
    char word[WORD + 1];
    for (int i = 0; i < PROCESSES; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid > 0)
            continue;
        memset(word, 'a' + i, WORD);
        word[WORD] = '\0';
        for (int j = 0; j < EACH; j++)
            ADD(NULL, "true", word);
        _exit(unrecorded);
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    read_lines("look-2026-11-26.jsonl", NULL);
    assert_int_equal(line_count, PROCESSES * EACH);
    for (size_t i = 0; i < line_count; i++)
        assert_int_equal(strspn(word_of(i, 1), (const char[]){ word_of(i, 1)[0], '\0' }), WORD);
}

static void a_long_argv_is_cut_at_a_whole_character(void **context)
{
    char long_word[HOST_LOG_ARGV_BYTES + 1];
    memset(long_word, 'x', HOST_LOG_ARGV_BYTES - 4);
    strcpy(long_word + HOST_LOG_ARGV_BYTES - 4, "\xc3\xa9\xc3\xa9");
    ADD(NULL, "a", long_word, "left out");
    ADD(NULL, long_word, "");
    ADD(NULL, long_word, "b");
    ADD(NULL, "caf\xc3\xa9", "\xff\x01", "bare \xc3");
    read_lines("look-2026-11-26.jsonl", NULL);
    assert_int_equal(line_count, 4);
    assert_int_equal(json_array_size(json_object_get(lines[0], "argv")), 2);
    assert_int_equal(strlen(word_of(0, 1)), HOST_LOG_ARGV_BYTES - 2);
    assert_true(json_is_true(json_object_get(lines[0], "argv_cut")));
    assert_string_equal(word_of(1, 0), long_word); /* as long as may be */
    assert_null(json_object_get(lines[1], "argv_cut"));
    assert_true(json_is_true(json_object_get(lines[2], "argv_cut")));
    assert_string_equal(word_of(3, 0), "caf\xc3\xa9");
    assert_string_equal(word_of(3, 1), "??");
    assert_string_equal(word_of(3, 2), "bare ?");
}

static void what_a_host_chooses_does_no_harm(void **context)
{
    const struct error error = { .code = E_SSH, .what = "it said \xff\n" };
    struct ssh_trace trace = { .host = "eu1",
                               .argv = (const char *const[]){ "true", NULL },
                               .error = &error,
                               .exit_status = -1,
                               .signal = "\xff\xfeKILL" };
    host_log_add(log_of_test, &trace);
    read_lines("look-2026-11-26.jsonl", NULL);
    assert_string_equal(text_of(0, "signal"), "??KILL");
    assert_string_equal(text_of(0, "error"), "it said ??");
    assert_true(json_is_null(json_object_get(lines[0], "step")));
}

static void a_look_that_is_not_recorded_is_told_once(void **context)
{
    FILE *in_the_way = fopen(state, "we");
    assert_non_null(in_the_way);
    fclose(in_the_way);
    ADD(NULL, "true");
    ADD(NULL, "true");
    assert_int_equal(unrecorded, 1);
    assert_int_equal(why.code, E_IO);
    assert_non_null(strstr(why.what, "Not a directory"));
    assert_non_null(strstr(why.hint, "state_path"));
    check_ok(host_log_failure(log_of_test)); /* which forbids nothing */
    assert_int_equal(remove(state), 0);
    ADD(NULL, "true");
    assert_int_equal(unrecorded, 1);
    read_lines("look-2026-11-26.jsonl", NULL);
    assert_int_equal(line_count, 1);
    assert_int_equal(rename(state, arena_printf(&arena, "%s/away", dir)), 0);
    in_the_way = fopen(state, "we");
    assert_non_null(in_the_way);
    fclose(in_the_way);
    now_ms += day_ms;
    ADD(NULL, "true");
    assert_int_equal(unrecorded, 2);
}

static void without_its_record_a_run_shall_not_go_on(void **context)
{
    FILE *in_the_way = fopen(state, "we");
    assert_non_null(in_the_way);
    fclose(in_the_way);
    check_ok(host_log_failure(NULL));
    check_ok(host_log_failure(log_of_test));
    ADD("provision-1", "initdb");
    check_fails(E_IO, host_log_failure(log_of_test));
    assert_int_equal(unrecorded, 0);
    assert_int_equal(remove(state), 0);
    ADD("provision-1", "initdb");
    check_fails(E_IO, host_log_failure(log_of_test)); /* one is missing for ever */
}

static void behind_a_torn_line_the_next_is_whole(void **context)
{
    size_t others;
    struct rlimit before, small;
    struct stat file;
    ADD(NULL, "true");
    host_log_free(log_of_test);
    write_text("look-2026-11-26.jsonl", "ae", "{\"at\":\"20"); /* somebody was killed */
    log_of_test = open_log("node-scan");
    ADD(NULL, "first");
    assert_int_equal(stat(path_of("look-2026-11-26.jsonl"), &file), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){ (rlim_t)file.st_size + 20, before.rlim_max };
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    ADD(NULL, "torn");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(unrecorded, 1);
    ADD(NULL, "second");
    ADD(NULL, "third");
    read_lines("look-2026-11-26.jsonl", &others);
    assert_int_equal(others, 2);
    assert_int_equal(line_count, 4);
    assert_string_equal(word_of(1, 0), "first");
    assert_string_equal(word_of(2, 0), "second");
    assert_string_equal(word_of(3, 0), "third");
}

static void behind_what_another_process_tore_the_next_is_whole(void **context)
{
    size_t others;
    ADD(NULL, "first");
    write_text("look-2026-11-26.jsonl", "ae", "{\"at\":\"20");
    ADD(NULL, "second");
    read_lines("look-2026-11-26.jsonl", &others);
    assert_int_equal(others, 1);
    assert_int_equal(line_count, 2);
    assert_string_equal(word_of(1, 0), "second");
}

static void what_was_moved_away_is_begun_again(void **context)
{
    const char *away = arena_printf(&arena, "%s/away", dir);
    size_t others;
    ADD(NULL, "first");
    assert_int_equal(rename(path_of("look-2026-11-26.jsonl"), away), 0);
    ADD(NULL, "second");
    assert_int_equal(rename(path_of(""), arena_printf(&arena, "%s/commands-away", dir)), 0);
    ADD(NULL, "third");
    ADD(NULL, "fourth");
    read_lines("look-2026-11-26.jsonl", &others);
    assert_int_equal(others, 0);
    assert_int_equal(line_count, 2);
    assert_string_equal(word_of(0, 0), "third");
    assert_int_equal(unrecorded, 0);
}

static void check_mode(const char *path, mode_t mode, uid_t owner)
{
    struct stat at;
    assert_int_equal(stat(path, &at), 0);
    assert_int_equal(at.st_mode & 07777, mode);
    assert_int_equal(at.st_uid, owner);
}

static void it_is_its_owners_alone(void **context)
{
    uid_t owner = geteuid() == 0 ? 12345 : geteuid(); /* root may look where another has the state */
    assert_int_equal(chown(dir, owner, (gid_t)-1), 0);
    umask(0);
    ADD(NULL, "true");
    ADD("provision-1", "true");
    umask(022);
    check_mode(state, 0700, owner);
    check_mode(path_of(""), 0700, owner);
    check_mode(path_of("look-2026-11-26.jsonl"), 0600, owner);
    check_mode(path_of("provision-1.jsonl"), 0600, owner);
}

static void a_link_is_not_followed(void **context)
{
    const char *elsewhere = arena_printf(&arena, "%s/elsewhere", dir);
    FILE *file = fopen(elsewhere, "we");
    assert_non_null(file);
    ADD("provision-1", "true");
    assert_int_equal(symlink(elsewhere, path_of("look-2026-11-26.jsonl")), 0);
    ADD(NULL, "true");
    assert_int_equal(unrecorded, 1);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    assert_int_equal(ftell(file), 0);
    fclose(file);
}

static void a_folder_that_is_a_link_is_not_followed(void **context)
{
    const char *elsewhere = arena_printf(&arena, "%s/elsewhere", dir);
    assert_int_equal(mkdir(state, 0700), 0);
    assert_int_equal(mkdir(elsewhere, 0700), 0);
    assert_int_equal(symlink(elsewhere, arena_printf(&arena, "%s/commands", state)), 0);
    ADD(NULL, "true");
    assert_int_equal(unrecorded, 1);
    assert_int_equal(rmdir(elsewhere), 0); /* it is empty */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_run_has_a_file_of_its_own),
        TEST(what_only_looks_is_in_one_file_a_day),
        TEST(who_begins_a_day_removes_what_is_old),
        TEST(lines_of_several_processes_stay_whole),
        TEST(a_long_argv_is_cut_at_a_whole_character),
        TEST(what_a_host_chooses_does_no_harm),
        TEST(a_look_that_is_not_recorded_is_told_once),
        TEST(without_its_record_a_run_shall_not_go_on),
        TEST(behind_a_torn_line_the_next_is_whole),
        TEST(behind_what_another_process_tore_the_next_is_whole),
        TEST(what_was_moved_away_is_begun_again),
        TEST(a_folder_that_is_a_link_is_not_followed),
        TEST(it_is_its_owners_alone),
        TEST(a_link_is_not_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
