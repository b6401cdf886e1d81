#include "loop/internal.h"

#include <stdlib.h>

/* Senders and receivers wait in lists of the same kind; woken means that the item was handed over, or that
 * the channel was closed. */
struct channel_waiter {
    struct wait wait;
    struct channel_waiter *next;
    void *item;
    bool closed;
};

result channel_init(struct channel *channel, size_t capacity)
{
    must(capacity >= 1);
    *channel = (struct channel){ .capacity = capacity, .slots = calloc(capacity, sizeof(void *)) };
    return channel->slots != NULL ? OK : FAIL(E_MEMORY, NULL, "no memory for a channel of %zu", capacity);
}

void channel_done(struct channel *channel)
{
    must(channel->senders_first == NULL && channel->receivers_first == NULL);
    free(channel->slots);
    *channel = (struct channel){ 0 };
}

static void list_add(struct channel_waiter **first, struct channel_waiter **last,
                     struct channel_waiter *waiter)
{
    if (*last != NULL)
        (*last)->next = waiter;
    else
        *first = waiter;
    *last = waiter;
}

static void list_remove(struct channel_waiter **first, struct channel_waiter **last,
                        struct channel_waiter *waiter)
{
    struct channel_waiter *before = NULL;
    for (struct channel_waiter *at = *first; at != waiter; at = at->next)
        before = at;
    if (before != NULL)
        before->next = waiter->next;
    else
        *first = waiter->next;
    if (*last == waiter)
        *last = before;
}

static struct channel_waiter *list_take(struct channel_waiter **first, struct channel_waiter **last)
{
    struct channel_waiter *waiter = *first;
    if (waiter != NULL)
        list_remove(first, last, waiter);
    return waiter;
}

static result closed(void)
{
    return FAIL(E_UNAVAILABLE, NULL, "the channel is closed");
}

static void slot_put(struct channel *channel, void *item)
{
    channel->slots[(channel->head + channel->count) % channel->capacity] = item;
    channel->count++;
}

result channel_send(struct channel *channel, void *item)
{
    TRY(fiber_check());
    if (channel->closed)
        return closed();
    struct channel_waiter *receiver = list_take(&channel->receivers_first, &channel->receivers_last);
    if (receiver != NULL) {
        receiver->item = item;
        wait_wake(&receiver->wait);
        return OK;
    }
    if (channel->count < channel->capacity) {
        slot_put(channel, item);
        return OK;
    }
    struct channel_waiter waiter = { .item = item };
    wait_init(&waiter.wait);
    list_add(&channel->senders_first, &channel->senders_last, &waiter);
    result r = wait_for(&waiter.wait);
    if (failed(r)) {
        list_remove(&channel->senders_first, &channel->senders_last, &waiter);
        return r;
    }
    return waiter.closed ? closed() : OK;
}

result channel_receive(struct channel *channel, void **ret)
{
    TRY(fiber_check());
    if (channel->count > 0) {
        *ret = channel->slots[channel->head];
        channel->head = (channel->head + 1) % channel->capacity;
        channel->count--;
        struct channel_waiter *sender = list_take(&channel->senders_first, &channel->senders_last);
        if (sender != NULL) {
            slot_put(channel, sender->item);
            wait_wake(&sender->wait);
        }
        return OK;
    }
    if (channel->closed)
        return closed();
    struct channel_waiter waiter = { 0 };
    wait_init(&waiter.wait);
    list_add(&channel->receivers_first, &channel->receivers_last, &waiter);
    result r = wait_for(&waiter.wait);
    if (failed(r)) {
        list_remove(&channel->receivers_first, &channel->receivers_last, &waiter);
        return r;
    }
    if (waiter.closed)
        return closed();
    *ret = waiter.item;
    return OK;
}

static void close_all(struct channel_waiter **first, struct channel_waiter **last)
{
    struct channel_waiter *waiter;
    while ((waiter = list_take(first, last)) != NULL) {
        waiter->closed = true;
        wait_wake(&waiter->wait);
    }
}

void channel_close(struct channel *channel)
{
    channel->closed = true;
    close_all(&channel->senders_first, &channel->senders_last);
    close_all(&channel->receivers_first, &channel->receivers_last);
}
