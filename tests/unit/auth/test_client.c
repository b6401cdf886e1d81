#include "loop/on_loop.h"

#include "auth/client.h"

#include "base/clock.h"
#include <time.h>

#include <stdio.h>

/* Cheap hashes, so that only the tests that need it pay the full cost. */
static struct client stored[2];

static result find(void *context, struct str id, struct client *ret, bool *ret_found)
{
    const bool *is_down = context;
    if (is_down != NULL && *is_down)
        return FAIL(E_UNAVAILABLE, NULL, "the store is down");
    *ret_found = false;
    for (size_t i = 0; i < 2; i++)
        if (str_is(id, stored[i].id)) {
            *ret = stored[i];
            *ret_found = true;
        }
    return OK;
}

static int make_clients(void **state)
{
    stored[0] = (struct client){ .role = ROLE_CUSTOMER_APP, .id = "c-one", .customer = "clinique-lumiere" };
    stored[1] = (struct client){ .role = ROLE_SECURITY, .id = "c-gone", .disabled = true };
    for (size_t i = 0; i < 2; i++)
        if (failed(scrypt_hash(STR("secret"), (struct scrypt_cost){ 14, 8, 1 }, stored[i].secret_hash)))
            return -1;
    return 0;
}

ON_LOOP(the_right_secret_opens)
{
    struct client_gate gate;
    struct client who;
    client_gate_init(&gate, 2, 4);
    check_ok(
        client_authenticate(&gate, &(struct client_store){ find, NULL }, STR("c-one"), STR("secret"), &who));
    assert_int_equal(who.role, ROLE_CUSTOMER_APP);
    assert_string_equal(who.customer, "clinique-lumiere");
    assert_int_equal(gate.running.permits, 2);
}

ON_LOOP(unknown_disabled_and_wrong_look_the_same)
{
    struct client_gate gate;
    struct client who = { 0 };
    const struct client_store store = { find, NULL };
    char long_secret[CLIENT_SECRET_MAX + 1];
    memset(long_secret, 'x', sizeof long_secret);
    client_gate_init(&gate, 2, 4);
    const struct {
        struct str id, secret;
    } wrong[] = { { STR("c-one"), STR("Secret") },  { STR("c-one"), STR("") },
                  { STR("c-one"), STR("secret ") }, { STR("c-gone"), STR("secret") },
                  { STR("c-two"), STR("secret") },  { STR("C/1"), STR("secret") },
                  { STR(""), STR("secret") },       { STR("c-one"), { long_secret, sizeof long_secret } } };
    const result expected = client_authenticate(&gate, &store, STR("c-one"), STR("wrong"), &who);
    assert_int_equal(expected.error.code, E_CLIENT);
    for (size_t i = 0; i < COUNT(wrong); i++) {
        result r = client_authenticate(&gate, &store, wrong[i].id, wrong[i].secret, &who);
        assert_int_equal(r.error.code, E_CLIENT);
        assert_string_equal(r.error.what, expected.error.what);
        assert_ptr_equal(r.error.hint, expected.error.hint);
    }
    assert_string_equal(who.id, "");
    assert_int_equal(gate.running.permits, 2);
}

/* Of all threads of this process: what a busy machine does to the clock on the wall does not count. */
static uint64_t cpu_ns(void)
{
    struct timespec spent;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent), 0);
    return (uint64_t)spent.tv_sec * 1000000000 + (uint64_t)spent.tv_nsec;
}

static uint64_t work_of(struct client_gate *gate, const char *id, const char *secret)
{
    struct client who;
    uint64_t begun_ns = cpu_ns();
    check_fails(E_CLIENT, client_authenticate(gate, &(struct client_store){ find, NULL }, str_from(id),
                                              str_from(secret), &who));
    return cpu_ns() - begun_ns;
}

/* Without the work for nobody the ratio would be a thousand. */
ON_LOOP(an_unknown_client_costs_as_much_as_a_wrong_secret)
{
    struct client_gate gate;
    client_gate_init(&gate, 2, 4);
    char before[SCRYPT_TEXT_SIZE];
    memcpy(before, stored[0].secret_hash, sizeof before);
    check_ok(client_hash_secret(&gate, STR("secret"), stored[0].secret_hash));
    uint64_t wrong_ns = work_of(&gate, "c-one", "wrong"), unknown_ns = work_of(&gate, "c-two", "wrong");
    memcpy(stored[0].secret_hash, before, sizeof before);
    assert_true(unknown_ns * 4 > wrong_ns && wrong_ns * 4 > unknown_ns);
}

