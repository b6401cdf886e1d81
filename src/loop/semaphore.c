#include "loop/internal.h"

struct semaphore_waiter {
    struct wait wait;
    struct semaphore_waiter *next;
};

void semaphore_init(struct semaphore *semaphore, size_t permits)
{
    *semaphore = (struct semaphore){ .permits = permits };
}

bool semaphore_try_acquire(struct semaphore *semaphore)
{
    if (semaphore->permits == 0 || semaphore->first != NULL)
        return false;
    semaphore->permits--;
    return true;
}

static void waiter_remove(struct semaphore *semaphore, struct semaphore_waiter *waiter)
{
    struct semaphore_waiter *before = NULL;
    for (struct semaphore_waiter *at = semaphore->first; at != waiter; at = at->next)
        before = at;
    if (before != NULL)
        before->next = waiter->next;
    else
        semaphore->first = waiter->next;
    if (semaphore->last == waiter)
        semaphore->last = before;
}

result semaphore_acquire(struct semaphore *semaphore)
{
    TRY(fiber_check());
    if (semaphore_try_acquire(semaphore))
        return OK;
    struct semaphore_waiter waiter = { 0 };
    wait_init(&waiter.wait);
    if (semaphore->last != NULL)
        semaphore->last->next = &waiter;
    else
        semaphore->first = &waiter;
    semaphore->last = &waiter;
    result r =
        wait_for(&waiter.wait); /* woken means that the permit was handed over, and it is off the list */
    if (failed(r))
        waiter_remove(semaphore, &waiter);
    return r;
}

void semaphore_release(struct semaphore *semaphore)
{
    struct semaphore_waiter *waiter = semaphore->first;
    if (waiter == NULL) {
        semaphore->permits++;
        return;
    }
    waiter_remove(semaphore, waiter);
    wait_wake(&waiter->wait);
}
