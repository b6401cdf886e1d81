/* The tables on a cell: sound, and those that earlier versions' runs began with. */
#include "check.h"

#include "cell/runbooks.h"
#include "runbook/journal.h"

static void all_tables_are_sound(void **state)
{
    for (const struct runbook *const *at = cell_runbooks; *at != NULL; at++) {
        check_ok(runbook_check(*at));
        assert_ptr_equal(runbook_find(cell_runbooks, str_from((*at)->name)), *at);
    }
}

/* A run is resumed by a program whose table has the same shape. Where a table has to change, so does this test. */
static void runs_that_are_open_can_be_resumed(void **state)
{
    static const char *const shapes[][2] = {
        { "provision", "20ea7e7ee38bdaac" },
        { "adopt", "6c12bf5412054454" },
        { "add-standby", "71ebb55ca0daa7ab" },
        { "remove-standby", "3ba32813fe699efa" },
    };
    for (size_t i = 0; i < COUNT(shapes); i++) {
        char shape[JOURNAL_SUM_HEX + 1];
        runbook_shape(runbook_find(cell_runbooks, str_from(shapes[i][0])), shape);
        assert_string_equal(shape, shapes[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_tables_are_sound),
        cmocka_unit_test(runs_that_are_open_can_be_resumed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
