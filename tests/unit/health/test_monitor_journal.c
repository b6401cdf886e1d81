#include "check.h"

#include "health/monitor_journal.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct monitor_journal written, got;
static char folder[64], path[96];

static int set_up(void **state)
{
    strcpy(folder, "/tmp/domicile-journal.XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/d.sqlite.c-1.monitor", folder);
    memset(&written, 0, sizeof written);
    memset(&got, 0xff, sizeof got);
    written.fence = 3;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const endings[] = { "", ".lock", ".new" };
    for (size_t i = 0; i < 3; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s%s", path, endings[i]);
        unlink(name);
    }
    rmdir(folder);
    return 0;
}

static void write_text(const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void no_file_is_an_empty_journal(void **state)
{
    check_ok(monitor_journal_load(path, &got));
    assert_int_equal(got.count, 0);
    assert_int_equal(got.fence, 0);
    assert_false(got.mark.degraded);
}

static void what_is_written_is_read(void **state)
{
    assert_true(monitor_journal_add(&written, 1, "cell-state", "blocked", "healthy -> blocked: \"why\""));
    assert_true(monitor_journal_add(&written, 2, "cell-state", "healthy", "blocked -> healthy"));
    written.mark = (struct monitor_mark){ true, 7, 1700000000000 };
    written.lost = 4;
    check_ok(monitor_journal_save(path, &written));
    check_ok(monitor_journal_load(path, &got));
    assert_int_equal(got.count, 2);
    assert_memory_equal(got.rows, written.rows, 2 * sizeof got.rows[0]);
    assert_int_equal(got.fence, 3);
    assert_int_equal(got.lost, 4);
    assert_true(got.mark.degraded && got.mark.epoch == 7 && got.mark.since_ms == 1700000000000);
    monitor_journal_drop_first(&got, 1);
    assert_int_equal(got.count, 1);
    assert_string_equal(got.rows[0].result, "healthy");
}

static void an_earlier_fence_does_not_write_over_a_later_one(void **state)
{
    check_ok(monitor_journal_save(path, &written));
    written.fence = 2;
    check_fails(E_STALE, monitor_journal_save(path, &written));
    written.fence = 3;
    check_ok(monitor_journal_save(path, &written));
    check_ok(monitor_journal_load(path, &got));
    assert_int_equal(got.fence, 3);
}

static void a_full_journal_counts_what_it_loses(void **state)
{
    for (int i = 1; i <= MONITOR_ROWS_MAX; i++)
        assert_true(monitor_journal_add(&written, i, "a", "b", "c"));
    assert_false(monitor_journal_add(&written, MONITOR_ROWS_MAX + 1, "a", "b", "c"));
    assert_int_equal(written.lost, 1);
    for (int i = 0; i < MONITOR_ROWS_MAX; i++) /* of the longest kind */
        memset(written.rows[i].what, 'w', MONITOR_WHAT_MAX);
    check_ok(monitor_journal_save(path, &written));
    check_ok(monitor_journal_load(path, &got));
    assert_int_equal(got.count, MONITOR_ROWS_MAX);
    assert_int_equal(got.lost, 1);
}

static void a_path_is_whole_or_refused(void **state)
{
    char longer[PATH_MAX + 2];
    memset(longer, 'p', sizeof longer);
    memcpy(longer + sizeof longer - 12, "/eu.monitor", 12);
    longer[0] = '/';
    result r = monitor_journal_save(longer, &written);
    assert_int_equal(r.error.code, E_LIMIT);
    assert_non_null(strstr(r.error.what, "p/eu.monitor\" is too long"));
}

static void anything_else_is_refused_and_left_alone(void **state)
{
    static const char one_row[] = "{\"fence\":1,\"rows\":[{\"fence\":1,\"number\":0,\"action\":\"a\","
                                  "\"result\":\"b\",\"what\":\"c\"}]}"; /* rows are counted from 1 */
    static const char *const texts[] = {
        "x",
        "{}",
        "[]",
        "{\"fence\":1}",
        "{\"fence\":0,\"rows\":[]}",
        "{\"fence\":1,\"rows\":[{}]}",
        one_row,
        "{\"fence\":1,\"rows\":[]} x",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        write_text(texts[i]);
        check_fails(E_FORMAT, monitor_journal_load(path, &got));
        check_fails(E_FORMAT, monitor_journal_save(path, &written));
    }
}

static void a_folder_that_is_not_there_is_said(void **state)
{
    check_fails(E_IO, monitor_journal_save("/nonexistent/x", &written));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_file_is_an_empty_journal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_written_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_earlier_fence_does_not_write_over_a_later_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_journal_counts_what_it_loses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_path_is_whole_or_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(anything_else_is_refused_and_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_folder_that_is_not_there_is_said, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
