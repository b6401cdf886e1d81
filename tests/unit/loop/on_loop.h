#pragma once
/* Tests whose bodies are fibers. Every check of check.h may stand there: on the main fiber, on one that it spawned, or in
 * a callback of the loop.
 *
 * The loop runs on a stack of its own. A check that fails on it goes back to the test's stack for good, and cmocka's jump
 * begins there. What that loop had open stays as it was, until the process ends: nothing of it runs any more, its memory
 * stays valid for threads that still work for it, and the next test has a loop of its own. */
#include "check.h"

#include "base/arena.h"
#include "base/clock.h"
#include "loop/internal.h"

#include <unistd.h>

static struct arena test_arena; /* of the body */

static struct {
    struct context outside;
    struct context *inside; /* NULL: no loop runs */
    void (*body)(void *arg);
    void *arg;
    result outcome;
} on_loop_now;

static inline void on_loop_leave(void)
{
    if (on_loop_now.inside == NULL || loop_current == NULL)
        return;
    struct fiber *fiber = loop_current->running;
    struct context *here = fiber != NULL ? &fiber->context : &loop_current->thread;
    loop_current = NULL;
    on_loop_now.inside = NULL;
    clock_set_source(NULL);
    context_switch(here, &on_loop_now.outside, false);
    abort();
}

static inline void on_loop_enter(void *arg)
{
    struct context *inside = arg;
    on_loop_now.outcome = loop_run(on_loop_now.body, on_loop_now.arg);
    context_switch(inside, &on_loop_now.outside, true);
}

static inline void on_loop(void (*body)(void *arg), void *arg)
{
    enum { STACK_BYTES = 2 * 1024 * 1024 };
    struct context *inside = calloc(1, sizeof *inside);
    must(inside != NULL && on_loop_now.inside == NULL);
    check_ok(stack_map(&inside->stack, STACK_BYTES));
    on_loop_now.inside = inside;
    on_loop_now.body = body;
    on_loop_now.arg = arg;
    check_leave = on_loop_leave;
    arena_init(&test_arena);
    context_init_thread(&on_loop_now.outside);
    context_init(inside, on_loop_enter, inside);
    context_switch(&on_loop_now.outside, inside, false);
    arena_done(&test_arena);
    check_leave = NULL;
    if (on_loop_now.inside == NULL)
        check_end_test();
    on_loop_now.inside = NULL;
    context_done(inside);
    free(inside);
    check_ok(on_loop_now.outcome);
}

static inline void on_loop_call(void *body)
{
    (*(void (**)(void))body)();
}

static inline void on_loop_do(void (*body)(void))
{
    on_loop(on_loop_call, &body);
}

/* Under a virtual clock that begins on 31 January 2026 at 12:00 UTC. */
static inline void on_virtual_loop_call(void *body)
{
    loop_use_virtual_clock(1769860800000);
    on_loop_call(body);
}

static inline void on_virtual_loop(void (*body)(void))
{
    on_loop(on_virtual_loop_call, &body);
}

/* In a child process, which ends with it: status 0, or 1 when a check failed. */
static inline void on_loop_exit(void)
{
    fprintf(stderr, "%s:%d: %s\n", check_found.file, check_found.line, check_found.text);
    _exit(1);
}

static inline _Noreturn void on_loop_in_child(void (*body)(void *arg), void *arg)
{
    check_leave = on_loop_exit;
    check_ok(loop_run(body, arg));
    _exit(0);
}

/* ON_LOOP(a_test) { ... }: the whole test is such a body. */
#define ON_LOOP(name)                                                                                        \
    static void name##_on_loop(void);                                                                        \
    static void name(void **state)                                                                           \
    {                                                                                                        \
        (void)state;                                                                                         \
        on_loop_do(name##_on_loop);                                                                          \
    }                                                                                                        \
    static void name##_on_loop(void)

/* Waits in a fiber until `holds`; ten seconds of the real clock are too long. */
#define UNTIL(holds)                                                                                         \
    do {                                                                                                     \
        const uint64_t until_begin_ns_ = clock_monotonic_ns();                                               \
        while (!(holds)) {                                                                                   \
            if (clock_monotonic_ns() - until_begin_ns_ > 10000000000)                                        \
                fail_msg("%s does not come true", #holds);                                                   \
            check_ok(fiber_sleep(10));                                                                       \
        }                                                                                                    \
    } while (0)
