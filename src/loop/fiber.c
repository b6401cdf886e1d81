#include "loop/fiber.h"

#include "base/clock.h"
#include "loop/internal.h"

#include <stdlib.h>

struct fiber *fiber_self(void)
{
    return loop_current == NULL ? NULL : loop_current->running;
}

static struct fiber *self(void)
{
    must(loop_current != NULL && loop_current->running != NULL);
    return loop_current->running;
}

/* ---- birth and death ---- */

static void scope_remove(struct scope *scope, struct fiber *fiber)
{
    if (fiber->older != NULL)
        fiber->older->younger = fiber->younger;
    else
        scope->children = fiber->younger;
    if (fiber->younger != NULL)
        fiber->younger->older = fiber->older;
    scope->count--;
    if (scope->count == 0 && scope->joiner != NULL)
        wait_wake(scope->joiner);
}

/* A fiber's stack serves one call after another; a switch without a call to make is its end. */
static void fiber_main(void *arg)
{
    struct fiber *fiber = arg;
    struct loop *loop = loop_current;
    while (fiber->run != NULL) {
        fiber->run(fiber->arg);
        must(fiber->deadline == NULL && fiber->shields == 0);
        fiber->run = NULL;
        scope_remove(fiber->scope, fiber);
        loop->stats.fibers_alive--;
        fiber->next_ready = loop->pool;
        loop->pool = fiber;
        loop->pooled++;
        context_switch(&fiber->context, &loop->thread, false);
    }
    context_switch(&fiber->context, &loop->thread, true);
}

void fiber_pool_drop(struct loop *loop, size_t keep)
{
    while (loop->pooled > keep) {
        struct fiber *fiber = loop->pool;
        loop->pool = fiber->next_ready;
        loop->pooled--;
        context_switch(&loop->thread, &fiber->context, false);
        context_done(&fiber->context);
        free(fiber);
        loop->stats.stacks_mapped--;
    }
}

static result fiber_new(struct loop *loop, struct fiber **ret)
{
    struct fiber *fiber = calloc(1, sizeof *fiber);
    if (fiber == NULL)
        return FAIL(E_MEMORY, NULL, "no memory for a fiber");
    result r = stack_map(&fiber->context.stack, FIBER_STACK_BYTES);
    if (failed(r)) {
        free(fiber);
        return r;
    }
    context_init(&fiber->context, fiber_main, fiber);
    loop->stats.stacks_mapped++;
    *ret = fiber;
    return OK;
}

result fiber_spawn(struct scope *scope, const char *name, void (*run)(void *arg), void *arg)
{
    struct loop *loop = loop_current;
    must(loop != NULL && run != NULL);
    struct fiber *fiber = loop->pool;
    if (fiber != NULL) {
        loop->pool = fiber->next_ready;
        loop->pooled--;
    } else {
        TRY(fiber_new(loop, &fiber));
    }
    fiber->name = name;
    fiber->run = run;
    fiber->arg = arg;
    fiber->scope = scope;
    fiber->waiting = NULL;
    fiber->deadline = NULL;
    fiber->timer_slot = NOT_IN_HEAP;
    fiber->shields = 0;
    fiber->cancelled = scope->cancelled;
    fiber->older = NULL;
    fiber->younger = scope->children;
    if (scope->children != NULL)
        scope->children->older = fiber;
    scope->children = fiber;
    scope->count++;
    loop->stats.fibers_alive++;
    loop->stats.fibers_spawned++;
    fiber_make_ready(fiber);
    return OK;
}

result fiber_spawn_for_peer(struct scope *scope, const char *name, void (*run)(void *arg), void *arg)
{
    const struct loop_stats *stats = &loop_current->stats;
    if (stats->fibers_alive >= stats->fibers_for_peers)
        return FAIL(E_BUSY, "Try again shortly.", "%zu fibers are alive", stats->fibers_alive);
    return fiber_spawn(scope, name, run, arg);
}

size_t fiber_stack_used(void)
{
    return stack_touched(&self()->context.stack);
}

/* ---- scopes ---- */

void scope_cancel(struct scope *scope)
{
    if (scope->count == 0)
        return;
    scope->cancelled = true;
    for (struct fiber *child = scope->children; child != NULL; child = child->younger)
        fiber_cancel(child);
}

static void scope_wait_shielded(struct scope *scope)
{
    struct shield shield;
    fiber_shield(&shield);
    while (scope->count > 0) {
        struct wait wait;
        wait_init(&wait);
        scope->joiner = &wait;
        result r = wait_for(&wait);
        must(!failed(r));
    }
    scope->joiner = NULL;
    fiber_unshield(&shield);
}

