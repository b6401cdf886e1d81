/* The tests' own harness: a check that fails on a loop fails its test, and nothing else. This program runs itself with
 * the word "failing" to see how tests fail. */
#include "loop/on_loop.h"

#include <sys/wait.h>
#include <unistd.h>

/* ---- tests that fail ---- */

ON_LOOP(on_the_main_fiber)
{
    struct deadline deadline;
    deadline_begin(&deadline, SEC(1));
    check_ok(fiber_yield());
    assert_int_equal(1 + 1, 3);
}

static void fail_later(void *arg)
{
    check_ok(fiber_sleep(1));
    assert_string_equal((const char *)arg, "b");
}

ON_LOOP(on_a_child_while_its_parent_waits)
{
    struct scope scope = SCOPE_INIT;
    check_ok(fiber_spawn(&scope, "child", fail_later, "a"));
    check_ok(fiber_spawn(&scope, "sibling", fail_later, "b"));
    check_ok(scope_join(&scope));
}

static void fail_in_hook(struct turn_hook *hook)
{
    assert_null(hook);
}

ON_LOOP(in_a_callback)
{
    struct turn_hook hook = { .run = fail_in_hook };
    turn_hook_ask(&hook);
    check_ok(fiber_sleep(SEC(1)));
}

static int worked;

static void work(void *arg)
{
    usleep(50 * 1000);
    __atomic_add_fetch(&worked, 1, __ATOMIC_SEQ_CST);
}

static void offload(void *arg)
{
    check_ok(fiber_offload(work, NULL));
}

ON_LOOP(while_a_thread_works_for_the_loop)
{
    struct scope scope = SCOPE_INIT;
    check_ok(fiber_spawn(&scope, "offload", offload, NULL));
    check_ok(fiber_sleep(5));
    check_ok(FAIL(E_IO, NULL, "the disk is gone"));
}

ON_LOOP(under_a_virtual_clock)
{
    loop_use_virtual_clock(0);
    check_ok(fiber_sleep(SEC(1000)));
    check_fails(E_OK, FAIL(E_IO, NULL, "the disk is gone"));
}

static void outside_of_a_loop(void **state)
{
    assert_true(loop_current != NULL);
}

/* ---- and one that does not ---- */

ON_LOOP(the_next_test_has_a_loop_of_its_own)
{
    uint64_t begun_ns = clock_monotonic_ns();
    for (int i = 0; i < 1000 && __atomic_load_n(&worked, __ATOMIC_SEQ_CST) == 0; i++)
        check_ok(fiber_sleep(10));
    assert_true(clock_monotonic_ns() > begun_ns);
    assert_int_equal(worked, 1);
    offload(NULL);
    assert_int_equal(worked, 2);
    assert_non_null(arena_printf(&test_arena, "%d", worked));
}

static int run_failing(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(on_the_main_fiber),
        cmocka_unit_test(on_a_child_while_its_parent_waits),
        cmocka_unit_test(in_a_callback),
        cmocka_unit_test(while_a_thread_works_for_the_loop),
        cmocka_unit_test(under_a_virtual_clock),
        cmocka_unit_test(outside_of_a_loop),
        cmocka_unit_test(the_next_test_has_a_loop_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* ---- how they fail ---- */

/* What failed tests leave open is no finding of the sanitizer's here. */
static FILE *start_failing(pid_t *ret_pid)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(ends[1], 1);
        dup2(ends[1], 2);
        close(ends[0]);
        close(ends[1]);
        setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
        execl("/proc/self/exe", "test_loop_on_loop", "failing", (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    *ret_pid = pid;
    return fdopen(ends[0], "r");
}

static void failed_checks_fail_their_tests_and_nothing_else(void **state)
{
    static const char *const wanted[] = { "test_on_loop.c:",
                                          "1 + 1 == 3: 2 (0x2) and 3 (0x3)",
                                          "\"a\" and \"b\"",
                                          "hook == NULL",
                                          "failed: E_IO: the disk is gone",
                                          "gave E_IO (the disk is gone), expected E_OK",
                                          "loop_current != NULL",
                                          "[  FAILED  ] 6 test(s)",
                                          "[       OK ] the_next_test_has_a_loop_of_its_own" };
    static char said[32768];
    pid_t pid;
    int status;
    FILE *output = start_failing(&pid);
    said[fread(said, 1, sizeof said - 1, output)] = '\0';
    fclose(output);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 6)
        fail_msg("the status is 0x%x: %s", (unsigned)status, said);
    for (size_t i = 0; i < COUNT(wanted); i++)
        if (strstr(said, wanted[i]) == NULL)
            fail_msg("\"%s\" is not in: %s", wanted[i], said);
    assert_null(strstr(said, "Sanitizer"));
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "failing") == 0)
        return run_failing();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failed_checks_fail_their_tests_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