ON_LOOP(the_stores_own_errors_come_through)
{
    struct client_gate gate;
    struct client who;
    bool is_down = true;
    client_gate_init(&gate, 1, 1);
    check_fails(E_UNAVAILABLE, client_authenticate(&gate, &(struct client_store){ find, &is_down },
                                                   STR("c-one"), STR("secret"), &who));
    char before[SCRYPT_TEXT_SIZE];
    memcpy(before, stored[0].secret_hash, sizeof before);
    memcpy(stored[0].secret_hash, "$scrypt$", 9);
    check_fails(E_INTERNAL, client_authenticate(&gate, &(struct client_store){ find, NULL }, STR("c-one"),
                                                STR("secret"), &who));
    memcpy(stored[0].secret_hash, before, sizeof before);
    check_ok(
        client_authenticate(&gate, &(struct client_store){ find, NULL }, STR("c-one"), STR("secret"), &who));
}

struct asking {
    struct client_gate gate;
    int ok, busy, cancelled;
};

static void ask(void *arg)
{
    struct asking *asking = arg;
    struct client who;
    result r = client_authenticate(&asking->gate, &(struct client_store){ find, NULL }, STR("c-one"),
                                   STR("secret"), &who);
    asking->ok += r.error.code == E_OK;
    asking->busy += r.error.code == E_BUSY;
    asking->cancelled += r.error.code == E_CANCELLED;
}

ON_LOOP(p8_a_flood_of_logins_is_bounded)
{
    struct asking asking = { 0 };
    struct scope scope = SCOPE_INIT;
    client_gate_init(&asking.gate, 1, 3);
    for (int i = 0; i < 20; i++)
        check_ok(fiber_spawn(&scope, "ask", ask, &asking));
    check_ok(scope_join(&scope));
    assert_int_equal(asking.ok, 4); /* one at once, three that wait */
    assert_int_equal(asking.busy, 16);
    assert_int_equal(asking.gate.waiting, 0);
    assert_int_equal(asking.gate.running.permits, 1);
}

ON_LOOP(p8_a_cancelled_login_gives_its_place_back)
{
    struct asking asking = { 0 };
    struct scope scope = SCOPE_INIT;
    client_gate_init(&asking.gate, 1, 3);
    for (int i = 0; i < 4; i++)
        check_ok(fiber_spawn(&scope, "ask", ask, &asking));
    check_ok(fiber_yield());
    assert_int_equal(asking.gate.waiting, 3);
    scope_end(&scope);
    assert_true(asking.cancelled >= 3);
    assert_int_equal(asking.gate.waiting, 0);
    assert_int_equal(asking.gate.running.permits, 1);
}

static void ids_and_secrets_are_new_each_time(void **state)
{
    char id[CLIENT_ID_SIZE], other_id[CLIENT_ID_SIZE], secret[CLIENT_SECRET_SIZE], other[CLIENT_SECRET_SIZE];
    for (int i = 0; i < 100; i++) {
        client_id_new(id);
        client_id_new(other_id);
        assert_string_not_equal(id, other_id);
        assert_int_equal(strlen(id), CLIENT_ID_SIZE - 1);
        assert_true(str_is_id(str_from(id)) && str_starts(str_from(id), STR("c-")));
        client_secret_new(secret);
        client_secret_new(other);
        assert_string_not_equal(secret, other);
        assert_int_equal(strspn(secret, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
                         43);
        assert_int_equal(strlen(secret), 43);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_right_secret_opens),
        cmocka_unit_test(unknown_disabled_and_wrong_look_the_same),
        cmocka_unit_test(an_unknown_client_costs_as_much_as_a_wrong_secret),
        cmocka_unit_test(the_stores_own_errors_come_through),
        cmocka_unit_test(p8_a_flood_of_logins_is_bounded),
        cmocka_unit_test(p8_a_cancelled_login_gives_its_place_back),
        cmocka_unit_test(ids_and_secrets_are_new_each_time),
    };
    return cmocka_run_group_tests(tests, make_clients, NULL);
}