result scope_join(struct scope *scope)
{
    result r = OK;
    if (scope->count > 0) {
        struct wait wait;
        wait_init(&wait);
        scope->joiner = &wait;
        r = wait_for(&wait);
        if (failed(r)) {
            scope_cancel(scope);
            scope_wait_shielded(scope);
        }
    }
    must(scope->count == 0);
    *scope = SCOPE_INIT;
    return r;
}

void scope_end(struct scope *scope)
{
    scope_cancel(scope);
    scope_wait_shielded(scope);
    *scope = SCOPE_INIT;
}

/* ---- waiting ---- */

void fiber_make_ready(struct fiber *fiber)
{
    struct loop *loop = loop_current;
    if (fiber->ready)
        return;
    fiber->ready = true;
    fiber->next_ready = NULL;
    if (loop->ready_last != NULL)
        loop->ready_last->next_ready = fiber;
    else
        loop->ready_first = fiber;
    loop->ready_last = fiber;
}

void wait_init(struct wait *wait)
{
    *wait = (struct wait){ .fiber = self() };
}

void wait_wake(struct wait *wait)
{
    if (wait->woken)
        return;
    wait->woken = true;
    if (wait->fiber->waiting == wait)
        fiber_make_ready(wait->fiber);
}

result fiber_check(void)
{
    struct fiber *fiber = self();
    if (fiber->cancelled && fiber->shields == 0)
        return FAIL(E_CANCELLED, NULL, "the work of \"%s\" was cancelled", fiber->name);
    if (fiber->deadline != NULL && fiber->deadline->at_ns <= clock_monotonic_ns())
        return FAIL(E_DEADLINE, NULL, "the time limit of \"%s\" has passed", fiber->name);
    return OK;
}

result fiber_park(struct wait *wait, uint64_t until_ns, bool *ret_timed_out)
{
    struct fiber *fiber = self();
    struct loop *loop = loop_current;
    must(wait->fiber == fiber);
    *ret_timed_out = false;
    while (!wait->woken) {
        TRY(fiber_check());
        if (until_ns != 0 && until_ns <= clock_monotonic_ns()) {
            *ret_timed_out = true;
            return OK;
        }
        uint64_t at = until_ns;
        if (fiber->deadline != NULL && (at == 0 || fiber->deadline->at_ns < at))
            at = fiber->deadline->at_ns;
        if (at != 0) {
            fiber->timer_at_ns = at;
            timers_insert(loop, fiber);
        }
        fiber->waiting = wait;
        context_switch(&fiber->context, &loop->thread, false);
        fiber->waiting = NULL;
        timers_remove(loop, fiber);
    }
    return OK;
}

result wait_for(struct wait *wait)
{
    bool timed_out;
    return fiber_park(wait, 0, &timed_out);
}

result fiber_sleep(uint64_t ms)
{
    if (ms == 0)
        return fiber_yield();
    struct wait wait;
    wait_init(&wait);
    bool timed_out;
    return fiber_park(&wait, clock_monotonic_ns() + ms * 1000000, &timed_out);
}

result fiber_yield(void)
{
    TRY(fiber_check());
    struct fiber *fiber = self();
    fiber_make_ready(fiber);
    context_switch(&fiber->context, &loop_current->thread, false);
    return fiber_check();
}

void fiber_cancel(struct fiber *fiber)
{
    fiber->cancelled = true;
    if (fiber->waiting != NULL && fiber->shields == 0)
        fiber_make_ready(fiber);
}

/* ---- shields and deadlines ---- */

void fiber_shield(struct shield *shield)
{
    struct fiber *fiber = self();
    shield->hidden = fiber->deadline;
    fiber->deadline = NULL;
    fiber->shields++;
}

void fiber_unshield(struct shield *shield)
{
    struct fiber *fiber = self();
    must(fiber->shields > 0 && fiber->deadline == NULL);
    fiber->shields--;
    fiber->deadline = shield->hidden;
}

void deadline_begin(struct deadline *deadline, uint64_t within_ms)
{
    struct fiber *fiber = self();
    uint64_t now = clock_monotonic_ns();
    deadline->outer = fiber->deadline;
    deadline->at_ns = within_ms > (UINT64_MAX - now) / 1000000 ? UINT64_MAX : now + within_ms * 1000000;
    if (deadline->outer != NULL && deadline->outer->at_ns < deadline->at_ns)
        deadline->at_ns = deadline->outer->at_ns;
    fiber->deadline = deadline;
}

void deadline_end(struct deadline *deadline)
{
    must(self()->deadline == deadline);
    self()->deadline = deadline->outer;
}

uint64_t deadline_left_ms(void)
{
    struct fiber *fiber = self();
    if (fiber->deadline == NULL)
        return UINT64_MAX;
    uint64_t now = clock_monotonic_ns();
    return fiber->deadline->at_ns <= now ? 0 : (fiber->deadline->at_ns - now + 999999) / 1000000;
}
