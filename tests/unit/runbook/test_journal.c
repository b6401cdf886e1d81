/* The journal: what is read back, what a torn end is, what damage is; and the file with its lock and its rights. */
#include "runbook/internal.h"
#include "runbook/world.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct arena arena;
static struct buf text;
static struct journal_chain chain;
static size_t ends[32], lines; /* where each line ends */
static char folder[] = "/tmp/domicile-journal-XXXXXX", state_path[sizeof folder + 8];

static int set_up(void **state)
{
    arena_init(&arena);
    buf_init(&text, JOURNAL_BYTES_MAX);
    chain = (struct journal_chain){ 0 };
    lines = 0;
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(state_path, sizeof state_path, "%s/state", folder);
    return 0;
}

static int tear_down(void **state)
{
    arena_done(&arena);
    buf_done(&text);
    pid_t pid = fork();
    if (pid == 0)
        execl("/bin/rm", "rm", "-rf", folder, (char *)NULL);
    return pid > 0 && waitpid(pid, NULL, 0) == pid ? 0 : -1;
}

static void add(struct journal_event event)
{
    struct buf line;
    buf_init(&line, JOURNAL_LINE_MAX);
    check_ok(journal_line(&chain, &event, &line));
    journal_chain_take(&chain, buf_str(&line));
    assert_true(buf_append(&text, buf_str(&line)));
    ends[lines++] = text.len;
    buf_done(&line);
}

static void add_story(void)
{
    static const char *const ids[] = { "close", "promote" };
    add((struct journal_event){ .kind = JOURNAL_BEGIN,
                                .run = "last-1",
                                .runbook = "last",
                                .subject = "lamps",
                                .shape = "0123456789abcdef",
                                .steps = ids,
                                .step_count = 2,
                                .fence = 7 });
    add((struct journal_event){
        .kind = JOURNAL_ACT, .step = "close", .attempt = 1, .serial = 1, .evidence = "off" });
    add((struct journal_event){ .kind = JOURNAL_DONE, .step = "close", .attempt = 1, .evidence = "on" });
    add((struct journal_event){ .kind = JOURNAL_RESUME, .fence = 9 });
    add((struct journal_event){
        .kind = JOURNAL_ACT, .step = "promote", .attempt = 1, .serial = 2, .no_return = true });
    add((struct journal_event){
        .kind = JOURNAL_UNKNOWN, .step = "promote", .attempt = 1, .error = "no answer" });
    add((struct journal_event){ .kind = JOURNAL_END, .state = RUN_NEEDS_PERSON, .why = "step \"promote\"" });
}

static result read_bytes(size_t len, struct journal_history *ret)
{
    return journal_read((struct str){ text.ptr, len }, &arena, ret);
}

static void what_was_written_is_read(void **state)
{
    struct journal_history history;
    add_story();
    check_ok(read_bytes(ends[0], &history));
    assert_string_equal(history.why, "");
    check_ok(read_bytes(text.len, &history));
    assert_int_equal(history.count, 7);
    assert_int_equal(history.whole_bytes, text.len);
    assert_false(history.torn);
    assert_int_equal(history.standing.fence, 9);
    assert_int_equal(history.standing.serial, 2);
    assert_true(history.standing.acted[0] && history.standing.acted[1] && history.standing.passed);
    assert_int_equal(history.standing.state, RUN_NEEDS_PERSON);
    assert_string_equal(history.why, "step \"promote\"");
    assert_string_equal(history.step, "promote");
    assert_string_equal(history.events[5].error, "no answer");
    assert_string_equal(history.chain.sum, chain.sum);
    assert_int_equal(history.chain.seq, 7);
}

/* Cut at every byte: the lines that are whole stay, the rest is dropped, and nothing else is said. */
static void a_torn_end_is_dropped(void **state)
{
    struct journal_history history;
    add_story();
    for (size_t len = 0; len <= text.len; len++) {
        size_t whole = 0;
        while (whole < lines && ends[whole] <= len)
            whole++;
        check_ok(read_bytes(len, &history));
        assert_int_equal(history.count, whole);
        assert_int_equal(history.whole_bytes, whole == 0 ? 0 : ends[whole - 1]);
        assert_int_equal(history.torn, len != history.whole_bytes);
        arena_reset(&arena);
    }
}

