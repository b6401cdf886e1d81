/* What a command that runs a runbook shows: lines, the step at hand, JSON, a plan; and what signals do. */
#include "cli/cli_test.h"
#include "cli/drive.h"
#include "directory/sqlite.h"
#include "loop/on_loop.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/domicile-drive-XXXXXX", state_path[sizeof folder + 8];
static bool on[3], stuck;
static uint32_t blind_from; /* the number of the first step that cannot see; 0: all see */
static int acts;
static result outcome;

static result ask(void *context, struct runbook_call *call, enum answer *ret)
{
    if (blind_from > 0 && call->number >= blind_from)
        return FAIL(E_UNAVAILABLE, NULL, "the hall is dark");
    *ret = on[call->number - 1] ? ANSWER_YES : ANSWER_NO;
    runbook_evidence(call, "lamp %u is %s", call->number, answer_word(*ret));
    return OK;
}

static result act(void *context, struct runbook_call *call)
{
    acts++;
    TRY(fiber_sleep(1500));
    on[call->number - 1] = true;
    return OK;
}

static result act_or_wait(void *context, struct runbook_call *call)
{
    if (!stuck)
        return act(context, call);
    raise(SIGINT);
    for (int i = 0; i < 100; i++) /* signals come with the next poll */
        TRY(fiber_sleep(10));
    return FAIL(E_DEADLINE, NULL, "the signal did not come");
}

static result undo(void *context, struct runbook_call *call)
{
    on[call->number - 1] = false;
    return OK;
}

static const struct runbook_step look_step = { "look", "Look at the first lamp", "is it on?",
                                               ask,    .within_ms = SEC(5),      .tries = 1 },
                                 first_step = { "first",
                                                "Switch the second lamp on",
                                                "is it on?",
                                                ask,
                                                act,
                                                .undo = undo,
                                                .within_ms = SEC(20),
                                                .ask_within_ms = SEC(5),
                                                .tries = 2 },
                                 second_step = { "second",
                                                 "Switch the third lamp on",
                                                 "is it on?",
                                                 ask,
                                                 act_or_wait,
                                                 .within_ms = SEC(20),
                                                 .ask_within_ms = SEC(5),
                                                 .tries = 1 };
static const struct runbook_step *const steps[] = { &look_step, &first_step, &second_step };
static const struct runbook lamps = { "lamps", "Switch the lamps on", steps, 3 };

static struct cli cli;
static bool planned;

static result drive_under_lease(struct cli_drive *drive)
{
    TRY(directory_open_sqlite(arena_printf(&cli.arena, "%s/directory", folder), &drive->directory));
    result r = cli_drive(&cli, drive);
    directory_free(drive->directory);
    return r;
}

static void body(void)
{
    struct cli_drive drive = { .runbook = &lamps, .subject = "hall", .lease = "run-hall" };
    outcome = planned ? cli_plan(&cli, &drive) : drive_under_lease(&drive);
}

/* OPT_COUNT: without an option. */
static void drive(enum cli_option option, bool watched)
{
    size_t out_len, err_len;
    struct config config = { .state_path = state_path };
    free(out);
    free(err);
    FILE *to_out = open_memstream(&out, &out_len), *to_err = open_memstream(&err, &err_len);
    cli_init(&cli, to_out, to_err);
    if (option != OPT_COUNT)
        cli.values[option] = "";
    cli.config = &config;
    cli.progress = watched;
    on_virtual_loop(body);
    cli.config = NULL;
    cli_done(&cli);
    fclose(to_out);
    fclose(to_err);
}

static int set_up(void **state)
{
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    on[0] = true;
    on[1] = on[2] = stuck = planned = false;
    blind_from = 0;
    acts = 0;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(state_path, sizeof state_path, "%s/state", folder);
    return 0;
}

static int tear_down(void **state)
{
    pid_t pid = fork();
    if (pid == 0)
        execl("/bin/rm", "rm", "-rf", folder, (char *)NULL);
    return pid > 0 && waitpid(pid, NULL, 0) == pid ? 0 : -1;
}

