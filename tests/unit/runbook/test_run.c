/* Runs in files: who may go on with one, what is listed, what a person may do, and what is seen while one goes on. */
#include "runbook/world.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct world world;
static struct arena arena;
static char folder[] = "/tmp/domicile-run-XXXXXX", state_path[sizeof folder + 8];

static int set_up(void **state)
{
    arena_init(&arena);
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(state_path, sizeof state_path, "%s/state", folder);
    return 0;
}

static int tear_down(void **state)
{
    arena_done(&arena);
    pid_t pid = fork();
    if (pid == 0)
        execl("/bin/rm", "rm", "-rf", folder, (char *)NULL);
    return pid > 0 && waitpid(pid, NULL, 0) == pid ? 0 : -1;
}

static struct run_options options(uint64_t fence)
{
    return (struct run_options){ .state_path = state_path, .subject = "lamps", .fence = fence };
}

/* The lamps check that the journal in memory speaks first; here it is a file. */
static result plain_act(void *context, struct runbook_call *call)
{
    struct world *lamps = context;
    lamps->lamps[call->number - 1].acts++;
    return scripted_act(lamps, call->number - 1);
}

static result plain_undo(void *context, struct runbook_call *call)
{
    struct world *lamps = context;
    lamps->lamps[call->number - 1].undos++;
    return scripted_undo(lamps, call->number - 1);
}

static const struct runbook_step
    close_step = { "close",   "Close the lamp",   "is the lamp on?",    ask_lamp,
                   plain_act, .undo = plain_undo, .within_ms = SEC(10), .ask_within_ms = SEC(5),
                   .tries = 2 },
    close_for_good_step = { "close",   "Close the lamp",     "is the lamp on?",       ask_lamp,
                            plain_act, .within_ms = SEC(10), .ask_within_ms = SEC(5), .tries = 2 },
    promote_step = { "promote",        "Promote the lamp",   "is the lamp on?",       ask_lamp,
                     plain_act,        .within_ms = SEC(10), .ask_within_ms = SEC(5), .tries = 2,
                     .no_return = true };
static const struct runbook_step *const plain_steps[] = { &close_step, &promote_step },
                                        *const other_steps[] = { &close_for_good_step, &promote_step };
static const struct runbook plain = { "plain", "Switch two lamps", plain_steps, 2 };
static const struct runbook plain_changed = { "plain", "Switch two lamps", other_steps, 2 };
static const struct runbook renamed = { "renamed", "Switch two lamps", plain_steps, 2 };

static void begin(enum outcome what, size_t target, uint64_t fence)
{
    const struct run_options given = options(fence);
    world_init(&world, &plain, target, what);
    check_ok(run_begin(&plain, &world, &given, &world.run));
}

static result resume(const struct runbook *runbook, const char *id, uint64_t fence)
{
    const struct run_options given = options(fence);
    return run_resume(runbook, &world, id, &given, &world.run);
}

/* ---- ---- */
static void go_on(void)
{
    char id[RUNBOOK_RUN_ID_MAX + 1];
    check_ok(run_find_open(state_path, "plain", "lamps", id));
    assert_true(id[0] == '\0');
    begin(UNKNOWN, 1, 3);
    assert_true(str_starts(str_from(run_id(world.run)), STR("plain-20260131-120000-")));
    check_ok(run_find_open(state_path, "plain", "lamps", id));
    assert_true(strcmp(id, run_id(world.run)) == 0);
    check_fails(E_BUSY, resume(&plain, id, 4)); /* we drive it ourselves */
    check_fails(E_BUSY, run_abandon(state_path, id, "no"));
    result r = run_drive(world.run);
    check_fails(E_NEEDS_PERSON, r);
    assert_true(strstr(r.error.what, "lamp 1 is unknown") != NULL &&
                run_state(world.run) == RUN_NEEDS_PERSON);
    run_free(world.run);

    check_fails(E_STALE, resume(&plain, id, 3));
    check_fails(E_CONFLICT, resume(&plain_changed, id, 4));
    check_fails(E_CONFLICT, resume(&renamed, id, 4));
    check_fails(E_NOT_FOUND, resume(&plain, "plain-20260131-120000-000000", 4));
    world.outcome = ONCE;
    check_ok(resume(&plain, id, 4));
    assert_true(run_fence(world.run) == 4);
    check_ok(run_drive(world.run));
    run_free(world.run);
    assert_true(world.lamps[0].acts == 1 && world.lamps[1].acts == 1);
    check_fails(E_CONFLICT, resume(&plain, id, 5));
    check_fails(E_CONFLICT, run_abandon(state_path, id, "no"));
    check_ok(run_find_open(state_path, "plain", "lamps", id));
    assert_true(id[0] == '\0');
}

static void a_run_is_gone_on_with_by_one_at_a_time(void **state)
{
    on_virtual_loop(go_on);
}

