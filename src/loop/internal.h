#pragma once
/* What loop.c and the files of fibers share; nobody else includes it. */
#include "loop/fiber.h"
#include "loop/switch.h"

enum { FIBERS_POOLED = 256, NOT_IN_HEAP = -1 };

struct fiber {
    struct context context;
    const char *name;
    void (*run)(void *arg);
    void *arg;
    struct scope *scope;
    struct fiber *older, *younger; /* siblings */
    struct fiber *next_ready;      /* also the next in the pool */
    struct wait *waiting;
    struct deadline *deadline;
    uint64_t timer_at_ns;
    int timer_slot; /* in the heap */
    int shields;
    bool ready, cancelled;
};

struct loop {
    uv_loop_t uv;
    uv_prepare_t before_poll;
    uv_check_t after_poll;
    uv_idle_t more_to_do; /* active while fibers are ready, so that the poll does not wait */
    uv_timer_t alarm;
    uv_async_t keep_alive;
    struct context thread;
    struct fiber *running;
    struct fiber *ready_first, *ready_last;
    struct turn_hook *hooks;
    struct fiber *pool;
    size_t pooled, offloads;
    struct fiber **heap; /* by timer_at_ns */
    size_t heap_count, heap_capacity;
    uint64_t alarm_at_ns; /* 0: not set */
    bool is_virtual, stopping;
    uint64_t virtual_ns;
    int64_t virtual_wall_ms;
    struct scope main_scope;
    struct loop_stats stats;
};

extern _Thread_local struct loop *loop_current;

void fiber_make_ready(struct fiber *fiber);
void fiber_pool_drop(struct loop *loop, size_t keep);
/* Parks the running fiber until `wait` is woken, it is cancelled, its deadline passes, or until_ns comes (0:
 * never). *ret_timed_out tells the last apart from a wake. */
result fiber_park(struct wait *wait, uint64_t until_ns, bool *ret_timed_out);

void timers_insert(struct loop *loop, struct fiber *fiber);
void timers_remove(struct loop *loop, struct fiber *fiber);
void timers_fire(struct loop *loop, uint64_t now_ns);
