#include "loop/on_loop.h"

#include "base/clock.h"
#include "loop/internal.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char trace[64];

static void note(char c)
{
    size_t used = strlen(trace);
    assert_true(used + 1 < sizeof trace);
    trace[used] = c;
    trace[used + 1] = '\0';
}

/* ---- order and scopes ---- */

static void say(void *arg)
{
    const char *c = arg;
    note(*c);
    check_ok(fiber_yield());
    note(*c);
}

static void in_order(void *arg)
{
    struct scope scope = SCOPE_INIT;
    trace[0] = '\0';
    check_ok(fiber_spawn(&scope, "a", say, "a"));
    check_ok(fiber_spawn(&scope, "b", say, "b"));
    note('.');
    check_ok(scope_join(&scope));
    note('!');
    assert_true(strcmp(trace, ".abab!") == 0);
}

static void fibers_run_in_order_and_the_scope_waits(void **state)
{
    on_loop(in_order, NULL);
}

static struct fiber *sleeper;

static void sleep_long(void *arg)
{
    result *ret = arg;
    sleeper = fiber_self();
    *ret = fiber_sleep(SEC(3600));
}

static void cancelled_scope(void *arg)
{
    struct scope scope = SCOPE_INIT;
    result seen[3] = { OK, OK, OK };
    for (int i = 0; i < 3; i++)
        check_ok(fiber_spawn(&scope, "sleeper", sleep_long, &seen[i]));
    check_ok(fiber_yield());
    scope_cancel(&scope);
    result late = OK;
    check_ok(fiber_spawn(&scope, "late", sleep_long, &late));
    check_ok(scope_join(&scope));
    for (int i = 0; i < 3; i++)
        assert_true(seen[i].error.code == E_CANCELLED);
    assert_true(late.error.code == E_CANCELLED);
    assert_true(loop_stats().fibers_alive == 1);
}

static void a_cancelled_scope_ends_all_its_children(void **state)
{
    on_loop(cancelled_scope, NULL);
}

static void join_many(void *arg)
{
    result seen = OK;
    struct scope scope = SCOPE_INIT;
    check_ok(fiber_spawn(&scope, "sleeper", sleep_long, &seen));
    *(result *)arg = scope_join(&scope);
    assert_true(seen.error.code == E_CANCELLED);
}

static void outlive(void *arg)
{
    struct scope scope = SCOPE_INIT;
    result seen = OK;
    check_ok(fiber_spawn(&scope, "parent", join_many, &seen));
    check_ok(fiber_yield());
    check_ok(fiber_yield());
    assert_true(loop_stats().fibers_alive == 3);
    scope_cancel(&scope);
    check_ok(scope_join(&scope));
    assert_true(seen.error.code == E_CANCELLED);
    assert_true(loop_stats().fibers_alive == 1);
}

static void a_child_outlives_nothing(void **state)
{
    on_loop(outlive, NULL);
}

static void late_join(void *arg)
{
    struct scope scope = SCOPE_INIT;
    result seen = OK;
    struct deadline deadline;
    loop_use_virtual_clock(0);
    check_ok(fiber_spawn(&scope, "sleeper", sleep_long, &seen));
    deadline_begin(&deadline, MS(50));
    check_fails(E_DEADLINE, scope_join(&scope));
    check_fails(E_DEADLINE, fiber_check());
    deadline_end(&deadline);
    assert_true(seen.error.code == E_CANCELLED);
    check_ok(fiber_check());
}

static void a_deadline_over_a_join_cancels_the_children(void **state)
{
    on_loop(late_join, NULL);
}

/* ---- deadlines and shields ---- */

static void nested(void *arg)
{
    struct deadline outer, inner;
    loop_use_virtual_clock(1000);
    deadline_begin(&outer, MS(100));
    deadline_begin(&inner, SEC(10));
    assert_true(deadline_left_ms() == 100);
    check_fails(E_DEADLINE, fiber_sleep(SEC(1)));
    deadline_end(&inner);
    check_fails(E_DEADLINE, fiber_check());
    deadline_end(&outer);
    check_ok(fiber_sleep(MS(900)));
    assert_true(clock_wall_ms() == 2000);
}

static void the_nearest_deadline_counts(void **state)
{
    on_loop(nested, NULL);
}

static struct wait *raced;

static void wake_at_the_deadline(void *arg)
{
    check_ok(fiber_sleep(MS(10)));
    wait_wake(raced);
}

