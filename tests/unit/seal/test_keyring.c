#include "seal_test.h"

#include "base/clock.h"
#include "seal/keyring.h"

#include <stdio.h>

static uint64_t now_ns;

static uint64_t fake_monotonic(void)
{
    return now_ns;
}
static int64_t fake_wall(void)
{
    return 0;
}

static int fake_clock(void **state)
{
    static const struct clock_source source = { fake_monotonic, fake_wall };
    now_ns = 1000;
    clock_set_source(&source);
    return 0;
}

static int real_clock(void **state)
{
    clock_set_source(NULL);
    return 0;
}

static void put(struct keyring *ring, const char *customer, const char *class, uint32_t version,
                bool is_current)
{
    struct class_key key = key_of((uint8_t)version, version);
    check_ok(keyring_put(ring, str_from(customer), str_from(class), &key, is_current));
    assert_null(key.secret.ptr);
}

static bool has(struct keyring *ring, const char *customer, const char *class, uint32_t version)
{
    const struct class_key *key = keyring_find(ring, str_from(customer), str_from(class), version);
    assert_true(key == NULL || (key->version == version && key->secret.ptr[0] == (uint8_t)version));
    return key != NULL;
}

static void keys_are_found_by_name_and_version(void **state)
{
    struct keyring *ring = NULL;
    check_ok(keyring_new(&ring, 100, SEC(300)));
    put(ring, "ab", "health", 1, false);
    put(ring, "ab", "health", 2, true);
    put(ring, "abh", "ealth", 7, true);
    assert_true(has(ring, "ab", "health", 1));
    assert_true(has(ring, "ab", "health", 2));
    assert_false(has(ring, "ab", "health", 3));
    assert_false(has(ring, "ab", "health", 0));
    assert_false(has(ring, "ab", "health", UINT32_MAX));
    assert_false(has(ring, "ab", "identity", 1));
    assert_false(has(ring, "ab", "health", 7));
    assert_int_equal(keyring_find_current(ring, STR("ab"), STR("health"))->version, 2);
    put(ring, "ab", "health", 3, true);
    assert_int_equal(keyring_find_current(ring, STR("ab"), STR("health"))->version, 3);
    assert_true(has(ring, "ab", "health", 2));
    put(ring, "ab", "health", 3, true);
    assert_int_equal(keyring_count(ring), 4);
    assert_int_equal(keyring_find_current(ring, STR("abh"), STR("ealth"))->version, 7);
    assert_null(keyring_find_current(ring, STR("ab"), STR("identity")));
    keyring_free(ring);
}

static void assert_wiped(const uint8_t *bytes)
{
    for (size_t i = sizeof(void *); i < CLASSKEY_BYTES; i++) /* the pool's list of free blocks begins each */
        assert_int_equal(bytes[i], 0);
}

static void p2_a_key_is_gone_when_its_time_is_over(void **state)
{
    struct keyring *ring = NULL;
    check_ok(keyring_new(&ring, 100, SEC(300)));
    put(ring, "ab", "health", 1, true);
    const uint8_t *bytes = keyring_find_current(ring, STR("ab"), STR("health"))->secret.ptr;
    now_ns += SEC(299) * 1000000;
    put(ring, "ab", "identity", 2, true);
    assert_true(has(ring, "ab", "health", 1)); /* and its use does not make it live longer */
    now_ns += SEC(1) * 1000000 - 1;
    assert_true(has(ring, "ab", "health", 1));
    now_ns += 1;
    assert_int_equal(bytes[31], 1);
    assert_false(has(ring, "ab", "health", 1));
    assert_wiped(bytes);
    assert_true(has(ring, "ab", "identity", 2));
    assert_int_equal(keyring_count(ring), 1);
    keyring_free(ring);
}

static void p2_unused_keys_expire_as_well(void **state)
{
    struct keyring *ring = NULL;
    const uint8_t *bytes[3];
    static const char *const names[] = { "aa", "bb", "cc" };
    check_ok(keyring_new(&ring, 100, SEC(300)));
    for (uint32_t i = 0; i < 3; i++) {
        put(ring, names[i], "health", 1 + i, true);
        bytes[i] = keyring_find_current(ring, str_from(names[i]), STR("health"))->secret.ptr;
        now_ns += SEC(100) * 1000000;
    }
    keyring_expire(ring);
    assert_int_equal(keyring_count(ring), 2);
    assert_wiped(bytes[0]);
    assert_int_equal(bytes[1][31], 2);
    now_ns += SEC(200) * 1000000;
    keyring_expire(ring);
    assert_int_equal(keyring_count(ring), 0);
    assert_wiped(bytes[1]);
    assert_wiped(bytes[2]);
    keyring_expire(ring);
    keyring_free(ring);
}

