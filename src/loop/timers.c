/* The timers of waiting fibers: a binary heap, and one libuv timer for its earliest. */
#include "base/clock.h"
#include "loop/internal.h"

#include <stdlib.h>

static void heap_set(struct loop *loop, size_t slot, struct fiber *fiber)
{
    loop->heap[slot] = fiber;
    fiber->timer_slot = (int)slot;
}

static void heap_up(struct loop *loop, size_t slot, struct fiber *fiber)
{
    while (slot > 0) {
        size_t parent = (slot - 1) / 2;
        if (loop->heap[parent]->timer_at_ns <= fiber->timer_at_ns)
            break;
        heap_set(loop, slot, loop->heap[parent]);
        slot = parent;
    }
    heap_set(loop, slot, fiber);
}

static void heap_down(struct loop *loop, size_t slot, struct fiber *fiber)
{
    for (;;) {
        size_t child = slot * 2 + 1;
        if (child >= loop->heap_count)
            break;
        if (child + 1 < loop->heap_count &&
            loop->heap[child + 1]->timer_at_ns < loop->heap[child]->timer_at_ns)
            child++;
        if (loop->heap[child]->timer_at_ns >= fiber->timer_at_ns)
            break;
        heap_set(loop, slot, loop->heap[child]);
        slot = child;
    }
    heap_set(loop, slot, fiber);
}

static void on_alarm(uv_timer_t *alarm)
{
    struct loop *loop = alarm->data;
    loop->alarm_at_ns = 0;
    timers_fire(loop, clock_monotonic_ns());
}

/* A timer that is removed leaves the alarm set: it rings once for nothing, which is cheaper than setting it
 * anew for each request. */
static void alarm_set(struct loop *loop)
{
    if (loop->is_virtual || loop->heap_count == 0)
        return;
    uint64_t earliest = loop->heap[0]->timer_at_ns;
    if (loop->alarm_at_ns != 0 && loop->alarm_at_ns <= earliest)
        return;
    uint64_t now = clock_monotonic_ns(), left = earliest > now ? earliest - now : 0;
    uv_update_time(&loop->uv);
    must(uv_timer_start(&loop->alarm, on_alarm, (left + 999999) / 1000000, 0) == 0);
    loop->alarm_at_ns = earliest;
}

void timers_insert(struct loop *loop, struct fiber *fiber)
{
    if (loop->heap_count == loop->heap_capacity) {
        size_t capacity = loop->heap_capacity == 0 ? 64 : loop->heap_capacity * 2;
        struct fiber **grown = realloc(loop->heap, capacity * sizeof *grown);
        must(grown != NULL);
        loop->heap = grown;
        loop->heap_capacity = capacity;
    }
    loop->heap_count++;
    heap_up(loop, loop->heap_count - 1, fiber);
    alarm_set(loop);
}

void timers_remove(struct loop *loop, struct fiber *fiber)
{
    if (fiber->timer_slot == NOT_IN_HEAP)
        return;
    size_t slot = (size_t)fiber->timer_slot;
    fiber->timer_slot = NOT_IN_HEAP;
    struct fiber *last = loop->heap[--loop->heap_count];
    if (last == fiber)
        return;
    if (slot > 0 && loop->heap[(slot - 1) / 2]->timer_at_ns > last->timer_at_ns)
        heap_up(loop, slot, last);
    else
        heap_down(loop, slot, last);
}

void timers_fire(struct loop *loop, uint64_t now_ns)
{
    while (loop->heap_count > 0 && loop->heap[0]->timer_at_ns <= now_ns) {
        struct fiber *fiber = loop->heap[0];
        timers_remove(loop, fiber);
        fiber_make_ready(fiber);
    }
    alarm_set(loop);
}
