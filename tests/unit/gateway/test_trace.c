/* Counting, queues and their bounds, under a virtual clock and cells that are made of nothing. */
#include "loop/on_loop.h"

#include "base/log.h"
#include "gateway/trace.h"
#include "loop/fiber.h"

enum { CELLS = 2, WRITTEN_MAX = 8192 };

static struct {
    struct record_cell cells[CELLS];
    struct written {
        size_t cell;
        char action[16], outcome[64], role[64], rule[128], request[64], request_to[64];
        uint32_t count;
    } rows[WRITTEN_MAX];
    size_t count, tries;
    enum error_code fails[CELLS]; /* E_OK: it writes */
    bool hangs;                   /* the first cell does */
    size_t warnings, errors;
    struct trace *trace;
} w;

static void copy(char *to, size_t size, struct str s)
{
    assert_true(s.len < size);
    memcpy(to, s.ptr, s.len);
    to[s.len] = '\0';
}

static result write_row(void *context, struct record_cell *cell, const struct trace_row *row)
{
    size_t at = (size_t)(cell - w.cells);
    w.tries++;
    if (w.hangs && at == 0)
        TRY(fiber_sleep(SEC(3600)));
    TRY(fiber_sleep(1));
    if (w.fails[at] != E_OK)
        return FAIL(w.fails[at], NULL, "the cell is away");
    assert_true(w.count < WRITTEN_MAX);
    struct written *written = &w.rows[w.count++];
    *written = (struct written){ .cell = at, .count = row->count };
    copy(written->action, sizeof written->action, str_from(row->action));
    copy(written->outcome, sizeof written->outcome, row->event.outcome);
    copy(written->role, sizeof written->role, row->event.actor.role);
    copy(written->rule, sizeof written->rule, row->event.actor.rule);
    copy(written->request, sizeof written->request, row->event.actor.request);
    copy(written->request_to, sizeof written->request_to, row->request_to);
    return OK;
}

static void count_line(void *context, enum log_level level, const char *line)
{
    w.warnings += level == LOG_WARNING;
    w.errors += level == LOG_ERROR;
}

static void begin(void)
{
    memset(&w, 0, sizeof w);
    w.cells[0].name = "first";
    w.cells[1].name = "second";
    loop_use_virtual_clock(0);
    log_set_sink(count_line, NULL);
    const struct trace_options options = { w.cells, CELLS, write_row, NULL };
    check_ok(trace_new(&options, &w.trace));
}

static void end(uint64_t within_ms)
{
    trace_free(w.trace, within_ms);
    log_set_sink(NULL, NULL);
}

/* Request number `number` of the gateway. */
static bool note(enum trace_kind kind, const char *outcome, const char *rule, const char *role, size_t cell,
                 unsigned number)
{
    char request[25];
    snprintf(request, sizeof request, "0123456789abcdef%08x", number);
    const struct trace_event event = { .kind = kind,
                                       .cell = cell < CELLS ? &w.cells[cell] : NULL,
                                       .outcome = str_from(outcome),
                                       .actor = { STR("unknown"), str_from(role), str_from(rule),
                                                  str_from(request) },
                                       .home = STR("us") };
    return trace_note(w.trace, &event);
}

static bool refuse(unsigned number)
{
    return note(TRACE_REFUSAL, "policy", "default-deny", "sysadmin", 1, number);
}

static uint64_t summed(void)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < w.count; i++)
        sum += w.rows[i].count;
    return sum;
}

static size_t rows_alone(void)
{
    size_t rows = 0;
    for (size_t i = 0; i < w.count; i++)
        rows += w.rows[i].count == 0;
    return rows;
}