static void many(void)
{
    char id[RUNBOOK_RUN_ID_MAX + 1];
    struct run_list list;
    begin(ONCE, 0, 1);
    check_ok(run_drive(world.run));
    run_free(world.run);
    check_ok(fiber_sleep(1000));
    begin(UNKNOWN, 0, 2);
    check_fails(E_NEEDS_PERSON, run_drive(world.run));
    run_free(world.run);
    check_ok(fiber_sleep(1000));
    begin(ONCE, 0, 3);
    check_ok(run_list(state_path, &arena, &list));
    assert_true(list.count == 3);
    assert_true(list.items[0].state == RUN_DONE && list.items[1].state == RUN_NEEDS_PERSON &&
                list.items[2].state == RUN_OPEN);
    assert_true(list.items[2].driven && !list.items[1].driven && strcmp(list.items[1].step, "close") == 0);
    assert_true(strstr(list.items[1].why, "is unknown: ") != NULL);
    assert_true(strcmp(list.items[0].began, "2026-01-31T12:00:00.000Z") == 0);
    run_free(world.run);
    check_ok(run_abandon(state_path, list.items[2].id, "it was a test"));
    check_ok(run_find_open(state_path, "plain", "lamps", id));
    assert_true(strcmp(id, list.items[1].id) == 0);
    check_ok(run_find_open(state_path, "plain", "others", id));
    assert_true(id[0] == '\0');
    /* a journal that says nothing certain: whether a run is open is not known either */
    int fd = open(arena_printf(&arena, "%s/runs/%s.journal", state_path, list.items[1].id), O_WRONLY);
    assert_true(fd >= 0 && pwrite(fd, "X", 1, 20) == 1 && close(fd) == 0);
    check_ok(run_list(state_path, &arena, &list));
    assert_true(list.items[0].damage != NULL && strstr(list.items[0].damage, "line 1") != NULL);
    check_fails(E_JOURNAL, run_find_open(state_path, "plain", "lamps", id));
    check_fails(E_JOURNAL, resume(&plain, list.items[0].id, 9));
    check_ok(run_find_open(state_path, "other", "lamps", id));
    /* one that cannot be read at all hides no other */
    assert_true(mkdir(arena_printf(&arena, "%s/runs/third-1.journal", state_path), 0700) == 0);
    check_ok(run_list(state_path, &arena, &list));
    assert_true(list.count == 4 && list.items[1].damage != NULL && list.items[3].damage == NULL);
    check_fails(E_JOURNAL, run_find_open(state_path, "third", "lamps", id));
}

static void runs_are_listed(void **state)
{
    on_virtual_loop(many);
}

/* ---- a run that is resumed only to be cancelled ---- */
static void cancel_later(void)
{
    begin(UNKNOWN, 1, 1);
    check_fails(E_NEEDS_PERSON, run_drive(world.run));
    const char *id = arena_cstr(&arena, str_from(run_id(world.run)));
    run_free(world.run);
    world.outcome = ONCE;
    int asks = world.lamps[0].asks;
    check_ok(resume(&plain, id, 2));
    run_cancel(world.run);
    check_fails(E_CANCELLED, run_drive(world.run));
    assert_true(run_state(world.run) == RUN_UNDONE && !world.lamps[0].on && world.lamps[0].undos == 1);
    assert_true(world.lamps[0].asks == asks + 1); /* after the undo */
    run_free(world.run);
}

static void a_run_can_be_resumed_to_walk_back(void **state)
{
    on_virtual_loop(cancel_later);
}

/* ---- time ---- */
static uint64_t acted_ms[8];
static size_t acted_count;

static result slow_act(void *context, struct runbook_call *call)
{
    uint64_t began_ns = clock_monotonic_ns();
    result r = fiber_sleep(SEC(3600));
    acted_ms[acted_count++] = (clock_monotonic_ns() - began_ns) / 1000000;
    return r;
}

static const struct runbook_step slow_step = {
    "slow",
    "Wait for ever",
    "is the lamp on?",
    ask_lamp,
    slow_act,
    .within_ms = SEC(7),
    .ask_within_ms = SEC(5),
    .tries = 3,
    .pause_ms = SEC(2),
};
static const struct runbook_step *const slow_steps[] = { &slow_step };
static const struct runbook slow = { "slow", "Wait for what does not come", slow_steps, 1 };
static char story[2048];

static void tell(struct run_observer *observer, const struct run_notice *notice)
{
    (void)observer;
    size_t used = strlen(story);
    snprintf(story + used, sizeof story - used, "%s %u/%u %llu ms %s\n", run_notice_word(notice->kind),
             notice->attempt, notice->tries, (unsigned long long)notice->elapsed_ms / 100 * 100,
             notice->text);
    json_t *json = run_notice_json(notice);
    assert_true(json != NULL && json_is_string(json_object_get(json, "event")));
    json_decref(json);
}