/* The newline arrived, and a block before it did not. */
static void zeroes_in_the_last_line_are_torn(void **state)
{
    struct journal_history history;
    add_story();
    memset(text.ptr + ends[5] + 10, 0, 20);
    check_ok(read_bytes(text.len, &history));
    assert_true(history.torn);
    assert_int_equal(history.count, 6);
    memset(text.ptr + ends[4] + 10, 0, 20); /* in the middle it is damage */
    check_fails(E_JOURNAL, read_bytes(text.len, &history));
}

/* Any other bit that changed is damage, and the line is named. */
static void damage_names_its_line(void **state)
{
    struct journal_history history;
    add_story();
    for (size_t at = 0; at + 1 < text.len; at++) {
        size_t line = 0;
        while (ends[line] <= at)
            line++;
        char was = text.ptr[at], wanted[64];
        text.ptr[at] = (char)(was ^ 1);
        result r = read_bytes(text.len, &history);
        text.ptr[at] = was;
        snprintf(wanted, sizeof wanted, "line %zu of the journal is damaged", line + 1);
        if (r.error.code != E_JOURNAL || strstr(r.error.what, wanted) == NULL)
            fail_msg("byte %zu of line %zu: \"%s\"", at, line + 1, r.error.what);
        arena_reset(&arena);
    }
    /* a line that is gone */
    memmove(text.ptr + ends[1], text.ptr + ends[2], text.len - ends[2]);
    check_fails(E_JOURNAL, read_bytes(text.len - (ends[2] - ends[1]), &history));
}

/* What no engine writes, with checksums that hold. */
static void impossible_stories_are_damage(void **state)
{
    static const struct journal_event impossible[] = {
        { .kind = JOURNAL_ACT, .step = "nowhere", .attempt = 1, .serial = 2 },
        { .kind = JOURNAL_ACT, .step = "close", .attempt = 1, .serial = 1 },
        { .kind = JOURNAL_ACT, .attempt = 1, .serial = 2 },
        { .kind = JOURNAL_UNDO, .step = "close", .attempt = 1, .serial = 2 },
        { .kind = JOURNAL_UNDONE, .step = "close" },
        { .kind = JOURNAL_RESUME, .fence = 7 },
        { .kind = JOURNAL_END, .state = RUN_UNDONE },
        { .kind = JOURNAL_BACK, .step = "close" },
    };
    for (size_t i = 0; i < COUNT(impossible); i++) {
        struct journal_history history;
        buf_clear(&text);
        chain = (struct journal_chain){ 0 };
        lines = 0;
        static const char *const ids[] = { "close", "promote" };
        add((struct journal_event){ .kind = JOURNAL_BEGIN,
                                    .run = "last-1",
                                    .runbook = "last",
                                    .subject = "lamps",
                                    .shape = "0123456789abcdef",
                                    .steps = ids,
                                    .step_count = 2,
                                    .fence = 7 });
        add((struct journal_event){ .kind = JOURNAL_ACT, .step = "close", .attempt = 1, .serial = 1 });
        add(impossible[i]);
        result r = read_bytes(text.len, &history);
        if (r.error.code != E_JOURNAL || strstr(r.error.what, "line 3") == NULL)
            fail_msg("%zu: \"%s\"", i, r.error.what);
    }
}

/* A line of any text, with the checksum that goes on behind `before`. */
static struct str line_of(const struct journal_chain *before, const char *open)
{
    char sum[JOURNAL_SUM_HEX + 1];
    journal_sum(before->sum, str_from(open), sum);
    return str_from(arena_printf(&arena, "%s,\"sum\":\"%s\"}\n", open, sum));
}

#define AT "{\"seq\":1,\"at\":\"2026-01-31T12:00:00.000Z\","
#define BEGIN AT "\"event\":\"begin\","
#define RUN "\"run\":\"last-1\",\"runbook\":\"last\",\"subject\":\"lamps\",\"shape\":\"0123456789abcdef\""
#define STEPS ",\"steps\":[\"close\",\"promote\"]"

