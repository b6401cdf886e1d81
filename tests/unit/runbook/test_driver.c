/* What drives a run: the lease that it acts under, what is done already, going on, cancel and stop. */
#include "loop/on_loop.h"

#include "directory/sqlite.h"
#include "loop/fiber.h"
#include "runbook/driver.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/domicile-driver-XXXXXX", state_path[sizeof folder + 8],
            store[sizeof folder + 16], store_away[sizeof folder + 32];
static struct arena arena;
static bool on[2];
static int acts, noticed[3];
static uint64_t fence, act_ms;
static void (*while_acting)(void);
static struct driver *driver;
static struct directory *directory;
static const struct runbook_planned *already;
static bool walk_back;
static result ask(void *context, struct runbook_call *call, enum answer *ret)
{
    runbook_answer(call, ret, on[call->number - 1], "lamp %u", call->number);
    return OK;
}

static result act(void *context, struct runbook_call *call)
{
    acts++;
    assert_true(call->fence > 0);
    fence = call->fence;
    if (while_acting != NULL)
        while_acting();
    TRY(fiber_sleep(act_ms));
    on[call->number - 1] = true;
    return OK;
}

static result undo(void *context, struct runbook_call *call)
{
    on[call->number - 1] = false;
    return OK;
}

#define LAMP(name)                                                                                           \
    &(const struct runbook_step)                                                                             \
    {                                                                                                        \
        name, "Switch " name, "is it on?", ask, act, .undo = undo, .within_ms = SEC(60),                     \
                                                     .ask_within_ms = SEC(5), .tries = 1                     \
    }
static const struct runbook_step *const steps[] = { LAMP("one"), LAMP("two") };
static const struct runbook lamps = { "lamps", "Switch the lamps on", steps, 2 };

static void on_run_notice(struct run_observer *observer, const struct run_notice *notice) {}

static void on_notice(struct driver_observer *observer, enum driver_notice notice, const char *run)
{
    noticed[notice]++;
    assert_true((run != NULL) == (notice == DRIVER_RESUMES));
}

static result drive(void)
{
    struct driver_observer observer = { { on_run_notice }, on_notice };
    const struct driver_options options = { .runbook = &lamps,
                                            .subject = "hall",
                                            .state_path = state_path,
                                            .directory = directory,
                                            .lease = "run-hall",
                                            .walk_back = walk_back,
                                            .observer = &observer };
    memset(noticed, 0, sizeof noticed);
    already = NULL;
    driver = driver_new(&options);
    result r = driver_run(driver, &arena, &already);
    driver_free(driver);
    driver = NULL;
    return r;
}

static size_t runs_in(enum run_state state)
{
    struct run_list list = { 0 };
    size_t count = 0;
    result r = run_list(state_path, &arena, &list);
    check_ok(r);
    for (size_t i = 0; i < list.count; i++)
        count += list.items[i].state == state;
    return count;
}

static result hold_lease(uint64_t ttl_ms, struct directory_lease *ret)
{
    return directory_lease_acquire(directory, STR("run-hall"), STR("another"), ttl_ms, ret);
}

/* ---- cases ---- on a fiber */

static void what_is_done_leaves_no_run(void)
{
    struct directory_lease lease;
    check_ok(drive());
    assert_true(acts == 2 && on[1] && already == NULL && noticed[DRIVER_ASKS] == 1 && runs_in(RUN_DONE) == 1);
    check_ok(drive());
    assert_true(acts == 2 && already != NULL && already[1].answer == ANSWER_YES && runs_in(RUN_DONE) == 1);
    check_ok(hold_lease(1000, &lease)); /* it has let go */
    assert_true(lease.fence > fence);
}

static void one_at_a_time(void)
{
    struct directory_lease lease;
    uint64_t began_ns = clock_monotonic_ns();
    check_ok(hold_lease(60000, &lease));
    result r = drive();
    assert_true(r.error.code == E_BUSY && strstr(r.error.what, "\"hall\"") != NULL);
    assert_true(noticed[DRIVER_WAITS] == 1 && acts == 0);
    assert_true((clock_monotonic_ns() - began_ns) / 1000000 < 20000);
    check_ok(directory_lease_release(directory, &lease));
    check_ok(hold_lease(5000, &lease)); /* of a process that was killed: it runs out */
    check_ok(drive());
    assert_true(noticed[DRIVER_WAITS] == 1 && acts == 2);
}

