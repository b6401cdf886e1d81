/* Every way to wait: each ends at a cancel and at its deadline. */
#include "loop/on_loop.h"

#include "base/clock.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static void sleep_long(void *arg)
{
    *(result *)arg = fiber_sleep(SEC(3600));
}

static struct semaphore no_permits;
static struct channel full, empty;
static int pipe_ends[2];
static struct watch *pipe_watch;
static struct signal_watch *usr2;

static result wait_sleep(void)
{
    return fiber_sleep(SEC(60));
}
static result wait_semaphore(void)
{
    return semaphore_acquire(&no_permits);
}
static result wait_send(void)
{
    return channel_send(&full, &full);
}
static result wait_receive(void)
{
    void *item;
    return channel_receive(&empty, &item);
}
static result wait_fd(void)
{
    int events;
    return fiber_await_fd(pipe_ends[0], WATCH_READABLE, &events);
}
static result wait_watch(void)
{
    int events;
    return watch_wait(pipe_watch, WATCH_READABLE, &events);
}
static result wait_signal(void)
{
    int number;
    return signal_watch_wait(usr2, &number);
}
static result wait_bare(void)
{
    struct wait wait;
    wait_init(&wait);
    return wait_for(&wait);
}
static result wait_join(void)
{
    result seen = OK;
    struct scope scope = SCOPE_INIT;
    TRY(fiber_spawn(&scope, "sleeper", sleep_long, &seen));
    return scope_join(&scope);
}

/* It is always ready, so it goes on until it is told; the limit is for a yield that is not. */
static result wait_yield(void)
{
    result r = OK;
    for (int yields = 0; yields < 1000000 && !failed(r); yields++)
        r = fiber_yield();
    return r;
}

/* Queued behind what keeps all threads busy, so it never runs. */
static void never(void *arg)
{
    must(!"work ran that had been cancelled");
}
static result wait_offload(void)
{
    return fiber_offload(never, NULL);
}

static result (*const waits[])(void) = { wait_sleep, wait_semaphore, wait_send,   wait_receive,
                                         wait_fd,    wait_watch,     wait_signal, wait_bare,
                                         wait_join,  wait_yield,     wait_offload };

/* ---- what they wait for ---- */

enum { THREADS = 4 };
static struct scope busy;
static int release_ends[2];

/* Not for ever: a test that does not release it fails, and does not hang. */
static void keep_a_thread_busy(void *arg)
{
    char c;
    struct pollfd released = { .fd = release_ends[0], .events = POLLIN };
    if (poll(&released, 1, SEC(10)) == 1)
        must(read(release_ends[0], &c, 1) == 1);
}

static void busy_thread(void *arg)
{
    check_ok(fiber_offload(keep_a_thread_busy, NULL));
}

struct attempt {
    result (*wait)(void);
    uint64_t within_ms;
    result first, second;
    uint64_t turns; /* that the second took */
    struct fiber *fiber;
};

static void attempt_wait(void *arg)
{
    struct attempt *attempt = arg;
    struct deadline deadline;
    attempt->fiber = fiber_self();
    if (attempt->within_ms > 0)
        deadline_begin(&deadline, attempt->within_ms);
    attempt->first = attempt->wait();
    uint64_t before = loop_stats().turns;
    attempt->second = attempt->wait();
    attempt->turns = loop_stats().turns - before;
    if (attempt->within_ms > 0)
        deadline_end(&deadline);
}

static void waits_set_up(void)
{
    semaphore_init(&no_permits, 0);
    check_ok(channel_init(&full, 1));
    check_ok(channel_init(&empty, 1));
    check_ok(channel_send(&full, &full));
    assert_true(pipe(pipe_ends) == 0);
    check_ok(watch_new(&pipe_watch, pipe_ends[0]));
    check_ok(signal_watch_new((const int[]){ SIGUSR2 }, 1, &usr2));
    assert_true(pipe(release_ends) == 0);
    for (int i = 0; i < THREADS; i++)
        check_ok(fiber_spawn(&busy, "busy", busy_thread, NULL));
    check_ok(fiber_yield());
}

static void waits_tear_down(void)
{
    assert_true(no_permits.permits == 0 && no_permits.first == NULL);
    channel_done(&full);
    channel_done(&empty);
    watch_free(pipe_watch);
    signal_watch_free(usr2);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    assert_true(write(release_ends[1], "four", THREADS) == THREADS);
    check_ok(scope_join(&busy));
    close(release_ends[0]);
    close(release_ends[1]);
}

/* A join has children to wait for; all the others fail without a turn of the loop. */
static void expect_at_once(const struct attempt *attempt)
{
    assert_true(attempt->turns == 0 || attempt->wait == wait_join);
}

static void cancel_each(void *arg)
{
    waits_set_up();
    for (size_t i = 0; i < COUNT(waits); i++) {
        if (waits[i] == wait_fd) { /* one poll handle a descriptor */
            watch_free(pipe_watch);
            check_ok(fiber_yield());
        }
        struct attempt attempt = { .wait = waits[i] };
        struct scope scope = SCOPE_INIT;
        check_ok(fiber_spawn(&scope, "attempt", attempt_wait, &attempt));
        for (int turns = 0; turns < 3; turns++)
            check_ok(fiber_yield());
        assert_true(attempt.first.error.code == E_OK);
        fiber_cancel(attempt.fiber);
        check_ok(scope_join(&scope));
        assert_true(attempt.first.error.code == E_CANCELLED);
        assert_true(attempt.second.error.code == E_CANCELLED);
        expect_at_once(&attempt);
        if (waits[i] == wait_fd)
            check_ok(watch_new(&pipe_watch, pipe_ends[0]));
    }
    waits_tear_down();
}

static void every_wait_ends_at_a_cancel(void **state)
{
    on_loop(cancel_each, NULL);
}

static void late_each(void *arg)
{
    waits_set_up();
    for (size_t i = 0; i < COUNT(waits); i++) {
        if (waits[i] == wait_fd) {
            watch_free(pipe_watch);
            check_ok(fiber_yield());
        }
        struct attempt attempt = { .wait = waits[i], .within_ms = 5 };
        struct scope scope = SCOPE_INIT;
        check_ok(fiber_spawn(&scope, "attempt", attempt_wait, &attempt));
        check_ok(scope_join(&scope));
        assert_true(attempt.first.error.code == E_DEADLINE);
        assert_true(attempt.second.error.code == E_DEADLINE);
        expect_at_once(&attempt);
        if (waits[i] == wait_fd)
            check_ok(watch_new(&pipe_watch, pipe_ends[0]));
    }
    waits_tear_down();
}

static void every_wait_ends_at_its_deadline(void **state)
{
    on_loop(late_each, NULL);
}

static void yield_once(void *arg)
{
    *(result *)arg = fiber_yield();
}

static void cancel_a_yield(void *arg)
{
    struct scope scope = SCOPE_INIT;
    result seen = OK;
    check_ok(fiber_spawn(&scope, "yield", yield_once, &seen));
    check_ok(fiber_yield());
    scope_cancel(&scope);
    check_ok(scope_join(&scope));
    assert_true(seen.error.code == E_CANCELLED);
}

static void a_yield_that_is_cancelled_meanwhile_says_so(void **state)
{
    on_loop(cancel_a_yield, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_wait_ends_at_a_cancel),
        cmocka_unit_test(every_wait_ends_at_its_deadline),
        cmocka_unit_test(a_yield_that_is_cancelled_meanwhile_says_so),
    };
    setenv("UV_THREADPOOL_SIZE", "4", 1); /* THREADS */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
