/* The lists of services in the embedded directory, and the replica's memory of them. */
#include "directory_test.h"

#include "directory/replica.h"

#include <sqlite3.h>

static int run_sql(const char *sql)
{
    sqlite3 *db;
    must(sqlite3_open(path, &db) == SQLITE_OK);
    int code = sqlite3_exec(db, sql, NULL, NULL, NULL);
    sqlite3_close(db);
    return code;
}

static enum error_code keep(struct directory *directory, uint32_t version, const char *document, bool new)
{
    bool is_new = !new;
    result r = directory_services_keep(directory, version, str_from(document), &is_new);
    assert_true(failed(r) || is_new == new);
    return r.error.code;
}

static void keep_body(void *arg)
{
    struct directory *a = open_here(), *b = open_here();
    struct arena arena;
    struct directory_services got = { 0 };
    arena_init(&arena);
    check_fails(E_NOT_FOUND, directory_services_get(a, &arena, 1, &got));
    assert_true(keep(a, 1, "one", true) == E_OK);
    assert_true(keep(b, 1, "one", false) == E_OK);
    assert_true(keep(b, 1, "another", true) == E_CONFLICT);
    assert_true(keep(b, 3, "three", true) == E_OK); /* numbers may be left out */
    assert_true(keep(a, 2, "two", true) == E_STALE);
    assert_true(keep(a, 1, "one", false) == E_STALE); /* known, and the past */
    assert_true(keep(a, 3, "three", false) == E_OK);
    check_ok(directory_services_get(a, &arena, 1, &got));
    assert_true(got.version == 1 && str_is(got.document, "one") &&
                strcmp(got.digest, "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed") == 0);
    check_fails(E_NOT_FOUND, directory_services_get(a, &arena, 2, &got));
    directory_free(a);
    a = open_here(); /* after a restart */
    assert_true(keep(a, 3, "changed", true) == E_CONFLICT);
    assert_true(keep(a, UINT32_MAX, "", true) == E_OK);
    check_ok(directory_services_get(b, &arena, UINT32_MAX, &got));
    assert_true(got.document.len == 0);
    directory_free(a);
    directory_free(b);
    arena_done(&arena);
}

static void a_list_is_written_once_and_versions_only_grow(void **state)
{
    on_loop(keep_body, NULL);
}

struct race {
    const char *document;
    enum error_code code;
};

static void race_one(void *arg)
{
    struct race *race = arg;
    struct directory *directory = open_here();
    race->code = keep(directory, 7, race->document, true);
    directory_free(directory);
}

static void race_body(void *arg)
{
    enum { COUNT = 4 };
    struct race races[COUNT] = {
        { .document = "a" }, { .document = "b" }, { .document = "c" }, { .document = "d" }
    };
    struct scope scope = SCOPE_INIT;
    directory_free(open_here());
    for (size_t i = 0; i < COUNT; i++)
        check_ok(fiber_spawn(&scope, "keeper", race_one, &races[i]));
    check_ok(scope_join(&scope));
    size_t kept = 0, refused = 0;
    for (size_t i = 0; i < COUNT; i++) {
        kept += races[i].code == E_OK;
        refused += races[i].code == E_CONFLICT;
    }
    assert_true(kept == 1 && refused == COUNT - 1);
}

static void of_two_lists_at_once_one_is_kept(void **state)
{
    on_loop(race_body, NULL);
}

static void large_body(void *arg)
{
    struct directory *directory = open_here();
    struct arena arena;
    struct directory_services got;
    bool new;
    arena_init(&arena);
    char *large = arena_alloc(&arena, DIRECTORY_SERVICES_BYTES_MAX + 1);
    memset(large, 'x', DIRECTORY_SERVICES_BYTES_MAX + 1);
    check_fails(E_LIMIT, directory_services_keep(
                             directory, 1, (struct str){ large, DIRECTORY_SERVICES_BYTES_MAX + 1 }, &new));
    check_fails(E_NOT_FOUND, directory_services_get(directory, &arena, 1, &got));
    check_ok(
        directory_services_keep(directory, 1, (struct str){ large, DIRECTORY_SERVICES_BYTES_MAX }, &new));
    check_ok(directory_services_get(directory, &arena, 1, &got));
    assert_true(got.document.len == DIRECTORY_SERVICES_BYTES_MAX);
    directory_free(directory);
    arena_done(&arena);
}

static void p8_a_list_that_is_too_large_is_refused(void **state)
{
    on_loop(large_body, NULL);
}

static void tampered_body(void *arg)
{
    struct directory *directory = open_here();
    struct arena arena;
    struct directory_services got = { .version = 9 };
    arena_init(&arena);
    assert_true(keep(directory, 1, "one", true) == E_OK);
    assert_true(run_sql("UPDATE services SET document = 'other'") == SQLITE_CONSTRAINT);
    assert_true(run_sql("DELETE FROM services") == SQLITE_CONSTRAINT);
    assert_true(run_sql("DROP TRIGGER services_stay; UPDATE services SET document = 'other'") == SQLITE_OK);
    check_fails(E_DIRECTORY, directory_services_get(directory, &arena, 1, &got));
    assert_true(run_sql("UPDATE services SET digest = 'short'") == SQLITE_OK);
    check_fails(E_DIRECTORY, directory_services_get(directory, &arena, 1, &got));
    assert_true(keep(directory, 1, "one", false) == E_DIRECTORY);
    assert_true(got.version == 9);
    directory_free(directory);
    arena_done(&arena);
}

static void p1_a_list_that_was_tampered_with_is_not_believed(void **state)
{
    on_loop(tampered_body, NULL);
}

static void replica_body(void *arg)
{
    struct directory *directory = open_here(), *elsewhere = open_here();
    struct directory_replica *replica = NULL;
    struct scope scope = SCOPE_INIT;
    struct str got = { 0 }, again = { 0 };
    check_ok(directory_replica_start(&replica, directory, &scope));
    check_fails(E_DIRECTORY, directory_replica_services(replica, 1, &got));
    assert_true(keep(elsewhere, 1, "one", true) == E_OK);
    check_ok(directory_replica_services(replica, 1, &got));
    assert_true(str_is(got, "one"));
    directory_replica_learn_services(replica, 2, STR("two"));
    char aside[128];
    snprintf(aside, sizeof aside, "%s.aside", path);
    must(rename(path, aside) == 0);
    check_ok(directory_replica_services(replica, 1, &again));
    assert_true(again.ptr == got.ptr);
    check_ok(directory_replica_services(replica, 2, &again));
    assert_true(str_is(again, "two"));
    check_fails(E_DIRECTORY, directory_replica_services(replica, 3, &again));
    must(rename(aside, path) == 0);
    scope_end(&scope);
    directory_replica_free(replica);
    directory_free(directory);
    directory_free(elsewhere);
}

static void the_replica_remembers_and_guesses_nothing(void **state)
{
    on_loop(replica_body, NULL);
}

#define test(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_list_is_written_once_and_versions_only_grow),
        test(of_two_lists_at_once_one_is_kept),
        test(p8_a_list_that_is_too_large_is_refused),
        test(p1_a_list_that_was_tampered_with_is_not_believed),
        test(the_replica_remembers_and_guesses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