/* What no engine writes, with checksums that hold. */
static void p8_members_that_do_not_fit_are_damage(void **state)
{
    static const char *const bad[] = {
        BEGIN RUN STEPS ",\"fence\":0",
        BEGIN RUN STEPS ",\"fence\":-1",
        BEGIN RUN STEPS ",\"fence\":1.5",
        BEGIN RUN STEPS ",\"fence\":\"7\"",
        BEGIN RUN STEPS ",\"fence\":9223372036854775808",
        BEGIN RUN STEPS ",\"attempt\":4294967296",
        BEGIN RUN STEPS ",\"no_return\":false",
        BEGIN RUN STEPS ",\"cancelled\":1",
        BEGIN RUN STEPS ",\"why\":\"\"",
        BEGIN RUN STEPS ",\"why\":7",
        BEGIN RUN STEPS ",\"why\":\"a\\nb\"",
        BEGIN RUN STEPS ",\"state\":\"done\"",
        BEGIN RUN STEPS ",\"other\":\"x\"",
        BEGIN RUN ",\"steps\":[]",
        BEGIN RUN ",\"steps\":\"close\"",
        BEGIN RUN ",\"steps\":[\"close\",7]",
        BEGIN RUN ",\"steps\":[\"close\",\"promote\",\"close\"]",
        BEGIN RUN ",\"steps\":[\"close\",\"Promote\"]",
        BEGIN RUN,
        BEGIN "\"run\":\"last-1\",\"runbook\":\"last\",\"subject\":\"lamps\"" STEPS,
        AT "\"event\":\"began\"," RUN STEPS,
        AT RUN STEPS,
        "{\"seq\":1,\"event\":\"begin\"," RUN STEPS,
        "{\"seq\":2,\"at\":\"2026-01-31T12:00:00.000Z\",\"event\":\"begin\"," RUN STEPS,
        "{\"at\":\"2026-01-31T12:00:00.000Z\",\"event\":\"begin\"," RUN STEPS,
    };
    struct journal_history history;
    for (size_t i = 0; i < COUNT(bad); i++) {
        result r = journal_read(line_of(&chain, bad[i]), &arena, &history);
        if (r.error.code != E_JOURNAL || strstr(r.error.what, "line 1") == NULL)
            fail_msg("%s: \"%s\"", bad[i], r.error.what);
    }
    result bare = journal_read(line_of(&chain, ""), &arena, &history);
    assert_non_null(strstr(bare.error.what, "checksum")); /* which is of nothing */
    static const char *const good[] = {
        BEGIN RUN STEPS,
        BEGIN RUN STEPS ",\"fence\":1",
        BEGIN RUN STEPS ",\"fence\":9223372036854775807,\"attempt\":4294967295",
        BEGIN RUN STEPS ",\"no_return\":true,\"cancelled\":true,\"why\":\"x\"",
    };
    for (size_t i = 0; i < COUNT(good); i++)
        check_ok(journal_read(line_of(&chain, good[i]), &arena, &history));
}

static void an_empty_journal_never_began(void **state)
{
    struct journal_history history;
    check_ok(journal_read((struct str){ 0 }, &arena, &history));
    assert_int_equal(history.count, 0);
    assert_int_equal(history.standing.state, RUN_ABANDONED);
    assert_string_equal(history.why, "the run never began");
    check_ok(journal_read(STR("{\"seq\":1,"), &arena, &history));
    assert_int_equal(history.count, 0);
    assert_true(history.torn);
    check_fails(E_JOURNAL, journal_read(STR("hello\n"), &arena, &history));
}

