#include "base/clock.h"
#include "loop/internal.h"

#include <stdio.h>
#include <stdlib.h>

_Thread_local struct loop *loop_current;

uv_loop_t *loop_uv(void)
{
    must(loop_current != NULL);
    return &loop_current->uv;
}

struct loop_stats loop_stats(void)
{
    must(loop_current != NULL);
    return loop_current->stats;
}

/* Asked hooks are a list that is empty between turns; a hook that asks again while it runs is for the next
 * turn. */
void turn_hook_ask(struct turn_hook *hook)
{
    if (hook->asked)
        return;
    hook->asked = true;
    hook->next = loop_current->hooks;
    loop_current->hooks = hook;
}

void turn_hook_forget(struct turn_hook *hook)
{
    if (!hook->asked)
        return;
    for (struct turn_hook **at = &loop_current->hooks; *at != NULL; at = &(*at)->next) {
        if (*at == hook) {
            *at = hook->next;
            break;
        }
    }
    hook->asked = false;
}

static void run_hooks(struct loop *loop)
{
    struct turn_hook *again = NULL;
    while (loop->hooks != NULL) {
        struct turn_hook *hook = loop->hooks;
        loop->hooks = hook->next;
        hook->asked = false;
        struct turn_hook *before = loop->hooks;
        hook->run(hook);
        if (loop->hooks == hook &&
            hook->next == before) { /* it asked for itself: next turn, not for ever in this one */
            loop->hooks = before;
            hook->next = again;
            again = hook;
        }
    }
    loop->hooks = again;
}

static void run_fiber(struct loop *loop, struct fiber *fiber)
{
    fiber->ready = false;
    loop->running = fiber;
    context_switch(&loop->thread, &fiber->context, false);
    loop->running = NULL;
}

static void on_nothing(uv_idle_t *idle) {}

/* Only those that are ready now: what they make ready runs after the next poll, so that fibers that wake each
 * other cannot keep the sockets waiting. */
static void turn(struct loop *loop)
{
    struct fiber *fiber = loop->ready_first, *last = loop->ready_last;
    loop->stats.turns++;
    while (fiber != NULL) {
        loop->ready_first = fiber->next_ready;
        if (loop->ready_first == NULL)
            loop->ready_last = NULL;
        bool end = fiber == last;
        run_fiber(loop, fiber);
        fiber = end ? NULL : loop->ready_first;
    }
    run_hooks(loop);
    fiber_pool_drop(loop, FIBERS_POOLED);
    if (loop->is_virtual && loop->ready_first == NULL && loop->offloads == 0 && loop->heap_count > 0) {
        uint64_t at = loop->heap[0]->timer_at_ns;
        if (at > loop->virtual_ns) {
            loop->virtual_wall_ms += (int64_t)((at - loop->virtual_ns) / 1000000);
            loop->virtual_ns = at;
        }
        timers_fire(loop, loop->virtual_ns);
    }
    if (loop->ready_first != NULL || loop->hooks != NULL)
        uv_idle_start(&loop->more_to_do, on_nothing);
    else
        uv_idle_stop(&loop->more_to_do);
}

static void on_before_poll(uv_prepare_t *prepare)
{
    turn(prepare->data);
}

static void on_after_poll(uv_check_t *check)
{
    turn(check->data);
}

static void on_keep_alive(uv_async_t *async) {}

struct main_call {
    void (*run)(void *arg);
    void *arg;
};

static void run_main(void *arg)
{
    struct main_call *call = arg;
    call->run(call->arg);
    loop_current->stopping = true;
    uv_stop(&loop_current->uv);
}

static void close_own(uv_handle_t *handle, void *arg)
{
    must(uv_is_closing(handle)); /* somebody's handle was left open */
}

static void loop_close(struct loop *loop)
{
    uv_handle_t *own[] = { (uv_handle_t *)&loop->before_poll, (uv_handle_t *)&loop->after_poll,
                           (uv_handle_t *)&loop->more_to_do, (uv_handle_t *)&loop->alarm,
                           (uv_handle_t *)&loop->keep_alive };
    for (size_t i = 0; i < COUNT(own); i++)
        uv_close(own[i], NULL);
    uv_walk(&loop->uv, close_own, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    must(uv_loop_close(&loop->uv) == 0);
    must(loop->stats.fibers_alive == 0);
    fiber_pool_drop(loop, 0);
    if (loop->is_virtual)
        clock_set_source(NULL);
    free(loop->heap);
}

/* A stack takes two mappings where the kernel has no cheaper guard: fibers get half of what the process may have. */
static size_t fibers_for_peers(void)
{
    enum { USUAL_MAPPINGS = 65530, MAPPINGS_OF_A_FIBER = 2 };
    size_t mappings = USUAL_MAPPINGS;
    FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
    if (file != NULL) {
        if (fscanf(file, "%zu", &mappings) != 1)
            mappings = USUAL_MAPPINGS;
        fclose(file);
    }
    return mappings / 2 / MAPPINGS_OF_A_FIBER;
}

result loop_run(void (*main_fiber)(void *arg), void *arg)
{
    must(loop_current == NULL);
    struct loop loop = { 0 };
    int status = uv_loop_init(&loop.uv);
    if (status != 0)
        return FAIL(E_RESOURCE, "Raise the limit on open files (ulimit -n).", "no event loop: %s",
                    uv_strerror(status));
    loop_current = &loop;
    loop.stats.fibers_for_peers = fibers_for_peers();
    context_init_thread(&loop.thread);
    must(uv_prepare_init(&loop.uv, &loop.before_poll) == 0);
    must(uv_check_init(&loop.uv, &loop.after_poll) == 0);
    must(uv_idle_init(&loop.uv, &loop.more_to_do) == 0);
    must(uv_timer_init(&loop.uv, &loop.alarm) == 0);
    must(uv_async_init(&loop.uv, &loop.keep_alive, on_keep_alive) == 0);
    loop.before_poll.data = loop.after_poll.data = loop.alarm.data = &loop;
    must(uv_prepare_start(&loop.before_poll, on_before_poll) == 0);
    must(uv_check_start(&loop.after_poll, on_after_poll) == 0);

    struct main_call call = { main_fiber, arg };
    result r = fiber_spawn(&loop.main_scope, "main", run_main, &call);
    while (!failed(r) && !loop.stopping)
        uv_run(&loop.uv, UV_RUN_DEFAULT);
    loop_close(&loop);
    loop_current = NULL;
    return r;
}

static uint64_t virtual_monotonic_ns(void)
{
    return loop_current->virtual_ns;
}

static int64_t virtual_wall_ms(void)
{
    return loop_current->virtual_wall_ms;
}

void loop_use_virtual_clock(int64_t wall_ms)
{
    static const struct clock_source source = { virtual_monotonic_ns, virtual_wall_ms };
    must(loop_current != NULL && loop_current->heap_count == 0);
    loop_current->virtual_ns = clock_monotonic_ns();
    loop_current->virtual_wall_ms = wall_ms;
    loop_current->is_virtual = true;
    clock_set_source(&source);
}