static void keep_limits(void)
{
    struct run_observer observer = { tell };
    struct run_options given = options(1);
    given.observer = &observer;
    world_init(&world, &slow, 0, ONCE);
    story[0] = '\0';
    acted_count = 0;
    check_ok(run_begin(&slow, &world, &given, &world.run));
    check_fails(E_STEP, run_drive(world.run));
    assert_true(acted_count == 3 && acted_ms[0] == SEC(7) && acted_ms[2] == SEC(7));
    run_free(world.run);
    static const char wanted[] =
        "step 1/3 0 ms \n"
        "act 1/3 0 ms \n"
        "asking 1/3 7000 ms it took longer than 7 s\n"
        "again 1/3 7000 ms it took longer than 7 s; lamp 0 is no\n"
        "act 2/3 9000 ms \n"
        "asking 2/3 16000 ms it took longer than 7 s\n"
        "again 2/3 16000 ms it took longer than 7 s; lamp 0 is no\n"
        "act 3/3 18000 ms \n"
        "asking 3/3 25000 ms it took longer than 7 s\n"
        "failed 3/3 25000 ms step \"slow\" failed: it took longer than 7 s; lamp 0 is no\n"
        "back 0/0 25000 ms step \"slow\" failed: it took longer than 7 s; lamp 0 is no\n"
        "kept 0/3 25000 ms \n"
        "end 0/0 25000 ms step \"slow\" failed: it took longer than 7 s; lamp 0 is no\n";
    assert_string_equal(story, wanted);
}

static void limits_tries_and_pauses_are_kept(void **state)
{
    on_virtual_loop(keep_limits);
}

static void refuse(void)
{
    struct run_options given = options(1);
    struct runbook unsound = plain;
    unsound.step_count = 0;
    world_init(&world, &plain, 0, ONCE);
    check_fails(E_RUNBOOK, run_begin(&unsound, &world, &given, &world.run));
    given.subject = "";
    check_fails(E_ARGUMENT, run_begin(&plain, &world, &given, &world.run));
    given.subject = "a\nb";
    check_fails(E_ARGUMENT, run_begin(&plain, &world, &given, &world.run));
    given.subject = "lamps";
    given.state_path = "/nonexistent/state";
    check_fails(E_JOURNAL, run_begin(&plain, &world, &given, &world.run));
    run_free(NULL);
}

static void what_cannot_run_does_not_begin(void **state)
{
    on_virtual_loop(refuse);
}

/* ---- a process that is killed, really ---- */
static result die_in_act(void *context, struct runbook_call *call)
{
    kill(getpid(), SIGKILL);
    return OK;
}

static const struct runbook_step deadly_step = {
    "promote",         "Promote the lamp",   "is the lamp on?",       ask_lamp,
    die_in_act,        .within_ms = SEC(10), .ask_within_ms = SEC(5), .tries = 2,
    .no_return = true,
};
static const struct runbook_step *const deadly_steps[] = { &close_step, &deadly_step };
static const struct runbook deadly = { "plain", "Switch two lamps", deadly_steps, 2 };

static void be_killed(void)
{
    const struct run_options given = options(1);
    world_init(&world, &deadly, 0, ONCE);
    check_ok(run_begin(&deadly, &world, &given, &world.run));
    check_ok(run_drive(world.run));
}

static void take_over(void)
{
    char id[RUNBOOK_RUN_ID_MAX + 1];
    world_init(&world, &plain, 0, ONCE);
    world.lamps[0].on = true; /* as the one that was killed left it */
    check_ok(run_find_open(state_path, "plain", "lamps", id));
    assert_true(id[0] != '\0');
    check_ok(resume(&plain, id, 2));
    run_cancel(world.run); /* the act of no return had begun: nothing is undone */
    check_fails(E_NEEDS_PERSON, run_drive(world.run));
    assert_true(world.lamps[0].undos == 0);
    run_free(world.run);
    check_ok(resume(&plain, id, 3));
    check_ok(run_drive(world.run));
    assert_true(world.lamps[0].acts == 0 && world.lamps[1].acts == 1);
    run_free(world.run);
}

static void a_killed_process_leaves_what_another_goes_on_with(void **state)
{
    pid_t pid = fork();
    if (pid == 0) {
        void (*body)(void) = be_killed;
        on_loop_in_child(on_virtual_loop_call, &body);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    on_virtual_loop(take_over);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_run_is_gone_on_with_by_one_at_a_time), TEST(runs_are_listed),
        TEST(a_run_can_be_resumed_to_walk_back),      TEST(limits_tries_and_pauses_are_kept),
        TEST(what_cannot_run_does_not_begin),         TEST(a_killed_process_leaves_what_another_goes_on_with),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
