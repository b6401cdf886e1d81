#include "loop/on_loop.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

static char items[64]; /* what is sent: pointers into it */

static void *item(size_t i)
{
    return &items[i];
}

static size_t number(const void *sent)
{
    return (size_t)((const char *)sent - items);
}

/* ---- who takes part: one send or one receive on a fiber of its own ---- */

struct part {
    struct channel *channel;
    struct semaphore *semaphore;
    struct fiber *fiber;
    void *sent, *received;
    result outcome;
    int turn; /* in which order it was done; 0: not yet */
};

static int turns;

static void part_done(struct part *part, result r)
{
    part->outcome = r;
    part->turn = ++turns;
}

static void send_one(void *arg)
{
    struct part *part = arg;
    part->fiber = fiber_self();
    part_done(part, channel_send(part->channel, part->sent));
}

static void receive_one(void *arg)
{
    struct part *part = arg;
    part->fiber = fiber_self();
    part_done(part, channel_receive(part->channel, &part->received));
}

static void acquire_one(void *arg)
{
    struct part *part = arg;
    part->fiber = fiber_self();
    part_done(part, semaphore_acquire(part->semaphore));
}

/* Spawns the parts in order and lets them run until they wait. */
static void begin(struct scope *scope, void (*run)(void *arg), struct part *parts, size_t count)
{
    turns = 0;
    for (size_t i = 0; i < count; i++)
        check_ok(fiber_spawn(scope, "part", run, &parts[i]));
    check_ok(fiber_yield());
}

static void senders(struct scope *scope, struct channel *channel, struct part *parts, size_t count,
                    size_t first_item)
{
    for (size_t i = 0; i < count; i++)
        parts[i] = (struct part){ .channel = channel, .sent = item(first_item + i) };
    begin(scope, send_one, parts, count);
}

static void receivers(struct scope *scope, struct channel *channel, struct part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        parts[i] = (struct part){ .channel = channel };
    begin(scope, receive_one, parts, count);
}

static size_t receive(struct channel *channel)
{
    void *received = NULL;
    check_ok(channel_receive(channel, &received));
    return received == NULL ? SIZE_MAX : number(received);
}

/* ---- order and back-pressure ---- */

static void through(void *arg)
{
    struct channel channel;
    check_ok(channel_init(&channel, 3));
    size_t sent = 0, got = 0;
    for (int round = 0; round < 10; round++) { /* the ring goes round at every place */
        for (int i = 0; i < 1 + round % 3; i++)
            check_ok(channel_send(&channel, item(sent++)));
        while (got < sent)
            assert_true(receive(&channel) == got++);
    }
    assert_true(channel.count == 0);
    channel_done(&channel);
}

static void first_in_is_first_out(void **state)
{
    on_loop(through, NULL);
}

static void full(void *arg)
{
    struct channel channel;
    struct scope scope = SCOPE_INIT;
    struct part parts[5];
    check_ok(channel_init(&channel, 2));
    senders(&scope, &channel, parts, 5, 0);
    for (size_t i = 0; i < 5; i++)
        assert_true((parts[i].turn != 0) == (i < 2)); /* two are in it, three wait */
    assert_true(channel.count == 2);
    for (size_t i = 0; i < 5; i++) {
        assert_true(receive(&channel) == i);
        check_ok(fiber_yield());
        assert_true(i + 2 >= 5 || parts[i + 2].turn == (int)i + 3); /* each receive lets one in, in order */
        assert_true(i + 3 >= 5 || parts[i + 3].turn == 0);
    }
    check_ok(scope_join(&scope));
    for (size_t i = 0; i < 5; i++)
        check_ok(parts[i].outcome);
    channel_done(&channel);
}

static void a_full_channel_holds_its_senders_back_in_order(void **state)
{
    on_loop(full, NULL);
}

static void empty(void *arg)
{
    struct channel channel;
    struct scope scope = SCOPE_INIT;
    struct part parts[3];
    check_ok(channel_init(&channel, 1));
    receivers(&scope, &channel, parts, 3);
    for (size_t i = 0; i < 3; i++) /* three at once: more than it holds, but somebody waits for each */
        check_ok(channel_send(&channel, item(i)));
    assert_true(channel.count == 0);
    check_ok(scope_join(&scope));
    for (size_t i = 0; i < 3; i++)
        assert_true(parts[i].turn == (int)i + 1 && parts[i].received == item(i));
    channel_done(&channel);
}