static void a_line_a_step(void **state)
{
    drive(OPT_COUNT, false);
    check_ok(outcome);
    assert_string_equal(out, "[ 1/3] done       Look at the first lamp (0 s): lamp 1 is yes\n"
                             "[ 2/3] done       Switch the second lamp on (1 s 500 ms): lamp 2 is yes\n"
                             "[ 3/3] done       Switch the third lamp on (1 s 500 ms): lamp 3 is yes\n"
                             "done\n");
    assert_string_equal(err, "");
    drive(OPT_COUNT, false);
    check_ok(outcome);
    assert_string_equal(out, "hall: all 3 steps were already done, nothing was changed\n");
    assert_int_equal(acts, 2);
    on[2] = false;
    drive(OPT_COUNT, false);
    check_ok(outcome);
    has(out, "[ 2/3] already    Switch the second lamp on (0 s): lamp 2 is yes\n");
    assert_int_equal(acts, 3);
}

static void the_step_at_hand_is_watched(void **state)
{
    drive(OPT_COUNT, true);
    check_ok(outcome);
    has(err, "\r\033[K[ 2/3] Switch the second lamp on: acting, try 1 of 2, 1 s of 20 s");
    has(err, "[ 3/3] Switch the third lamp on: acting, try 1 of 1, 0 s of 20 s");
}

static void json_is_a_line_a_notice(void **state)
{
    drive(OPT_JSON, true);
    check_ok(outcome);
    struct str rest = str_from(out), line;
    size_t lines = 0;
    while (rest.len > 0 && str_cut(&rest, '\n', &line)) {
        json_t *json = NULL;
        check_ok(json_parse(line, 2, &json));
        assert_true(json_is_string(json_object_get(json, "event")));
        json_decref(json);
        lines++;
    }
    assert_int_equal(lines, 2 + 4 + 4 + 1);
    has(out, "\"event\":\"act\",\"run\":\"lamps-20260131-120000-");
    has(out, "\"step\":\"second\",\"title\":\"Switch the third lamp "
             "on\",\"attempt\":1,\"tries\":1,\"within_ms\":20000");
    has(out, "\"state\":\"done\"");
}

static void a_plan_changes_nothing(void **state)
{
    planned = true;
    drive(OPT_COUNT, false);
    check_ok(outcome);
    assert_string_equal(out, "[ 1/3] already    Look at the first lamp: lamp 1 is yes\n"
                             "[ 2/3] to do      Switch the second lamp on: lamp 2 is no\n"
                             "[ 3/3] to do      Switch the third lamp on: lamp 3 is no\n"
                             "2 of 3 steps are not done yet; nothing was changed\n");
    on[0] = false;
    drive(OPT_JSON, false);
    check_ok(outcome);
    has(out, "\"would\": \"fail\"");
    has(out, "\"would\": \"act\"");
    on[0] = on[1] = on[2] = true;
    drive(OPT_COUNT, false);
    has(out, "nothing to do\n");
    assert_int_equal(acts, 0);
}

static void a_signal_cancels(void **state)
{
    stuck = true;
    drive(OPT_COUNT, false);
    check_fails(E_CANCELLED, outcome);
    has(err, "cancelling the run; a second signal stops it without undoing");
    has(out, "walking back: cancelled at step \"second\"");
    has(out, "[ 3/3] stays      Switch the third lamp on");
    has(out, "[ 2/3] undone     Switch the second lamp on");
    has(out, "undone: cancelled at step \"second\"\n");
    assert_false(on[1]);
}

/* What needs a person is gone on with by the same command; what is over is not. */
static void the_same_command_goes_on(void **state)
{
    blind_from = 1;
    drive(OPT_COUNT, false);
    check_fails(E_NEEDS_PERSON, outcome);
    has(out, "[ 1/3] failed     Look at the first lamp");
    has(out, "needs-person: step \"look\": the answer of its goal is unknown: the hall is dark");
    blind_from = 0;
    drive(OPT_COUNT, false);
    check_ok(outcome);
    has(out, "resuming the run lamps-20260131-120000-");
    on[0] = false;
    drive(OPT_COUNT, false);
    check_fails(E_STEP, outcome);
    assert_null(strstr(out, "resuming"));
    has(out, "undone: step \"look\" failed: lamp 1 is no");
}

