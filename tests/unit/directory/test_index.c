/* The index against a plain array that does the same. DOMICILE_BENCH=10000000 measures it instead. */
#include "check.h"

#include "base/clock.h"
#include "directory/index.h"

#include <stdio.h>
#include <stdlib.h>

enum { IDS = 5000, STEPS = 400000, ACCOUNTED = 300000 };

static uint64_t random_state = 88172645463325252U;

static uint64_t random_next(void) /* xorshift64: the same numbers in each run */
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static struct str id_of(uint64_t number, char text[64])
{
    int len = snprintf(text, 64, "customer-%llu%.*s", (unsigned long long)number, (int)(number % 23),
                       "-with-a-tail-as-long-as-this");
    return (struct str){ text, (size_t)len };
}

static struct directory_entry entry_at(struct str id, uint64_t version)
{
    return (struct directory_entry){ .id = id,
                                     .region = version % 3 ? STR("eu-fr") : STR("us"),
                                     .cell = version % 2 ? STR("a1") : STR("b2"),
                                     .epoch = (uint32_t)(version * 7),
                                     .services_version = (uint32_t)(version * 13),
                                     .state = (enum customer_state)(version % 5),
                                     .version = version };
}

static bool same(const struct directory_entry *a, const struct directory_entry *b)
{
    return str_eq(a->id, b->id) && str_eq(a->region, b->region) && str_eq(a->cell, b->cell) &&
           a->epoch == b->epoch && a->services_version == b->services_version && a->state == b->state &&
           a->version == b->version;
}

static void check_against(const struct directory_index *index, const uint64_t *model, size_t count)
{
    size_t live = 0;
    for (size_t i = 0; i < count; i++) {
        char text[64];
        struct directory_entry got, wanted = entry_at(id_of(i, text), model[i]);
        bool there = directory_index_find(index, wanted.id, &got);
        assert_int_equal(there, model[i] != 0);
        if (there)
            assert_true(same(&got, &wanted));
        live += model[i] != 0;
    }
    assert_int_equal(directory_index_stats(index).entries, live);
}

static void agrees_with_a_plain_array(void **state)
{
    static uint64_t model[IDS];
    struct directory_index *index = directory_index_new();
    for (uint64_t step = 1; step <= STEPS; step++) {
        uint64_t number = random_next() % IDS;
        char text[64];
        struct str id = id_of(number, text);
        if (random_next() % 3 == 0) {
            directory_index_remove(index, id, step);
            model[number] = 0;
        } else {
            struct directory_entry entry = entry_at(id, step);
            check_ok(directory_index_put(index, &entry));
            model[number] = step;
        }
        if (step % (STEPS / 8) == 0)
            check_against(index, model, IDS);
    }
    directory_index_free(index);
}

static void an_older_word_does_not_undo_a_newer(void **state)
{
    struct directory_index *index = directory_index_new();
    struct directory_entry got, old = entry_at(STR("clinic"), 5), new = entry_at(STR("clinic"), 9);
    check_ok(directory_index_put(index, &new));
    check_ok(directory_index_put(index, &old));
    directory_index_remove(index, STR("clinic"), 8);
    assert_true(directory_index_find(index, STR("clinic"), &got));
    assert_true(same(&got, &new));
    check_ok(directory_index_put(index, &got)); /* its strings are the index's own */
    assert_true(directory_index_find(index, STR("clinic"), &got) && same(&got, &new));
    struct directory_entry again = entry_at(STR("clinic"), 9); /* the same version is no older word */
    again.region = STR("us");
    again.epoch++;
    check_ok(directory_index_put(index, &again));
    assert_true(directory_index_find(index, STR("clinic"), &got) && same(&got, &again));
    directory_index_remove(index, STR("clinic"), 9);
    assert_false(directory_index_find(index, STR("clinic"), &got));
    directory_index_free(index);
}

static void p1_near_ids_are_other_customers(void **state)
{
    struct directory_index *index = directory_index_new();
    struct directory_entry got, entry = entry_at(STR("clinic-1"), 1);
    check_ok(directory_index_put(index, &entry));
    const struct str near[] = { STR("clinic-"), STR("clinic-11"), STR("clinic-2"), STR("Clinic-1"), STR("") };
    for (size_t i = 0; i < COUNT(near); i++)
        assert_false(directory_index_find(index, near[i], &got));
    directory_index_free(index);
}

static void refuses_what_is_no_entry(void **state)
{
    struct directory_index *index = directory_index_new();
    struct directory_entry entry = entry_at(STR("x"), 1);
    check_fails(E_ID, directory_index_put(index, &entry));
    entry = entry_at(STR("customer"), 1);
    entry.cell = STR("");
    check_fails(E_ID, directory_index_put(index, &entry));
    for (int i = 0; i < 1024; i++) {
        char cell[64], id[64];
        entry = entry_at(id_of((uint64_t)i, id), 1);
        entry.region = STR("eu-fr");
        entry.cell = (struct str){ cell, (size_t)snprintf(cell, sizeof cell, "cell-%d", i) };
        check_ok(directory_index_put(index, &entry));
    }
    entry = entry_at(STR("one-more"), 1);
    check_fails(E_LIMIT, directory_index_put(index, &entry));
    assert_int_equal(directory_index_stats(index).entries, 1024);
    directory_index_free(index);
}

static void at_most_64_bytes_a_customer_at_every_size(void **state)
{
    struct directory_index *index = directory_index_new();
    for (uint64_t i = 0; i < ACCOUNTED; i++) {
        char text[64];
        struct directory_entry entry = entry_at(id_of(i, text), 1);
        check_ok(directory_index_put(index, &entry));
        struct directory_index_stats stats = directory_index_stats(index);
        assert_int_equal(stats.entries, i + 1);
        if (i >= 100000)
            assert_true(stats.bytes <= 64 * stats.entries);
    }
    for (uint64_t i = 0; i < 4 * ACCOUNTED; i++) { /* what is removed makes room for what comes */
        char text[64];
        struct directory_entry entry = entry_at(id_of(i % ACCOUNTED, text), 1);
        directory_index_remove(index, entry.id, 1);
        check_ok(directory_index_put(index, &entry));
    }
    struct directory_index_stats stats = directory_index_stats(index);
    assert_int_equal(stats.entries, ACCOUNTED);
    assert_true(stats.bytes <= 64 * stats.entries);
    directory_index_free(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_plain_array),
        cmocka_unit_test(an_older_word_does_not_undo_a_newer),
        cmocka_unit_test(p1_near_ids_are_other_customers),
        cmocka_unit_test(refuses_what_is_no_entry),
        cmocka_unit_test(at_most_64_bytes_a_customer_at_every_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
