#include "check.h"

#include "base/clock.h"
#include "records/revision.h"

static int64_t wall_ms;

static uint64_t no_monotonic(void)
{
    return 0;
}

static int64_t fake_wall_ms(void)
{
    return wall_ms;
}

static const struct clock_source fake = { no_monotonic, fake_wall_ms };

static int set_up(void **state)
{
    clock_set_source(&fake);
    wall_ms = 1800000000000;
    return 0;
}

static int tear_down(void **state)
{
    clock_set_source(NULL);
    return 0;
}

static void revisions_grow_within_a_millisecond_and_when_the_clock_jumps_back(void **state)
{
    struct revision_clock clock = { 0 };
    int64_t last = 0;
    for (int i = 0; i < 200000; i++) {
        if (i == 100000)
            wall_ms -= 3600 * 1000;
        int64_t next = revision_next(&clock);
        assert_true(next > last);
        last = next;
    }
}

/* Two gateways in the same milliseconds, through a clock that stands, that jumps back, and what each sees of the other. */
static void processes_never_give_the_same_revision(void **state)
{
    struct revision_clock one = { .process = 3 }, other = { .process = 0 };
    int64_t last_one = 0, last_other = 0;
    for (int i = 0; i < 100000; i++) {
        if (i % 1000 == 0)
            wall_ms += i % 5000 == 0 ? -20 : 7;
        if (i % 100 == 50)
            revision_observe(&one, other.last);
        if (i % 100 == 51)
            revision_observe(&other, one.last);
        int64_t by_one = revision_next(&one), by_other = revision_next(&other);
        assert_true(by_one > last_one && by_other > last_other);
        assert_int_equal(by_one % (1 << REVISION_PROCESS_BITS), 3);
        assert_int_equal(by_other % (1 << REVISION_PROCESS_BITS), 0);
        last_one = by_one;
        last_other = by_other;
    }
}

static void each_process_draws_its_number(void **state)
{
    uint16_t drawn = 0, all = 0;
    for (int i = 0; i < 64; i++) {
        struct revision_clock clock;
        revision_clock_init(&clock);
        assert_in_range(clock.process, 0, (1 << REVISION_PROCESS_BITS) - 1);
        drawn |= clock.process;
        all |= (uint16_t)~clock.process;
    }
    assert_int_equal(drawn & all, (1 << REVISION_PROCESS_BITS) - 1); /* each bit was 0 once, and 1 once */
}

static void a_revision_follows_the_wall_clock_and_what_was_observed(void **state)
{
    struct revision_clock clock = { 0 };
    int64_t first = revision_next(&clock);
    assert_int_equal(first >> 16, wall_ms);
    revision_observe(&clock, first + ((int64_t)5000 << 16));
    assert_true(revision_next(&clock) > first + ((int64_t)5000 << 16));
    int64_t before = clock.last;
    revision_observe(&clock, INT64_MAX);
    assert_int_equal(clock.last, before);
}

static void etags_come_back_and_nothing_else_does(void **state)
{
    char etag[REVISION_ETAG_SIZE];
    int64_t revision = 0;
    revision_format_etag(0x1a2b3c4d5e6f, etag);
    assert_string_equal(etag, "\"00001a2b3c4d5e6f\"");
    assert_true(revision_parse_etag(str_from(etag), &revision));
    assert_int_equal(revision, 0x1a2b3c4d5e6f);
    const char *const others[] = { "",
                                   "\"\"",
                                   "*",
                                   "00001a2b3c4d5e6f",
                                   "W/\"00001a2b3c4d5e6f\"",
                                   "\"00001A2B3C4D5E6F\"",
                                   "\"0000000000000000\"",
                                   "\"ffffffffffffffff\"",
                                   "\"00001a2b3c4d5e6 \"",
                                   "\"0001a2b3c4d5e6f\"",
                                   "\"000001a2b3c4d5e6f\"" };
    for (size_t i = 0; i < COUNT(others); i++)
        assert_false(revision_parse_etag(str_from(others[i]), &revision));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(revisions_grow_within_a_millisecond_and_when_the_clock_jumps_back,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_revision_follows_the_wall_clock_and_what_was_observed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(processes_never_give_the_same_revision, set_up, tear_down),
        cmocka_unit_test(each_process_draws_its_number),
        cmocka_unit_test(etags_come_back_and_nothing_else_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
