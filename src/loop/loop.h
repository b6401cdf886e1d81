#pragma once
/* The process's one libuv loop, and its turn.
 *
 * A turn: poll for events and timers; run every fiber that became ready; run the turn hooks; poll again. Work
 * that is better done once for many (writing sockets, sending a batch of statements) is left to a turn hook.
 * All of it is for one thread. */
#include "base/result.h"

#include <stdint.h>
#include <uv.h>

/* Runs main_fiber on a fiber of the new loop until it returns, closes the loop and returns. One loop at a
 * time in a thread. Every handle and fiber must be gone when main_fiber returns: what is not is a bug and
 * aborts. */
result loop_run(void (*main_fiber)(void *arg), void *arg) MUST_USE;

uv_loop_t *loop_uv(void); /* the running loop's; for adapters that own handles */

/* Called at the end of each turn in which it was asked for: turn_hook_ask is cheap and idempotent within a
 * turn. */
struct turn_hook {
    void (*run)(struct turn_hook *hook);
    struct turn_hook *next;
    bool asked;
};
void turn_hook_ask(struct turn_hook *hook);
void turn_hook_forget(struct turn_hook *hook); /* before the hook's memory goes */

/* A virtual clock for tests: fiber timers fire in order, at once, as soon as nothing is ready;
 * clock_monotonic_ns and clock_wall_ms follow. Call inside loop_run, before the first wait. Waiting on a
 * socket under it is a mistake. */
void loop_use_virtual_clock(int64_t wall_ms);

/* For metrics. */
struct loop_stats {
    uint64_t turns, fibers_spawned;
    size_t fibers_alive, stacks_mapped;
    size_t fibers_for_peers; /* so many alive, and fiber_spawn_for_peer fails */
};
struct loop_stats loop_stats(void);