static void lose_directory(void)
{
    assert_true(rename(store, store_away) == 0);
}

static void without_the_lease_nobody_acts(void)
{
    uint64_t began_ns = clock_monotonic_ns();
    while_acting = lose_directory;
    act_ms = 30000;
    result r = drive();
    assert_true(r.error.code == E_STALE && strstr(r.error.what, "lease of \"hall\" was lost") != NULL);
    assert_true((clock_monotonic_ns() - began_ns) / 1000000 < 8000);
    assert_true(!on[0] && runs_in(RUN_OPEN) == 1);
    assert_true(rename(store_away, store) == 0);
    while_acting = NULL;
    check_ok(drive());
    assert_true(noticed[DRIVER_RESUMES] == 1 && noticed[DRIVER_ASKS] == 0 && runs_in(RUN_DONE) == 1);
}

static void a_long_act_keeps_the_lease(void)
{
    act_ms = 50000;
    check_ok(drive());
    assert_true(acts == 2 && runs_in(RUN_DONE) == 1);
}

static void cancel(void)
{
    driver_cancel(driver);
}

static void stop(void)
{
    driver_stop(driver);
}

static void a_cancel_walks_back_and_a_stop_does_not(void)
{
    while_acting = cancel;
    act_ms = 1000;
    assert_true(drive().error.code == E_CANCELLED);
    assert_true(acts == 1 && runs_in(RUN_UNDONE) == 1);
    while_acting = stop;
    assert_true(drive().error.code == E_CANCELLED);
    assert_true(runs_in(RUN_OPEN) == 1);
    while_acting = NULL;
    walk_back = true;
    assert_true(drive().error.code == E_CANCELLED);
    assert_true(runs_in(RUN_OPEN) == 0 && runs_in(RUN_UNDONE) == 2);
    assert_true(drive().error.code == E_NOT_FOUND);
}

static void cancel_soon(void *arg)
{
    check_ok(fiber_sleep(2000));
    driver_cancel(driver);
}

static void a_cancel_before_a_run_does_nothing(void)
{
    struct directory_lease lease;
    struct scope scope = SCOPE_INIT;
    check_ok(hold_lease(60000, &lease));
    check_ok(fiber_spawn(&scope, "cancel", cancel_soon, NULL));
    result r = drive();
    assert_true(r.error.code == E_CANCELLED &&
                strstr(r.error.what, "before a run of \"lamps\" began") != NULL);
    scope_end(&scope);
    struct run_list list;
    assert_true(!failed(run_list(state_path, &arena, &list)) && list.count == 0 && acts == 0);
}

/* ---- ---- */

static void (*body)(void);

static void with_directory(void)
{
    check_ok(directory_open_sqlite(store, &directory));
    body();
    directory_free(directory);
    directory = NULL;
}

static void run_case(void (*what)(void))
{
    body = what;
    on_virtual_loop(with_directory);
}

static int set_up(void **state)
{
    arena_init(&arena);
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    on[0] = on[1] = walk_back = false;
    acts = 0;
    act_ms = 10;
    fence = 0;
    while_acting = NULL;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(state_path, sizeof state_path, "%s/state", folder);
    snprintf(store, sizeof store, "%s/directory", folder);
    snprintf(store_away, sizeof store_away, "%s/away", folder);
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

#define CASE(name)                                                                                           \
    static void test_##name(void **state)                                                                    \
    {                                                                                                        \
        run_case(name);                                                                                      \
    }
CASE(what_is_done_leaves_no_run)
CASE(one_at_a_time)
CASE(without_the_lease_nobody_acts)
CASE(a_long_act_keeps_the_lease)
CASE(a_cancel_walks_back_and_a_stop_does_not)
CASE(a_cancel_before_a_run_does_nothing)

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_is_done_leaves_no_run),
        TEST(one_at_a_time),
        TEST(without_the_lease_nobody_acts),
        TEST(a_long_act_keeps_the_lease),
        TEST(a_cancel_walks_back_and_a_stop_does_not),
        TEST(a_cancel_before_a_run_does_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