#define TEST_ON_LOOP(name)                                                                                   \
    static void body_of_##name(void *arg);                                                                   \
    static void name(void **state)                                                                           \
    {                                                                                                        \
        on_loop(body_of_##name, NULL);                                                                       \
    }                                                                                                        \
    static void body_of_##name(void *arg)

TEST_ON_LOOP(p3_a_thousand_refusals_leave_64_rows_and_sums_of_the_rest)
{
    begin();
    for (unsigned i = 0; i < 1000; i++)
        assert_true(refuse(i) == (i < TRACE_KEPT));
    check_ok(fiber_sleep(SEC(1)));
    assert_int_equal(w.count, TRACE_KEPT);
    assert_int_equal(w.warnings, TRACE_KEPT);
    for (size_t i = 0; i < w.count; i++) {
        char request[40];
        snprintf(request, sizeof request, "0123456789abcdef%08zx", i);
        assert_string_equal(w.rows[i].request, request);
        assert_string_equal(w.rows[i].action, "refusal");
        assert_int_equal(w.rows[i].cell, 1);
    }
    check_ok(fiber_sleep(SEC(62))); /* nothing else is noted: the minute ends all the same */
    assert_int_equal(w.count, TRACE_KEPT + 1);
    assert_int_equal(w.warnings, TRACE_KEPT + 1);
    const struct written *sum = &w.rows[TRACE_KEPT];
    assert_int_equal(sum->count, 1000 - TRACE_KEPT);
    assert_int_equal(sum->cell, 0); /* a sum is of no one cell */
    assert_string_equal(sum->outcome, "policy");
    assert_string_equal(sum->request, "0123456789abcdef00000040");
    assert_string_equal(sum->request_to, "0123456789abcdef000003e7");
    assert_int_equal(trace_stats(w.trace).rows, TRACE_KEPT);
    assert_int_equal(trace_stats(w.trace).summed, 1000 - TRACE_KEPT);
    end(0);
}

TEST_ON_LOOP(each_minute_has_its_own)
{
    begin();
    for (unsigned i = 0; i < 70; i++)
        refuse(i);
    check_ok(fiber_sleep(SEC(59)));
    assert_false(refuse(70));
    check_ok(fiber_sleep(SEC(3)));
    for (unsigned i = 71; i < 141; i++)
        assert_true(refuse(i) == (i < 71 + TRACE_KEPT));
    end(SEC(10));
    assert_int_equal(rows_alone(), 2 * TRACE_KEPT);
    assert_int_equal(summed(), 7 + 6);
}

TEST_ON_LOOP(a_flood_of_one_kind_hides_no_other)
{
    begin();
    for (unsigned i = 0; i < 500; i++)
        refuse(i);
    for (unsigned i = 0; i < TRACE_KEPT; i++) {
        assert_true(note(TRACE_ALARM, "tampered", "own-records", "customer-app", 1, 1000 + i));
        assert_true(note(TRACE_TOKEN, "given", "none", "customer-app", 0, 2000 + i));
    }
    assert_false(note(TRACE_ALARM, "tampered", "own-records", "customer-app", 1, 3000));
    end(SEC(10));
    assert_int_equal(rows_alone(), 3 * TRACE_KEPT);
    assert_int_equal(summed(), 500 - TRACE_KEPT + 1);
}

TEST_ON_LOOP(sums_are_by_kind_rule_role_and_home_and_bounded)
{
    begin();
    for (unsigned i = 0; i < TRACE_KEPT; i++)
        refuse(i);
    for (unsigned i = 0; i < 10; i++) {
        refuse(1000 + i);
        note(TRACE_REFUSAL, "policy", "default-deny", "security", 1, 2000 + i);
        note(TRACE_REFUSAL, "policy", "another", "sysadmin", 1, 3000 + i);
        note(TRACE_REFUSAL, "forbidden", "default-deny", "sysadmin", 0, 4000 + i);
    }
    check_ok(fiber_sleep(SEC(63)));
    assert_int_equal(w.count, TRACE_KEPT + 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(w.rows[TRACE_KEPT + i].count, 10);
    for (unsigned i = 0; i < TRACE_KEPT + 1000; i++) {
        char rule[16];
        snprintf(rule, sizeof rule, "rule-%u", i);
        note(TRACE_REFUSAL, "policy", rule, "sysadmin", 1, 10000 + i);
    }
    end(SEC(10));
    assert_int_equal(w.count, 2 * TRACE_KEPT + 4 + TRACE_SUMS_MAX + 1);
    for (size_t i = 0; i < w.count; i++)
        if (strcmp(w.rows[i].outcome, "other") == 0)
            assert_int_equal(w.rows[i].count, 1000 - TRACE_SUMS_MAX);
    assert_int_equal(summed(), 40 + 1000);
}

/* A range that went from the ids of one prefix to those of the next would hold ids of any gateway. */
TEST_ON_LOOP(a_sum_has_the_ids_of_one_prefix)
{
    begin();
    for (unsigned i = 0; i < TRACE_KEPT + 3; i++)
        refuse(i);
    const struct trace_event next = { .outcome = STR("policy"),
                                      .actor = { STR("unknown"), STR("sysadmin"), STR("default-deny"),
                                                 STR("fedcba987654321000000000") },
                                      .home = STR("us") };
    assert_false(trace_note(w.trace, &next));
    end(SEC(10));
    assert_int_equal(w.count, TRACE_KEPT + 2);
    assert_int_equal(rows_alone(), TRACE_KEPT);
    for (size_t i = 0; i < w.count; i++)
        if (w.rows[i].count > 0)
            assert_int_equal(strncmp(w.rows[i].request, w.rows[i].request_to, 16), 0);
}

TEST_ON_LOOP(p8_with_the_cell_away_nothing_blocks_and_queues_are_bounded)
{
    begin();
    w.fails[0] = w.fails[1] = E_UNAVAILABLE;
    uint64_t turns = loop_stats().turns, began = clock_monotonic_ns();
    for (unsigned i = 0; i < 100; i++)
        refuse(i);
    assert_true(loop_stats().turns == turns && clock_monotonic_ns() == began);
    unsigned minutes = 3 + TRACE_QUEUE_ROWS / TRACE_KEPT;
    for (unsigned minute = 0; minute < minutes; minute++) {
        check_ok(fiber_sleep(SEC(62)));
        for (unsigned i = 0; i < 100; i++)
            refuse(1000 * (minute + 1) + i);
    }
    struct trace_stats stats = trace_stats(w.trace);
    assert_true(stats.queued <= 2 * TRACE_QUEUE_ROWS);
    assert_int_equal(stats.dropped + stats.queued, (minutes + 1) * TRACE_KEPT + minutes); /* a sum a minute */
    assert_true(stats.dropped > 0 && w.count == 0);
    size_t queued = stats.queued, errors = w.errors;
    assert_true(errors >= 1 && errors <= minutes); /* told once a minute */
    w.fails[0] = w.fails[1] = E_OK;
    check_ok(fiber_sleep(SEC(30)));
    assert_true(w.count >= queued && trace_stats(w.trace).queued == 0);
    assert_true(rows_alone() > 0 && summed() > 0);
    end(0);
}

TEST_ON_LOOP(a_sum_that_is_dropped_counts_as_what_it_sums)
{
    begin();
    w.fails[0] = E_SQL;
    for (unsigned i = 0; i < 1000; i++)
        refuse(i);
    end(SEC(10));
    assert_int_equal(w.count, TRACE_KEPT);
    assert_int_equal(w.errors, 1);
}

/* Whether it was written is not known, so it must not be written again: sums would add up to more than there was. */
TEST_ON_LOOP(a_row_whose_fate_is_unknown_is_dropped)
{
    begin();
    w.fails[1] = E_DEADLINE;
    refuse(1);
    check_ok(fiber_sleep(SEC(5)));
    assert_int_equal(w.tries, 1);
    assert_int_equal(trace_stats(w.trace).dropped, 1);
    w.fails[1] = E_OK;
    refuse(2);
    check_ok(fiber_sleep(SEC(5)));
    assert_int_equal(w.count, 1);
    end(0);
}

TEST_ON_LOOP(a_cell_that_hangs_holds_up_no_other_and_no_end)
{
    begin();
    w.hangs = true;
    note(TRACE_REFUSAL, "customer-unknown", "customer-unknown", "sysadmin", CELLS, 1);
    note(TRACE_REFUSAL, "policy", "default-deny", "customer-app", 0, 2);
    refuse(3);
    check_ok(fiber_sleep(SEC(1)));
    assert_int_equal(w.count, 1);
    assert_int_equal(w.rows[0].cell, 1);
    uint64_t began = clock_monotonic_ns();
    end(SEC(2));
    assert_true(clock_monotonic_ns() - began <= UINT64_C(2100) * 1000 * 1000);
}

TEST_ON_LOOP(what_is_too_long_is_cut)
{
    begin();
    char word[600];
    memset(word, 'a', sizeof word);
    const struct str longer = { word, sizeof word };
    const struct trace_event event = { .outcome = longer,
                                       .customer = longer,
                                       .class = longer,
                                       .key = longer,
                                       .actor = { longer, longer, longer, longer },
                                       .home = longer };
    for (int i = 0; i <= TRACE_KEPT; i++)
        trace_note(w.trace, &event);
    end(SEC(10));
    assert_int_equal(w.count, TRACE_KEPT + 1);
    assert_int_equal(strlen(w.rows[0].rule), TRACE_RULE_SIZE - 1);
    assert_int_equal(strlen(w.rows[0].request), TRACE_WORD_SIZE - 1);
    assert_int_equal(strlen(w.rows[TRACE_KEPT].request_to), TRACE_WORD_SIZE - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p3_a_thousand_refusals_leave_64_rows_and_sums_of_the_rest),
        cmocka_unit_test(each_minute_has_its_own),
        cmocka_unit_test(a_flood_of_one_kind_hides_no_other),
        cmocka_unit_test(sums_are_by_kind_rule_role_and_home_and_bounded),
        cmocka_unit_test(a_sum_has_the_ids_of_one_prefix),
        cmocka_unit_test(p8_with_the_cell_away_nothing_blocks_and_queues_are_bounded),
        cmocka_unit_test(a_sum_that_is_dropped_counts_as_what_it_sums),
        cmocka_unit_test(a_row_whose_fate_is_unknown_is_dropped),
        cmocka_unit_test(a_cell_that_hangs_holds_up_no_other_and_no_end),
        cmocka_unit_test(what_is_too_long_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