/* A wake and a deadline in one instant: what was handed over is never lost, whichever fires first. */
static void race(void *arg)
{
    loop_use_virtual_clock(0);
    for (int waker_first = 0; waker_first < 2; waker_first++) {
        struct scope scope = SCOPE_INIT;
        struct wait wait;
        wait_init(&wait);
        raced = &wait;
        struct deadline deadline;
        if (waker_first) {
            check_ok(fiber_spawn(&scope, "waker", wake_at_the_deadline, NULL));
            check_ok(fiber_yield());
        }
        deadline_begin(&deadline, MS(10));
        if (!waker_first)
            check_ok(fiber_spawn(&scope, "waker", wake_at_the_deadline, NULL));
        result r = wait_for(&wait);
        assert_true(failed(r) ? !wait.woken && r.error.code == E_DEADLINE : wait.woken);
        deadline_end(&deadline);
        check_ok(scope_join(&scope));
    }
}

static void a_wake_in_the_deadlines_instant_is_not_lost(void **state)
{
    on_loop(race, NULL);
}

static void shielded(void *arg)
{
    result *seen = arg;
    seen[0] = fiber_sleep(SEC(60));
    struct shield shield;
    struct deadline inside;
    fiber_shield(&shield);
    seen[1] = fiber_sleep(MS(5));
    deadline_begin(&inside, MS(5));
    seen[2] = fiber_sleep(SEC(60));
    deadline_end(&inside);
    fiber_unshield(&shield);
    seen[3] = fiber_sleep(MS(5));
}

static void shield(void *arg)
{
    result seen[4] = { OK, OK, OK, OK };
    struct scope scope = SCOPE_INIT;
    loop_use_virtual_clock(0);
    check_ok(fiber_spawn(&scope, "shielded", shielded, seen));
    check_ok(fiber_yield());
    check_ok(fiber_yield());
    scope_cancel(&scope);
    check_ok(scope_join(&scope));
    assert_true(seen[0].error.code == E_CANCELLED);
    assert_true(seen[1].error.code == E_OK);
    assert_true(seen[2].error.code == E_DEADLINE);
    assert_true(seen[3].error.code == E_CANCELLED);
}

static void a_shield_hides_cancel_but_not_its_own_deadline(void **state)
{
    on_loop(shield, NULL);
}

/* ---- offload ---- */

static atomic_int blocked;
static atomic_bool may_end;

static void block(void *arg)
{
    atomic_fetch_add(&blocked, 1);
    while (!atomic_load(&may_end))
        usleep(1000);
    *(int *)arg = 1;
}

struct offloading {
    int ran;
    result seen;
};

static void offload(void *arg)
{
    struct offloading *offloading = arg;
    offloading->seen = fiber_offload(block, &offloading->ran);
}

static void offload_cancelled(void *arg)
{
    enum {
        MANY = 32
    }; /* more than libuv has threads: some are running and some are queued when they are cancelled */
    static struct offloading all[MANY];
    memset(all, 0, sizeof all);
    atomic_store(&blocked, 0);
    atomic_store(&may_end, false);
    struct scope scope = SCOPE_INIT;
    for (int i = 0; i < MANY; i++)
        check_ok(fiber_spawn(&scope, "offload", offload, &all[i]));
    while (atomic_load(&blocked) == 0)
        check_ok(fiber_sleep(MS(1)));
    scope_cancel(&scope);
    check_ok(fiber_yield());
    check_ok(fiber_yield()); /* each has taken its work back, if it was not running yet */
    atomic_store(&may_end, true);
    check_ok(scope_join(&scope));
    int ran = 0;
    for (int i = 0; i < MANY; i++) {
        assert_true(all[i].seen.error.code == (all[i].ran ? E_OK : E_CANCELLED));
        ran += all[i].ran;
    }
    assert_true(ran > 0 && ran < MANY);
}

static void offload_says_whether_the_work_ran(void **state)
{
    on_loop(offload_cancelled, NULL);
}

struct late_work {
    uint64_t ms;
    bool ran;
};

static void outlast(void *arg)
{
    struct late_work *work = arg;
    usleep((useconds_t)work->ms * 1000 * 2);
    work->ran = true;
}