static void an_empty_channel_serves_its_receivers_in_order(void **state)
{
    on_loop(empty, NULL);
}

/* ---- closing ---- */

static void close_full(void *arg)
{
    struct channel channel;
    struct scope scope = SCOPE_INIT;
    struct part parts[3];
    void *untouched = item(9);
    check_ok(channel_init(&channel, 1));
    senders(&scope, &channel, parts, 3, 0);
    channel_close(&channel);
    check_ok(scope_join(&scope));
    check_ok(parts[0].outcome);
    check_fails(E_UNAVAILABLE, parts[1].outcome);
    check_fails(E_UNAVAILABLE, parts[2].outcome);
    check_fails(E_UNAVAILABLE, channel_send(&channel, item(5)));
    assert_true(receive(&channel) == 0); /* what was in it is still given out; what waited never was */
    check_fails(E_UNAVAILABLE, channel_receive(&channel, &untouched));
    assert_true(untouched == item(9));
    channel_close(&channel);
    channel_done(&channel);
}

static void after_a_close_the_rest_is_received_and_senders_fail(void **state)
{
    on_loop(close_full, NULL);
}

static void close_empty(void *arg)
{
    struct channel channel;
    struct scope scope = SCOPE_INIT;
    struct part parts[3];
    check_ok(channel_init(&channel, 4));
    receivers(&scope, &channel, parts, 3);
    check_ok(channel_send(&channel, item(1))); /* handed over before the close: it arrives */
    channel_close(&channel);
    check_ok(scope_join(&scope));
    check_ok(parts[0].outcome);
    assert_true(parts[0].received == item(1));
    check_fails(E_UNAVAILABLE, parts[1].outcome);
    check_fails(E_UNAVAILABLE, parts[2].outcome);
    channel_done(&channel);
}

static void a_close_wakes_waiting_receivers(void **state)
{
    on_loop(close_empty, NULL);
}

/* ---- cancel and deadlines ---- */

static void cancel_each(void *arg)
{
    for (size_t victim = 0; victim < 3;
         victim++) { /* the first, the middle and the last of those that wait */
        struct channel channel;
        struct scope scope = SCOPE_INIT;
        struct part parts[3];
        check_ok(channel_init(&channel, 1));
        receivers(&scope, &channel, parts, 3);
        fiber_cancel(parts[victim].fiber);
        check_ok(fiber_yield());
        check_fails(E_CANCELLED, parts[victim].outcome);
        check_ok(channel_send(&channel, item(0)));
        check_ok(channel_send(&channel, item(1)));
        check_ok(scope_join(&scope));
        size_t next = 0;
        for (size_t i = 0; i < 3; i++)
            assert_true(parts[i].received == (i == victim ? NULL : item(next++)));

        check_ok(channel_send(&channel, item(7)));
        senders(&scope, &channel, parts, 3, 0);
        fiber_cancel(parts[victim].fiber);
        check_ok(fiber_yield());
        check_fails(E_CANCELLED, parts[victim].outcome);
        assert_true(receive(&channel) == 7);
        for (size_t i = 0; i < 3; i++)
            if (i != victim)
                assert_true(receive(&channel) == i);
        assert_true(channel.count == 0);
        check_ok(scope_join(&scope));
        channel_done(&channel);
    }
}

static void a_cancelled_waiter_leaves_the_others_in_order(void **state)
{
    on_loop(cancel_each, NULL);
}

/* The receiver has the item before it runs again; a cancel in between must not lose it. */
static void cancel_handed_over(void *arg)
{
    struct channel channel;
    struct scope scope = SCOPE_INIT;
    struct part part;
    check_ok(channel_init(&channel, 1));
    receivers(&scope, &channel, &part, 1);
    check_ok(channel_send(&channel, item(3)));
    fiber_cancel(part.fiber);
    check_ok(scope_join(&scope));
    check_ok(part.outcome);
    assert_true(part.received == item(3));

    check_ok(channel_send(&channel, item(4)));
    senders(&scope, &channel, &part, 1, 5);
    assert_true(part.turn == 0);
    assert_true(receive(&channel) == 4); /* takes in what the waiting sender has */
    fiber_cancel(part.fiber);
    check_ok(scope_join(&scope));
    check_ok(part.outcome); /* and so it was sent, once */
    assert_true(receive(&channel) == 5);
    assert_true(channel.count == 0);
    channel_done(&channel);
}