static void what_needs_a_person_can_be_walked_back(void **state)
{
    blind_from = 3;
    drive(OPT_COUNT, false);
    check_fails(E_NEEDS_PERSON, outcome);
    blind_from = 0;
    drive(OPT_CANCEL, false);
    check_fails(E_CANCELLED, outcome);
    has(out, "[ 2/3] undone     Switch the second lamp on");
    assert_false(on[1]);
    drive(OPT_CANCEL, false);
    check_fails(E_NOT_FOUND, outcome);
}

/* ---- runbook ... ---- */
/* Runs `domicile --config FOLDER VERB ARGUMENT` on the shipped configuration. */
static int runbooks(const char *verb, const char *argument)
{
    static const char *const linked[] = { "regions", "policies" };
    char line[512];
    for (size_t i = 0; i < 2; i++) {
        char from[300], to[300];
        snprintf(from, sizeof from, SOURCE_DIR "/%s", linked[i]);
        snprintf(to, sizeof to, "%s/%s", folder, linked[i]);
        if (symlink(from, to) != 0 && access(to, F_OK) != 0)
            fail_msg("cannot link %s", to);
    }
    snprintf(line, sizeof line, "--config %s %s%s", folder, verb, argument);
    return domicile(line);
}

static void runs_are_looked_at_and_abandoned(void **state)
{
    char id[64] = "";
    assert_int_equal(runbooks("runbook runs", ""), 0);
    assert_null(strstr(out, "lamps-"));
    blind_from = 3;
    drive(OPT_COUNT, false);
    check_fails(E_NEEDS_PERSON, outcome);
    assert_int_equal(runbooks("runbook runs", ""), 0);
    has(out, " hall   needs-person  second  2026-01-31T12:00:0");
    has(out, "the answer of its goal is unknown: the hall is dark");
    const char *at = strstr(out, "lamps-2026");
    assert_non_null(at);
    memcpy(id, at, strcspn(at, " "));
    assert_int_equal(runbooks("runbook journal ", id), 0);
    has(out, "act      first   1    lamp 2 is no\n");
    has(out, "end                   needs-person; step \"second\"");
    assert_int_equal(runbooks("--json runbook journal ", id), 0);
    has(out, "\"state\": \"needs-person\"");
    assert_int_equal(runbooks("runbook journal ", "lamps-20260131-000000-000000"), 4);
    assert_int_equal(runbooks("runbook abandon ", id), 2); /* it does not say why */
    assert_int_equal(runbooks("runbook abandon --why dark ", id), 0);
    has(out, "its changes stay");
    assert_int_equal(runbooks("runbook abandon --why dark ", id), 6);
    assert_int_equal(runbooks("--json runbook runs", ""), 0);
    has(out, "\"state\": \"abandoned\"");
    has(out, "\"why\": \"dark\"");
    assert_true(on[1]);
}

static void tables_are_listed_and_checked(void **state)
{
    assert_int_equal(runbooks("runbook list", ""), 0);
    assert_int_equal(runbooks("--json runbook list", ""), 0);
    has(out, "\"runbooks\": [");
    assert_int_equal(runbooks("runbook check", ""), 0);
    assert_int_equal(runbooks("--json runbook check", ""), 0);
    has(out, "\"sound\": true");
    assert_int_equal(runbooks("runbook check ", "no-such"), 4);
    assert_int_equal(runbooks("runbook show ", "no-such"), 4);
    assert_int_equal(runbooks("runbook draw --dot ", "no-such"), 4);
    has(err, "there is no runbook \"no-such\"");
}

static void a_table_is_printed(void **state)
{
    size_t out_len;
    free(out);
    FILE *to_out = open_memstream(&out, &out_len);
    cli_init(&cli, to_out, stderr);
    cli_show_runbook(&cli, &lamps);
    cli_done(&cli);
    fclose(to_out);
    has(out, "lamps: Switch the lamps on\n");
    has(out, "2  first   Switch the second lamp on  is it on?  20 s   2      yes    \n");
    has(out, "At most 1 min 36 s, including all tries.\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_line_a_step),
        TEST(the_step_at_hand_is_watched),
        TEST(json_is_a_line_a_notice),
        TEST(a_plan_changes_nothing),
        TEST(a_signal_cancels),
        TEST(the_same_command_goes_on),
        TEST(what_needs_a_person_can_be_walked_back),
        TEST(runs_are_looked_at_and_abandoned),
        TEST(tables_are_listed_and_checked),
        TEST(a_table_is_printed),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    free(out);
    free(err);
    return failures;
}
