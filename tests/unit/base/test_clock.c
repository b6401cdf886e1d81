#include "check.h"

#include "base/clock.h"

#include <string.h>
#include <time.h>

static void times_are_rfc_3339_with_milliseconds(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } times[] = {
        { 0, "1970-01-01T00:00:00.000Z" },
        { 1, "1970-01-01T00:00:00.001Z" },
        { -1, "1969-12-31T23:59:59.999Z" },
        { -1000, "1969-12-31T23:59:59.000Z" },
        { INT64_C(951827696789), "2000-02-29T12:34:56.789Z" },
        { INT64_C(1769860800000), "2026-01-31T12:00:00.000Z" },
        { INT64_C(253402300799999), "9999-12-31T23:59:59.999Z" },
    };
    for (size_t i = 0; i < COUNT(times); i++) {
        char text[CLOCK_TEXT_SIZE];
        clock_format(times[i].ms, text);
        assert_string_equal(text, times[i].text);
    }
}

static void times_are_read_as_they_are_written(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } times[] = {
        { "1970-01-01T00:00:00.001Z", 1 },
        { "1969-12-31T23:59:59.999Z", -1 },
        { "2000-02-29T12:34:56.789Z", INT64_C(951827696789) },
        { "2026-01-31T12:00:00Z", INT64_C(1769860800000) },
        { "2026-01-31", INT64_C(1769817600000) },
    };
    static const char *const wrong[] = {
        "",
        "2026",
        "2026-1-31",
        "2026-02-30",
        "2026-01-32",
        "31-01-2026",
        "2026-01-31T12:00Z",
        "2026-01-31T12:00:00",
        "2026-01-3x",
        "2026-01-31T25",
        "2026-01-31T24:00:00Z",
        "2026-01-31T12:00:00.12xZ",
        " 2026-01-3",
        "2026-01-31 ",
        "2026-01-31T12:00:0 Z",
        "2026-01-31T12:00:00.123+",
    };
    int64_t ms;
    for (size_t i = 0; i < COUNT(times); i++) {
        assert_true(clock_parse(str_from(times[i].text), &ms));
        assert_int_equal(ms, times[i].ms);
    }
    for (size_t i = 0; i < COUNT(wrong); i++)
        assert_false(clock_parse(str_from(wrong[i]), &ms));
    assert_false(clock_parse((struct str){ "2026-01\0"
                                           "31",
                                           10 },
                             &ms));
}

static void a_time_beyond_the_calendar_stays_in_its_buffer(void **state)
{
    const int64_t far[] = { INT64_MAX, INT64_MIN, INT64_C(253402300800000), INT64_C(-62167219200001) };
    for (size_t i = 0; i < COUNT(far); i++) {
        char text[CLOCK_TEXT_SIZE + 1];
        text[CLOCK_TEXT_SIZE] = '!';
        clock_format(far[i], text);
        assert_int_equal(text[CLOCK_TEXT_SIZE], '!');
        assert_true(memchr(text, '\0', CLOCK_TEXT_SIZE) != NULL);
    }
}

static uint64_t fake_monotonic_ns(void)
{
    return 42;
}

static int64_t fake_wall_ms(void)
{
    return -7;
}

static void a_source_takes_the_place_of_both_clocks(void **state)
{
    const struct clock_source source = { fake_monotonic_ns, fake_wall_ms };
    clock_set_source(&source);
    assert_int_equal(clock_monotonic_ns(), 42);
    assert_int_equal(clock_wall_ms(), -7);
    clock_set_source(NULL);
    assert_true(clock_wall_ms() / 1000 - (int64_t)time(NULL) <= 1);
    assert_true((int64_t)time(NULL) - clock_wall_ms() / 1000 <= 1);
}

static void the_monotonic_clock_does_not_go_back(void **state)
{
    uint64_t before = clock_monotonic_ns();
    for (int i = 0; i < 10000; i++) {
        uint64_t now = clock_monotonic_ns();
        assert_true(now >= before);
        before = now;
    }
    assert_true(before > 0);
    assert_int_equal(SEC(2), 2000);
    assert_int_equal(MS(2), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_rfc_3339_with_milliseconds),
        cmocka_unit_test(times_are_read_as_they_are_written),
        cmocka_unit_test(a_time_beyond_the_calendar_stays_in_its_buffer),
        cmocka_unit_test(a_source_takes_the_place_of_both_clocks),
        cmocka_unit_test(the_monotonic_clock_does_not_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
