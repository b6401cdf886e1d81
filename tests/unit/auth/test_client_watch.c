/* How long a client counts after it was disabled, by a clock that is set by hand. */
#include "loop/on_loop.h"

#include "auth/client_watch.h"
#include "base/clock.h"

static uint64_t now_ns;

static uint64_t fake_ns(void)
{
    return now_ns;
}

static int64_t fake_ms(void)
{
    return 0;
}

static void after_ms(uint64_t ms)
{
    now_ns += ms * 1000000;
}

struct cell {
    struct client client;
    bool absent;
    result outcome;
    struct wait *hold; /* its answer waits for that */
    size_t asked;
};

static result ask(void *context, const struct principal *principal, struct client *ret, bool *ret_found)
{
    struct cell *cell = context;
    struct client answer = cell->client;
    cell->asked++;
    assert_string_equal(principal->client, cell->client.id);
    if (cell->hold != NULL) {
        wait_init(cell->hold);
        TRY(wait_for(cell->hold));
    }
    TRY(cell->outcome);
    *ret_found = !cell->absent;
    *ret = answer;
    return OK;
}

static const struct principal token = { .role = ROLE_CUSTOMER_APP, .client = "c-one", .customer = "acme" };
static struct client_watch *watch;
static struct cell cell;

static void begin(void)
{
    static const struct clock_source fake = { fake_ns, fake_ms };
    now_ns = UINT64_C(5000000000000);
    clock_set_source(&fake);
    check_ok(client_watch_new(&watch, 64));
    cell = (struct cell){ .client = { .role = ROLE_CUSTOMER_APP, .id = "c-one", .customer = "acme" },
                          .outcome = OK };
}

static void end(void)
{
    client_watch_free(watch);
    clock_set_source(NULL);
}

static result confirm(void)
{
    return client_watch_confirm(watch, &token, ask, &cell);
}

ON_LOOP(what_was_true_a_moment_ago_is_not_asked_for)
{
    begin();
    check_ok(confirm());
    after_ms(CLIENT_WATCH_FRESH_MS - 1);
    check_ok(confirm());
    assert_int_equal(cell.asked, 1);
    after_ms(1);
    check_ok(confirm());
    assert_int_equal(cell.asked, 2);
    end();
}

ON_LOOP(p2_a_disabled_client_is_out_within_a_second)
{
    begin();
    check_ok(confirm());
    cell.client.disabled = true;
    after_ms(CLIENT_WATCH_FRESH_MS);
    check_fails(E_UNAUTHENTICATED, confirm());
    check_fails(E_UNAUTHENTICATED, confirm()); /* and nothing of before counts */
    cell.outcome = FAIL(E_UNAVAILABLE, NULL, "silent");
    check_fails(E_UNAVAILABLE, confirm());
    end();
}

ON_LOOP(p2_another_client_than_the_token_says_is_none)
{
    begin();
    cell.absent = true;
    check_fails(E_UNAUTHENTICATED, confirm());
    cell.absent = false;
    cell.client.role = ROLE_CUSTOMER_ADMIN;
    check_fails(E_UNAUTHENTICATED, confirm());
    cell.client.role = ROLE_CUSTOMER_APP;
    check_ok(confirm());
    memcpy(cell.client.customer, "emca", 5);
    after_ms(CLIENT_WATCH_FRESH_MS);
    check_fails(E_UNAUTHENTICATED, confirm());
    end();
}

ON_LOOP(p2_a_silent_cell_is_waited_for_and_not_for_long)
{
    static const enum error_code silences[] = { E_UNAVAILABLE, E_DEADLINE, E_BUSY };
    for (size_t i = 0; i < COUNT(silences); i++) {
        begin();
        cell.outcome = FAIL(silences[i], NULL, "silent");
        check_fails(silences[i], confirm()); /* nothing is known */
        cell.outcome = OK;
        check_ok(confirm());
        cell.outcome = FAIL(silences[i], NULL, "silent");
        after_ms(CLIENT_WATCH_STALE_MS - 1);
        check_ok(confirm());
        after_ms(1);
        check_fails(silences[i], confirm());
        cell.outcome = OK;
        check_ok(confirm());
        end();
    }
    begin();
    check_ok(confirm());
    cell.outcome = FAIL(E_SCHEMA, NULL, "it answers, and wrong");
    after_ms(CLIENT_WATCH_FRESH_MS);
    check_fails(E_SCHEMA, confirm());
    end();
}

static void confirm_aside(void *arg)
{
    *(result *)arg = confirm();
}

ON_LOOP(one_asks_for_all_and_not_for_long)
{
    begin();
    check_ok(confirm());
    after_ms(CLIENT_WATCH_FRESH_MS);
    struct wait hold;
    cell.hold = &hold;
    result asked = OK;
    struct scope scope = SCOPE_INIT;
    check_ok(fiber_spawn(&scope, "confirm", confirm_aside, &asked));
    check_ok(fiber_yield());
    assert_int_equal(cell.asked, 2);
    check_ok(confirm()); /* by what was known */
    assert_int_equal(cell.asked, 2);
    cell.client.disabled = true;
    cell.hold = NULL;
    after_ms(CLIENT_WATCH_LATE_MS - CLIENT_WATCH_FRESH_MS);
    check_fails(E_UNAUTHENTICATED, confirm()); /* the answer is too late for it */
    assert_int_equal(cell.asked, 3);
    wait_wake(&hold);
    check_ok(scope_join(&scope));
    check_ok(asked);
    end();
}

/* Two clients may have one place: neither counts for the other. */
ON_LOOP(clients_of_one_place_are_told_apart)
{
    begin();
    client_watch_free(watch);
    check_ok(client_watch_new(&watch, 1));
    struct principal other = token;
    memcpy(other.client, "c-two", 6);
    check_ok(confirm());
    memcpy(cell.client.id, "c-two", 6);
    cell.client.disabled = true;
    check_fails(E_UNAUTHENTICATED, client_watch_confirm(watch, &other, ask, &cell));
    memcpy(cell.client.id, "c-one", 6);
    cell.client.disabled = false;
    check_ok(confirm());
    assert_int_equal(cell.asked, 2);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_true_a_moment_ago_is_not_asked_for),
        cmocka_unit_test(p2_a_disabled_client_is_out_within_a_second),
        cmocka_unit_test(p2_another_client_than_the_token_says_is_none),
        cmocka_unit_test(p2_a_silent_cell_is_waited_for_and_not_for_long),
        cmocka_unit_test(one_asks_for_all_and_not_for_long),
        cmocka_unit_test(clients_of_one_place_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