static void what_is_handed_over_is_not_lost_to_a_cancel(void **state)
{
    on_loop(cancel_handed_over, NULL);
}

static void late(void *arg)
{
    struct channel channel;
    struct deadline deadline;
    void *received = NULL;
    loop_use_virtual_clock(0);
    check_ok(channel_init(&channel, 1));
    deadline_begin(&deadline, MS(10));
    check_fails(E_DEADLINE, channel_receive(&channel, &received));
    deadline_end(&deadline);
    check_ok(channel_send(&channel, item(1)));
    deadline_begin(&deadline, MS(10));
    check_fails(E_DEADLINE, channel_send(&channel, item(2)));
    check_fails(E_DEADLINE,
                channel_receive(&channel, &received)); /* late is late, although there is something */
    deadline_end(&deadline);
    assert_true(received == NULL);
    assert_true(receive(&channel) == 1);
    assert_true(channel.count == 0);
    channel_done(&channel);
}

static void waits_on_a_channel_end_at_their_deadline(void **state)
{
    on_loop(late, NULL);
}

/* ---- the semaphore ---- */

static void acquirers(struct scope *scope, struct semaphore *semaphore, struct part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        parts[i] = (struct part){ .semaphore = semaphore };
    begin(scope, acquire_one, parts, count);
}

static void permits(void *arg)
{
    struct semaphore semaphore;
    struct scope scope = SCOPE_INIT;
    struct part parts[4];
    semaphore_init(&semaphore, 2);
    acquirers(&scope, &semaphore, parts, 4);
    assert_true(parts[0].turn == 1 && parts[1].turn == 2 && parts[2].turn == 0 && parts[3].turn == 0);
    assert_true(!semaphore_try_acquire(&semaphore));
    semaphore_release(&semaphore);
    assert_true(!semaphore_try_acquire(&semaphore)); /* it is the first waiter's already */
    check_ok(fiber_yield());
    assert_true(parts[2].turn == 3 && parts[3].turn == 0);
    semaphore_release(&semaphore);
    check_ok(scope_join(&scope));
    assert_true(parts[3].turn == 4);
    for (int i = 0; i < 2; i++)
        semaphore_release(&semaphore);
    assert_true(semaphore.permits == 2);
    assert_true(semaphore_try_acquire(&semaphore) && semaphore_try_acquire(&semaphore));
    assert_true(!semaphore_try_acquire(&semaphore));
}

static void permits_go_to_who_came_first(void **state)
{
    on_loop(permits, NULL);
}

static void permits_cancelled(void *arg)
{
    for (size_t victim = 0; victim < 3; victim++) {
        struct semaphore semaphore;
        struct scope scope = SCOPE_INIT;
        struct part parts[3];
        semaphore_init(&semaphore, 0);
        acquirers(&scope, &semaphore, parts, 3);
        fiber_cancel(parts[victim].fiber);
        check_ok(fiber_yield());
        check_fails(E_CANCELLED, parts[victim].outcome);
        semaphore_release(&semaphore);
        semaphore_release(&semaphore);
        semaphore_release(&semaphore);
        check_ok(scope_join(&scope));
        for (size_t i = 0; i < 3; i++)
            assert_true(failed(parts[i].outcome) == (i == victim));
        assert_true(semaphore.permits == 1);
    }
}

static void a_cancelled_waiter_takes_no_permit(void **state)
{
    on_loop(permits_cancelled, NULL);
}

static void permit_handed_over(void *arg)
{
    struct semaphore semaphore;
    struct scope scope = SCOPE_INIT;
    struct part part;
    semaphore_init(&semaphore, 0);
    acquirers(&scope, &semaphore, &part, 1);
    semaphore_release(&semaphore);
    fiber_cancel(part.fiber);
    check_ok(scope_join(&scope));
    check_ok(part.outcome); /* it has the permit, and knows */
    assert_true(semaphore.permits == 0);
}

static void a_permit_that_is_handed_over_is_not_lost_to_a_cancel(void **state)
{
    on_loop(permit_handed_over, NULL);
}