/* Sixty-four ids and three texts of marks that JSON writes as two bytes come near the limit. */
static void p8_a_line_is_at_most_as_long_as_the_reader_takes(void **state)
{
    const char *ids[RUNBOOK_STEPS_MAX];
    char marks[JOURNAL_TEXT_MAX], last[JOURNAL_TEXT_MAX];
    struct buf line;
    size_t longest = 0;
    for (size_t i = 0; i < RUNBOOK_STEPS_MAX; i++)
        ids[i] = arena_printf(&arena, "%063zu", i);
    memset(marks, '"', sizeof marks - 1);
    marks[sizeof marks - 1] = '\0';
    buf_init(&line, JOURNAL_LINE_MAX);
    struct journal_event event = { .kind = JOURNAL_BEGIN,
                                   .run = "last-1",
                                   .runbook = "last",
                                   .subject = "lamps",
                                   .shape = "0123456789abcdef",
                                   .steps = ids,
                                   .step_count = RUNBOOK_STEPS_MAX,
                                   .evidence = marks,
                                   .error = marks,
                                   .why = last };
    for (size_t plain = 0; plain < sizeof last; plain++) {
        memset(last, '"', sizeof last - 1);
        memset(last, 'x', sizeof last - 1 - plain); /* one byte longer each time */
        last[sizeof last - 1] = '\0';
        result r = journal_line(&chain, &event, &line);
        if (failed(r)) {
            assert_int_equal(r.error.code, E_LIMIT);
            break;
        }
        longest = line.len;
    }
    assert_int_equal(longest, JOURNAL_LINE_MAX);
    buf_done(&line);
}

