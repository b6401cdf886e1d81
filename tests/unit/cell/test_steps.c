/* What steps share: variables of psql, and whom a primary waits for. */
#include "check.h"

#include "cell/internal.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static struct arena arena;

static int set_up(void **state)
{
    arena_init(&arena);
    return 0;
}

static int tear_down(void **state)
{
    arena_done(&arena);
    return 0;
}

static struct node nodes[] = { { .name = { "eu1", 3 }, .port = 5432, .paths = { .bin = "/pg/bin" } },
                               { .name = { "eu2", 3 } },
                               { .name = { "eu3", 3 } } };
static struct cell cell = { .nodes = nodes, .node_count = 3, .primary = &nodes[0], .synchronous = true };

static void every_variable_reaches_psql(void **state)
{
    struct host_sql sql = { .text = "SELECT 1;" };
    size_t found = 0;
    for (size_t i = 0; i < SQL_VARIABLES_MAX; i++)
        sql.variables[i] = arena_printf(&arena, "name%zu=value", i);
    const char *const *argv = host_sql_argv(&arena, &nodes[0], &sql, "/socket");
    assert_string_equal(host_program_of(argv), "/pg/bin/psql");
    for (size_t i = 0; argv[i] != NULL; i++)
        if (strncmp(argv[i], "name", 4) == 0) {
            assert_string_equal(argv[i - 1], "--set");
            assert_string_equal(argv[i], sql.variables[found++]);
        }
    assert_int_equal(found, SQL_VARIABLES_MAX);
}

/* One more than there is room for is a bug of ours: it ends the program, and is not left out. */
static void too_many_variables_are_refused_loudly(void **state)
{
    struct host_sql sql = { .text = "SELECT 1;" };
    int status;
    for (size_t i = 0; i <= SQL_VARIABLES_MAX; i++)
        sql.variables[i] = "name=value";
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit no_core = { 0, 0 };
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGABRT, SIG_DFL);
        if (freopen("/dev/null", "w", stderr) != NULL)
            host_sql_argv(&arena, &nodes[0], &sql, "/socket");
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void a_primary_waits_for_the_standbys_that_stay(void **state)
{
    struct provisioning p = { .cell = &cell };
    const struct node *standbys[CELL_NODES_MAX];
    cell.synchronous = true;
    assert_int_equal(standbys_awaited(&p, standbys), 2);
    assert_ptr_equal(standbys[0], &nodes[1]);
    assert_ptr_equal(standbys[1], &nodes[2]);
    p.leaving = &nodes[1];
    assert_int_equal(standbys_awaited(&p, standbys), 1);
    assert_ptr_equal(standbys[0], &nodes[2]);
}

/* It has standbys all the same. */
static void of_an_asynchronous_cell_it_waits_for_nobody(void **state)
{
    const struct provisioning p = { .cell = &cell };
    const struct node *standbys[CELL_NODES_MAX];
    cell.synchronous = false;
    assert_int_equal(standbys_awaited(&p, standbys), 0);
    assert_int_equal(standbys_that_stay(&p, standbys), 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(every_variable_reaches_psql),
        TEST(too_many_variables_are_refused_loudly),
        TEST(a_primary_waits_for_the_standbys_that_stay),
        TEST(of_an_asynchronous_cell_it_waits_for_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