/* ---- everything at once ---- */

enum { WORKERS = 6, ITEMS = 400 };

static char sent_items[WORKERS * ITEMS];

struct crowd {
    struct channel channel;
    struct semaphore semaphore;
    uint32_t random;
    size_t inside, sent, received, next_item;
    unsigned char times[WORKERS * ITEMS];
};

static uint32_t dice(struct crowd *crowd, uint32_t sides)
{
    crowd->random = crowd->random * 1664525U + 1013904223U;
    return (crowd->random >> 16) % sides;
}

/* Sends under a permit and a deadline that often passes; an item that was refused is never received. */
static void produce(void *arg)
{
    struct crowd *crowd = arg;
    for (int i = 0; i < ITEMS; i++) {
        struct deadline deadline;
        size_t mine = crowd->next_item++;
        deadline_begin(&deadline, 1 + dice(crowd, 20));
        if (!failed(semaphore_acquire(&crowd->semaphore))) {
            assert_true(++crowd->inside <= 2);
            if (failed(channel_send(&crowd->channel, &sent_items[mine])))
                crowd->times[mine] = 100;
            else
                crowd->sent++;
            crowd->inside--;
            semaphore_release(&crowd->semaphore);
        }
        deadline_end(&deadline);
        check_ok(dice(crowd, 2) == 0 ? fiber_yield() : fiber_sleep(dice(crowd, 3)));
    }
}

static void consume(void *arg)
{
    struct crowd *crowd = arg;
    for (;;) {
        struct deadline deadline;
        void *received;
        deadline_begin(&deadline, 1 + dice(crowd, 5));
        result r = channel_receive(&crowd->channel, &received);
        deadline_end(&deadline);
        if (r.error.code == E_UNAVAILABLE)
            return;
        if (!failed(r)) {
            crowd->received++;
            crowd->times[(char *)received - sent_items]++;
        }
        check_ok(fiber_sleep(dice(crowd, 4)));
    }
}

static void crowded(void *arg)
{
    static struct crowd crowd;
    struct scope producers = SCOPE_INIT, consumers = SCOPE_INIT;
    crowd = (struct crowd){ .random = 12345 };
    loop_use_virtual_clock(0);
    check_ok(channel_init(&crowd.channel, 3));
    semaphore_init(&crowd.semaphore, 2);
    for (int i = 0; i < WORKERS; i++) {
        check_ok(fiber_spawn(&producers, "producer", produce, &crowd));
        check_ok(fiber_spawn(&consumers, "consumer", consume, &crowd));
    }
    check_ok(scope_join(&producers));
    channel_close(&crowd.channel);
    check_ok(scope_join(&consumers));
    size_t once = 0;
    for (size_t i = 0; i < WORKERS * ITEMS; i++) {
        assert_true(crowd.times[i] == 0 || crowd.times[i] == 1 || crowd.times[i] == 100);
        once += crowd.times[i] == 1;
    }
    assert_true(once == crowd.sent && crowd.received == crowd.sent);
    assert_true(crowd.sent > ITEMS && crowd.sent < WORKERS * ITEMS); /* both things happened often */
    assert_true(crowd.semaphore.permits == 2);
    channel_done(&crowd.channel);
}

static void what_is_sent_is_received_once_and_what_is_refused_never(void **state)
{
    on_loop(crowded, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_in_is_first_out),
        cmocka_unit_test(a_full_channel_holds_its_senders_back_in_order),
        cmocka_unit_test(an_empty_channel_serves_its_receivers_in_order),
        cmocka_unit_test(after_a_close_the_rest_is_received_and_senders_fail),
        cmocka_unit_test(a_close_wakes_waiting_receivers),
        cmocka_unit_test(a_cancelled_waiter_leaves_the_others_in_order),
        cmocka_unit_test(what_is_handed_over_is_not_lost_to_a_cancel),
        cmocka_unit_test(waits_on_a_channel_end_at_their_deadline),
        cmocka_unit_test(permits_go_to_who_came_first),
        cmocka_unit_test(a_cancelled_waiter_takes_no_permit),
        cmocka_unit_test(a_permit_that_is_handed_over_is_not_lost_to_a_cancel),
        cmocka_unit_test(what_is_sent_is_received_once_and_what_is_refused_never),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