/* On a busy machine a thread may begin too late, and then the work does not run: it is given more time. */
static void offload_late(void *arg)
{
    struct late_work work = { .ms = 10 };
    for (; !work.ran && work.ms < SEC(10); work.ms *= 4) {
        struct deadline deadline;
        deadline_begin(&deadline, work.ms);
        result r = fiber_offload(outlast, &work);
        assert_true(r.error.code == (work.ran ? E_OK : E_DEADLINE));
        check_fails(E_DEADLINE, fiber_check());
        deadline_end(&deadline);
    }
    assert_true(work.ran);
}

static void offload_waits_past_its_deadline_for_work_that_runs(void **state)
{
    on_loop(offload_late, NULL);
}

/* ---- descriptors, signals, errno ---- */

static int pipe_ends[2];
static struct watch *pipe_watch;

static void read_one(void *arg)
{
    char c;
    int events;
    for (const char *expected = "xyz"; *expected != '\0'; expected++) {
        check_ok(watch_wait(pipe_watch, WATCH_READABLE, &events));
        assert_true(events == WATCH_READABLE);
        assert_true(read(pipe_ends[0], &c, 1) == 1 && c == *expected);
    }
}

static void pipes(void *arg)
{
    struct scope scope = SCOPE_INIT;
    assert_true(pipe(pipe_ends) == 0);
    check_ok(watch_new(&pipe_watch, pipe_ends[0]));
    check_ok(fiber_spawn(&scope, "reader", read_one, NULL));
    for (const char *c = "xyz"; *c != '\0'; c++) {
        check_ok(fiber_sleep(MS(2)));
        assert_true(write(pipe_ends[1], c, 1) == 1);
    }
    check_ok(scope_join(&scope));
    watch_free(pipe_watch);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

static void a_watch_wakes_when_there_is_something_to_read(void **state)
{
    on_loop(pipes, NULL);
}

static void raise_later(void *arg)
{
    errno = EDOM;
    check_ok(fiber_sleep(MS(2)));
    assert_true(errno == EDOM);
    kill(getpid(), SIGUSR1);
}

static void signals(void *arg)
{
    struct scope scope = SCOPE_INIT;
    struct signal_watch *watch = NULL;
    int number = 0, wanted[] = { SIGUSR1, SIGUSR2 };
    check_ok(signal_watch_new(wanted, 2, &watch));
    check_ok(fiber_spawn(&scope, "raise", raise_later, NULL));
    errno = ERANGE;
    check_ok(signal_watch_wait(watch, &number));
    assert_true(errno == ERANGE);
    assert_true(number == SIGUSR1);
    check_ok(scope_join(&scope));
    kill(getpid(), SIGUSR2);
    check_ok(fiber_sleep(MS(5))); /* nobody waits: it is kept */
    check_ok(signal_watch_wait(watch, &number));
    assert_true(number == SIGUSR2);
    signal_watch_free(watch);
}

static void a_signal_wakes_and_errno_survives(void **state)
{
    on_loop(signals, NULL);
}

/* ---- hooks ---- */

static int hook_runs;

static void count_hook(struct turn_hook *hook)
{
    if (++hook_runs < 3)
        turn_hook_ask(hook);
}

static void hooks(void *arg)
{
    struct turn_hook hook = { .run = count_hook };
    hook_runs = 0;
    turn_hook_ask(&hook);
    turn_hook_ask(&hook);
    for (int runs = 1; runs <= 4; runs++) {
        check_ok(fiber_yield());
        assert_true(hook_runs == (runs < 3 ? runs : 3));
    }
    turn_hook_ask(&hook);
    turn_hook_forget(&hook);
    check_ok(fiber_yield());
    assert_true(hook_runs == 3);
}

static void a_hook_runs_once_a_turn_when_asked(void **state)
{
    on_loop(hooks, NULL);
}

/* ---- many ---- */

static size_t resident_bytes(void)
{
    unsigned long total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    assert_true(file != NULL && fscanf(file, "%lu %lu", &total, &resident) == 2);
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static size_t mappings(void)
{
    size_t count = 0;
    FILE *file = fopen("/proc/self/maps", "re");
    assert_true(file != NULL);
    for (int c; (c = getc(file)) != EOF;)
        count += c == '\n';
    fclose(file);
    return count;
}

/* ThreadSanitizer knows no more than 8,128 fibers. */
#ifdef __SANITIZE_THREAD__
enum { MANY_FIBERS = 1000 };
#else
enum { MANY_FIBERS = 10000 };
#endif
static struct wait *gate[MANY_FIBERS];
static size_t at_gate;

static void wait_at_gate(void *arg)
{
    struct wait wait;
    wait_init(&wait);
    gate[at_gate++] = &wait;
    check_ok(wait_for(&wait));
}

static void ten_thousand(void *arg)
{
    struct scope scope = SCOPE_INIT;
    size_t before = resident_bytes(), mapped = mappings();
    at_gate = 0;
    for (size_t i = 0; i < MANY_FIBERS; i++)
        check_ok(fiber_spawn(&scope, "waiting", wait_at_gate, NULL));
    check_ok(fiber_yield());
    check_ok(fiber_yield());
    assert_true(at_gate == MANY_FIBERS);
    size_t grown = resident_bytes() - before;
    print_message("%d waiting fibers: %zu MiB resident, %zu more mappings\n", MANY_FIBERS, grown >> 20,
                  mappings() - mapped);
#ifndef __SANITIZE_THREAD__ /* which maps memory of its own for each fiber */
    assert_true(mappings() - mapped < 2 * MANY_FIBERS + 100);
#endif
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_true(grown < (size_t)200 << 20);
#endif
    for (size_t i = 0; i < at_gate; i++)
        wait_wake(gate[i]);
    check_ok(scope_join(&scope));
    check_ok(fiber_yield());
    assert_true(loop_stats().stacks_mapped < 300);
}

static void ten_thousand_waiting_fibers_stay_under_200_mib(void **state)
{
    on_loop(ten_thousand, NULL);
}

static void yield_once(void *arg)
{
    check_ok(fiber_yield());
}

/* However many fibers peers ask for, there is room for the process's own. */
static void crowd(void *arg)
{
    struct scope scope = SCOPE_INIT;
    size_t alive = loop_stats().fibers_alive, taken = 0;
    assert_true(loop_stats().fibers_for_peers > MANY_FIBERS);
    loop_current->stats.fibers_for_peers = alive + 10;
    at_gate = 0;
    for (int i = 0; i < 20; i++) {
        result r = fiber_spawn_for_peer(&scope, "peer", wait_at_gate, NULL);
        taken += !failed(r);
        assert_true(!failed(r) || r.error.code == E_BUSY);
    }
    assert_true(taken == 10);
    check_ok(fiber_spawn(&scope, "own", wait_at_gate, NULL));
    check_ok(fiber_yield());
    check_ok(fiber_yield());
    assert_true(at_gate == 11);
    for (size_t i = 0; i < at_gate; i++)
        wait_wake(gate[i]);
    check_ok(scope_join(&scope));
    check_ok(fiber_spawn_for_peer(&scope, "peer", yield_once, NULL));
    check_ok(scope_join(&scope));
}

static void p8_peers_leave_fibers_for_the_process(void **state)
{
    on_loop(crowd, NULL);
}

/* ---- guard page ---- */

static int recurse(int depth)
{
    volatile char frame[4096];
    memset((void *)frame, depth, sizeof frame);
    return depth == 0 ? frame[17] : recurse(depth - 1) + frame[4095];
}

static void overflow(void *arg)
{
    recurse((int)(FIBER_STACK_BYTES / 4096) * 4);
}

static void an_overflow_hits_the_guard_page(void **state)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL); /* cmocka catches it otherwise */
        fclose(stderr);
        result r = loop_run(overflow, NULL);
        _exit(failed(r) ? 3 : 0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fibers_run_in_order_and_the_scope_waits),
        cmocka_unit_test(a_cancelled_scope_ends_all_its_children),
        cmocka_unit_test(a_child_outlives_nothing),
        cmocka_unit_test(a_deadline_over_a_join_cancels_the_children),
        cmocka_unit_test(the_nearest_deadline_counts),
        cmocka_unit_test(a_wake_in_the_deadlines_instant_is_not_lost),
        cmocka_unit_test(a_shield_hides_cancel_but_not_its_own_deadline),
        cmocka_unit_test(offload_says_whether_the_work_ran),
        cmocka_unit_test(offload_waits_past_its_deadline_for_work_that_runs),
        cmocka_unit_test(a_watch_wakes_when_there_is_something_to_read),
        cmocka_unit_test(a_signal_wakes_and_errno_survives),
        cmocka_unit_test(a_hook_runs_once_a_turn_when_asked),
        cmocka_unit_test(ten_thousand_waiting_fibers_stay_under_200_mib),
        cmocka_unit_test(p8_peers_leave_fibers_for_the_process),
        cmocka_unit_test(an_overflow_hits_the_guard_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