static void texts_are_cut_and_cleaned(void **state)
{
    struct journal_history history;
    static const char *const ids[] = { "close" };
    char longer[10000];
    memset(longer, 'y', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    add((struct journal_event){ .kind = JOURNAL_BEGIN,
                                .run = "last-1",
                                .runbook = "last",
                                .subject = "lamps",
                                .shape = "0123456789abcdef",
                                .steps = ids,
                                .step_count = 1 });
    add((struct journal_event){
        .kind = JOURNAL_UNKNOWN, .step = "close", .error = "a\nb\xff", .evidence = longer });
    check_ok(read_bytes(text.len, &history));
    assert_string_equal(history.events[1].error, "a?b?");
    assert_true(strlen(history.events[1].evidence) < 2100);
}

/* ---- the file ---- */
static mode_t mode_of(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? status.st_mode & 07777 : 0;
}

static void write_and_read(void *arg)
{
    struct journal *journal = NULL, *other = NULL;
    struct str seen;
    bool driven = false;
    check_ok(journal_create(state_path, "run-1", &journal));
    assert_true(mode_of(state_path) == 0700);
    assert_true(mode_of(arena_printf(&arena, "%s/runs", state_path)) == 0700);
    assert_true(mode_of(arena_printf(&arena, "%s/runs/run-1.journal", state_path)) == 0600);
    check_ok(journal->append(journal, STR("one\n")));
    check_ok(journal->append(journal, STR("two\n")));
    /* one driver at a time; whoever looks takes no lock */
    check_fails(E_BUSY, journal_open(state_path, "run-1", &other));
    check_fails(E_JOURNAL, journal_create(state_path, "run-1", &other));
    check_ok(journal_peek(state_path, "run-1", &arena, &seen, &driven));
    assert_true(driven && str_is(seen, "one\ntwo\n"));
    journal->close(journal);
    check_ok(journal_peek(state_path, "run-1", &arena, &seen, &driven));
    assert_true(!driven);
    check_ok(journal_open(state_path, "run-1", &journal));
    check_ok(journal->load(journal, &arena, &seen));
    assert_true(str_is(seen, "one\ntwo\n"));
    check_ok(journal->cut(journal, 4));
    check_ok(journal->append(journal, STR("three\n")));
    journal->close(journal);
    check_ok(journal_peek(state_path, "run-1", &arena, &seen, &driven));
    assert_true(str_is(seen, "one\nthree\n"));
    check_fails(E_NOT_FOUND, journal_open(state_path, "run-2", &journal));
    check_fails(E_NOT_FOUND, journal_peek(state_path, "run-2", &arena, &seen, &driven));
    check_fails(E_ID, journal_open(state_path, "../run-1", &journal));
    check_fails(E_ID, journal_peek(state_path, "a/b", &arena, &seen, &driven));
}

static void a_file_is_locked_and_closed_to_others(void **state)
{
    on_loop(write_and_read, NULL);
}

static void list_names(void *arg)
{
    struct journal_names names;
    struct journal *journal = NULL;
    check_ok(journal_names(state_path, &arena, &names));
    assert_true(names.count == 0);
    for (int i = 0; i < 200; i++) {
        check_ok(journal_create(state_path, arena_printf(&arena, "run-%03d", 199 - i), &journal));
        journal->close(journal);
    }
    int fd = open(arena_printf(&arena, "%s/runs/notes.txt", state_path), O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0 && close(fd) == 0);
    check_ok(journal_names(state_path, &arena, &names));
    assert_true(names.count == 200 && strcmp(names.items[0], "run-000") == 0 &&
                strcmp(names.items[199], "run-199") == 0);
}

static void names_are_listed(void **state)
{
    on_loop(list_names, NULL);
}

static void open_to_others(void *arg)
{
    struct journal *journal = NULL;
    assert_true(mkdir(state_path, 0700) == 0 && chmod(state_path, 0755) == 0); /* whatever the umask */
    result r = journal_create(state_path, "run-1", &journal);
    check_fails(E_JOURNAL, r);
    assert_true(strstr(r.error.hint, "0700") != NULL);
    assert_true(chmod(state_path, 0700) == 0);
    check_ok(journal_create(state_path, "run-1", &journal));
    journal->close(journal);
    check_fails(E_JOURNAL, journal_create("/nonexistent/state", "run-1", &journal));
}

static void a_folder_that_is_open_to_others_is_refused(void **state)
{
    on_loop(open_to_others, NULL);
}

/* A limit on the size of files stands for a full disk. */
static void fill_up(void *arg)
{
    struct journal *journal = NULL;
    const struct rlimit little = { 100, RLIM_INFINITY }, all = { RLIM_INFINITY, RLIM_INFINITY };
    char line[81];
    memset(line, 'z', sizeof line - 1);
    line[sizeof line - 1] = '\n';
    check_ok(journal_create(state_path, "run-1", &journal));
    signal(SIGXFSZ, SIG_IGN);
    assert_true(setrlimit(RLIMIT_FSIZE, &little) == 0);
    check_ok(journal->append(journal, (struct str){ line, sizeof line }));
    check_fails(E_JOURNAL, journal->append(journal, (struct str){ line, sizeof line }));
    assert_true(setrlimit(RLIMIT_FSIZE, &all) == 0);
    /* there is half a line now: nothing may be written behind it */
    check_fails(E_JOURNAL, journal->append(journal, STR("a\n")));
    journal->close(journal);
}

static void nothing_is_written_behind_a_failed_write(void **state)
{
    on_loop(fill_up, NULL);
}

static void grow(void *arg)
{
    struct journal *journal = NULL;
    static char block[1 << 20];
    struct str text_there;
    memset(block, 'z', sizeof block);
    check_ok(journal_create(state_path, "run-1", &journal));
    for (size_t i = 0; i < JOURNAL_BYTES_MAX / sizeof block; i++)
        check_ok(journal->append(journal, (struct str){ block, sizeof block - (i == 0) }));
    check_fails(E_JOURNAL, journal->append(journal, STR("ab"))); /* one byte is left */
    check_ok(journal->append(journal, STR("\n")));
    check_fails(E_JOURNAL, journal->append(journal, STR("\n")));
    journal->close(journal);
    check_ok(journal_open(state_path, "run-1", &journal));
    check_ok(journal->load(journal, &arena, &text_there));
    assert_int_equal(text_there.len, JOURNAL_BYTES_MAX);
    check_fails(E_JOURNAL, journal->append(journal, STR("\n"))); /* it knows what was there before */
    journal->close(journal);
}

static void p8_a_journal_grows_to_its_limit_and_not_beyond(void **state)
{
    on_loop(grow, NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_was_written_is_read),
        TEST(a_torn_end_is_dropped),
        TEST(zeroes_in_the_last_line_are_torn),
        TEST(damage_names_its_line),
        TEST(impossible_stories_are_damage),
        TEST(p8_members_that_do_not_fit_are_damage),
        TEST(an_empty_journal_never_began),
        TEST(p8_a_line_is_at_most_as_long_as_the_reader_takes),
        TEST(texts_are_cut_and_cleaned),
        TEST(a_file_is_locked_and_closed_to_others),
        TEST(names_are_listed),
        TEST(a_folder_that_is_open_to_others_is_refused),
        TEST(nothing_is_written_behind_a_failed_write),
        TEST(p8_a_journal_grows_to_its_limit_and_not_beyond),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