static void p2_forgetting_wipes(void **state)
{
    struct keyring *ring = NULL;
    check_ok(keyring_new(&ring, 100, SEC(300)));
    put(ring, "ab", "health", 1, false);
    put(ring, "ab", "health", 2, true);
    put(ring, "ab", "identity", 3, true);
    const uint8_t *first = keyring_find(ring, STR("ab"), STR("health"), 1)->secret.ptr;
    const uint8_t *last = keyring_find(ring, STR("ab"), STR("identity"), 3)->secret.ptr;
    keyring_forget_all(ring);
    assert_wiped(first);
    assert_wiped(last);
    assert_int_equal(keyring_count(ring), 0);
    put(ring, "ab", "identity", 3, true);
    assert_true(has(ring, "ab", "identity", 3));
    keyring_free(ring);
}

static void the_ring_is_bounded_and_keeps_what_is_used(void **state)
{
    enum { MAX = 64, PUT = 5000 };
    struct keyring *ring = NULL;
    char name[16];
    check_ok(keyring_new(&ring, MAX, SEC(300)));
    int misses = 0;
    for (int i = 0; i < PUT; i++) {
        if (!has(ring, "used", "health", 1)) {
            misses++;
            put(ring, "used", "health", 1, true);
        }
        snprintf(name, sizeof name, "c%d", i);
        put(ring, name, "health", 2, true);
        assert_true(keyring_count(ring) <= MAX);
        assert_true(has(ring, name, "health", 2)); /* the newest is never the one that goes */
    }
    assert_int_equal(keyring_count(ring), MAX);
    assert_true(misses <= 3); /* one that is not kept is missed every 64 rounds */
    assert_false(has(ring, "c0", "health", 2));
    keyring_free(ring);
    check_fails(E_LIMIT, keyring_new(&ring, KEYRING_KEYS_MAX + 1, SEC(300)));
    check_fails(E_LIMIT, keyring_new(&ring, 0, SEC(300)));
    check_fails(E_LIMIT, keyring_new(&ring, 1, 0));
    check_fails(E_LIMIT, keyring_new(&ring, 1, SEC(86400) + 1));
    check_ok(keyring_new(&ring, KEYRING_KEYS_MAX, SEC(86400)));
    keyring_expire(ring); /* of an empty one: nothing */
    keyring_free(ring);
    keyring_free(NULL);
}

static void a_name_that_is_too_long_is_refused_and_its_key_wiped(void **state)
{
    struct keyring *ring = NULL;
    char name[64];
    memset(name, 'a', sizeof name);
    check_ok(keyring_new(&ring, 1, SEC(300)));
    struct class_key key = key_of(9, 1);
    const uint8_t *bytes = key.secret.ptr;
    check_fails(E_LIMIT, keyring_put(ring, (struct str){ name, 64 }, STR("health"), &key, true));
    assert_null(key.secret.ptr);
    assert_wiped(bytes);
    const struct {
        size_t customer, class;
    } lengths[] = { { 0, 2 }, { 2, 0 }, { 2, 64 }, { 64, 2 } };
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        key = key_of(9, 1);
        check_fails(E_LIMIT, keyring_put(ring, (struct str){ name, lengths[i].customer },
                                         (struct str){ name, lengths[i].class }, &key, true));
    }
    key = key_of(9, 1);
    check_ok(keyring_put(ring, (struct str){ name, 63 }, (struct str){ name, 63 }, &key, true));
    assert_non_null(keyring_find(ring, (struct str){ name, 63 }, (struct str){ name, 63 }, 1));
    char longer[1000];
    memset(longer, 'a', sizeof longer);
    assert_null(keyring_find(ring, (struct str){ longer, sizeof longer }, (struct str){ name, 63 }, 1));
    assert_null(keyring_find(ring, (struct str){ name, 63 }, (struct str){ longer, sizeof longer }, 1));
    put(ring, "ab", "health", 1, true); /* a ring of one: the other makes room */
    assert_int_equal(keyring_count(ring), 1);
    keyring_free(ring);
}

#define on_fake_clock(test) cmocka_unit_test_setup_teardown(test, fake_clock, real_clock)

int main(void)
{
    const struct CMUnitTest tests[] = {
        on_fake_clock(keys_are_found_by_name_and_version),
        on_fake_clock(p2_a_key_is_gone_when_its_time_is_over),
        on_fake_clock(p2_unused_keys_expire_as_well),
        on_fake_clock(p2_forgetting_wipes),
        on_fake_clock(the_ring_is_bounded_and_keeps_what_is_used),
        on_fake_clock(a_name_that_is_too_long_is_refused_and_its_key_wiped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
