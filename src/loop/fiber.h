#pragma once
/* Fibers: stackful coroutines on the loop. Code on a fiber reads top to bottom and waits by calling; every
 * function here that waits says so and returns
 *   E_CANCELLED  the fiber was cancelled: every further wait on it fails at once (but see fiber_shield)
 *   E_DEADLINE   the nearest deadline has passed: every wait inside it fails at once
 * A fiber runs until it waits: between two waits nothing else runs. errno survives a wait.
 *
 * A fiber belongs to a scope, and a scope is joined before its memory goes: children never outlive it. */
#include "loop/loop.h"

struct fiber;

/* ---- scopes ---- */
struct scope {
    struct fiber *children; /* list through the fibers */
    struct wait *joiner;
    size_t count;
    bool cancelled; /* until it is joined: a child spawned meanwhile is born cancelled */
};
#define SCOPE_INIT ((struct scope){ 0 })

/* The child is ready at once and first runs after the caller waits. `name` is static. E_RESOURCE: no stack. */
result fiber_spawn(struct scope *scope, const char *name, void (*run)(void *arg), void *arg) MUST_USE;

/* The same for work that a peer asked for. E_BUSY once so many fibers are alive (loop_stats) that the rest is kept for the
 * process's own work. */
result fiber_spawn_for_peer(struct scope *scope, const char *name, void (*run)(void *arg), void *arg)
    MUST_USE;

/* Waits until all children have returned. If the caller is cancelled or its deadline passes meanwhile, the
 * children are cancelled, the wait goes on until they have returned, and then it fails: the scope is empty
 * either way. */
result scope_join(struct scope *scope) MUST_USE;
void scope_cancel(struct scope *scope); /* cancels all children that are in it now; does not wait */
void scope_end(struct scope *scope);    /* cancels and joins, shielded: for clean-up paths */

/* ---- the running fiber ---- */
struct fiber *fiber_self(void); /* NULL outside any */
void fiber_cancel(struct fiber *fiber);
result fiber_check(void) MUST_USE; /* fails if cancelled or late; does not wait */
result fiber_yield(void) MUST_USE; /* lets the others run; comes back in the next turn */
result fiber_sleep(uint64_t ms) MUST_USE;

/* While shielded (nested), cancel and the deadlines outside the shield do not show; a deadline inside it
 * does. For the clean-up that must be done on the way out: keep it short, under a deadline of its own. */
struct shield {
    struct deadline *hidden;
};
void fiber_shield(struct shield *shield);
void fiber_unshield(struct shield *shield);

/* ---- deadlines ---- nested: the nearest counts. Always end what was begun, in reverse order. */
struct deadline {
    uint64_t at_ns;
    struct deadline *outer;
};
void deadline_begin(struct deadline *deadline, uint64_t within_ms);
void deadline_end(struct deadline *deadline);
uint64_t deadline_left_ms(void); /* of the running fiber; UINT64_MAX without one */

/* ---- the primitive that all waits are made of ----
 *   struct wait w; wait_init(&w);  hand &w to whoever will call wait_wake(&w);  r = wait_for(&w);
 * wait_for returns OK once woken, also if it was woken before. If it fails, nobody may wake it any more: the
 * caller takes &w back from whoever holds it before it returns. */
struct wait {
    struct fiber *fiber;
    bool woken;
};
void wait_init(struct wait *wait);
result wait_for(struct wait *wait) MUST_USE;
void wait_wake(struct wait *wait); /* from anywhere on the loop's thread; a second wake is nothing */

/* ---- file descriptors ---- */
enum { WATCH_READABLE = 1, WATCH_WRITABLE = 2 };
struct watch; /* one a descriptor at a time; release it before the descriptor is closed */
result watch_new(struct watch **ret, int fd) MUST_USE;
void watch_free(struct watch *watch); /* takes NULL; nobody may be waiting on it */
/* Waits until one of `events` (or an error or hang-up, which shows as all of them) holds. One fiber at a time. */
result watch_wait(struct watch *watch, int events, int *ret_events) MUST_USE;

/* The same without keeping anything. */
result fiber_await_fd(int fd, int events, int *ret_events) MUST_USE;

/* ---- work that blocks: on libuv's thread pool ----
 * Waits until work(arg) has run on another thread. It cannot be interrupted once it runs: cancel and deadline
 * show after it has returned, and arg stays valid until then. */
result fiber_offload(void (*work)(void *arg), void *arg) MUST_USE;

/* ---- a counting semaphore ---- first come, first served */
struct semaphore {
    size_t permits;
    struct semaphore_waiter *first, *last;
};
void semaphore_init(struct semaphore *semaphore, size_t permits);
result semaphore_acquire(struct semaphore *semaphore) MUST_USE; /* waits */
bool semaphore_try_acquire(struct semaphore *semaphore) MUST_USE;
void semaphore_release(struct semaphore *semaphore);

/* ---- a bounded channel of pointers ---- first in, first out; the channel owns nothing */
struct channel {
    void **slots;
    size_t capacity, count, head;
    bool closed;
    struct channel_waiter *senders_first, *senders_last, *receivers_first, *receivers_last;
};
result channel_init(struct channel *channel, size_t capacity) MUST_USE; /* capacity >= 1; E_MEMORY */
void channel_done(struct channel *channel);                             /* nobody may be waiting on it */
/* Waits while full. E_UNAVAILABLE: closed. */
result channel_send(struct channel *channel, void *item) MUST_USE;
/* Waits while empty. E_UNAVAILABLE: closed. */
result channel_receive(struct channel *channel, void **ret) MUST_USE;
void channel_close(struct channel *channel); /* receivers still get what is in it; waiting senders fail */

/* ---- signals ---- caught from new to free, and kept until they are waited for; at most 8 */
struct signal_watch;
result signal_watch_new(const int *signals, size_t count, struct signal_watch **ret) MUST_USE;
void signal_watch_free(struct signal_watch *watch); /* takes NULL; the signals do again what they did */
result signal_watch_wait(struct signal_watch *watch, int *ret_signal) MUST_USE; /* one fiber at a time */

/* ---- stacks ---- */
enum {
    FIBER_STACK_BYTES =
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
        512 * 1024
#else
        128 * 1024
#endif
};
size_t fiber_stack_used(void); /* the most bytes of stack that the running fiber has touched, by page */
