/* The embedded directory on a file of its own. */
#include "directory_test.h"

#include "base/clock.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>

static uint64_t put(struct directory *directory, const char *id, uint32_t epoch, uint64_t expected)
{
    struct directory_entry entry = entry_of(id, "eu-fr", epoch);
    uint64_t version = 0;
    check_ok(directory_swap(directory, &entry, expected, &version));
    return version;
}

static void run_sql(const char *sql)
{
    sqlite3 *db;
    must(sqlite3_open(path, &db) == SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        assert_true(!"the test's own statement failed");
    sqlite3_close(db);
}

static int open_mode(void)
{
    struct stat st;
    return stat(path, &st) == 0 ? (int)(st.st_mode & 07777U) : -1;
}

/* ---- get, list, swap, remove ---- */

static void swap_body(void *arg)
{
    struct arena arena;
    arena_init(&arena);
    struct directory *a = open_here(), *b = open_here();
    struct directory_entry got, entry = entry_of("clinique-lumiere", "eu-fr", 7);
    uint64_t version = 0, later = 0;
    check_fails(E_CUSTOMER_UNKNOWN, directory_get(a, &arena, entry.id, &got));
    check_fails(E_STALE, directory_swap(a, &entry, 1, &version));
    check_ok(directory_swap(a, &entry, 0, &version));
    assert_true(version > 0);
    check_fails(E_STALE, directory_swap(b, &entry, 0, &later));
    check_ok(directory_get(b, &arena, entry.id, &got));
    assert_true(str_eq(got.id, entry.id) && str_is(got.region, "eu-fr") && str_is(got.cell, "main") &&
                got.epoch == 7 && got.services_version == 3 && got.state == CUSTOMER_ACTIVE &&
                got.version == version);

    got.state = CUSTOMER_MOVING;
    check_ok(directory_swap(b, &got, version, &later));
    assert_true(later > version);
    check_fails(E_STALE, directory_swap(a, &entry, version, &version));
    check_ok(directory_get(a, &arena, entry.id, &got));
    assert_true(got.state == CUSTOMER_MOVING && got.version == later);

    check_fails(E_STALE, directory_remove(a, entry.id, version, &version));
    check_fails(E_STALE, directory_remove(a, entry.id, 0, &version));
    check_ok(directory_remove(a, entry.id, later, &version));
    assert_true(version > later);
    check_fails(E_CUSTOMER_UNKNOWN, directory_get(b, &arena, entry.id, &got));
    check_fails(E_STALE, directory_remove(b, entry.id, version, &later));
    assert_true(put(b, "clinique-lumiere", 1, 0) > version);
    directory_free(a);
    directory_free(b);
    arena_done(&arena);
}

static void swap_takes_the_expected_version_only(void **state)
{
    on_loop(swap_body, NULL);
    assert_int_equal(open_mode() & ~0640, 0);
}

static void bad_names_body(void *arg)
{
    struct directory *directory = open_here();
    struct arena arena;
    arena_init(&arena);
    uint64_t version;
    struct directory_entry got, bad = entry_of("Upper", "eu-fr", 1);
    check_fails(E_ARGUMENT, directory_swap(directory, &bad, 0, &version));
    bad = entry_of("customer", "", 1);
    check_fails(E_ARGUMENT, directory_swap(directory, &bad, 0, &version));
    bad = entry_of("customer", "eu-fr", 1);
    bad.cell = STR("a/b");
    check_fails(E_ARGUMENT, directory_swap(directory, &bad, 0, &version));
    bad.cell = STR("main");
    bad.state = CUSTOMER_STATE_UNKNOWN;
    check_fails(E_ARGUMENT, directory_swap(directory, &bad, 0, &version));
    check_fails(E_ARGUMENT, directory_get(directory, &arena, STR("x' OR 1"), &got));
    check_fails(E_CUSTOMER_UNKNOWN, directory_get(directory, &arena, STR("customer"), &got));
    arena_done(&arena);
    directory_free(directory);
}

static void p8_bad_names_are_refused(void **state)
{
    on_loop(bad_names_body, NULL);
}

static void list_body(void *arg)
{
    enum { COUNT = 25, LIMIT = 10 };
    struct directory *directory = open_here();
    struct arena arena;
    arena_init(&arena);
    uint64_t version = 0;
    for (int i = COUNT; i-- > 0;) {
        char id[16];
        snprintf(id, sizeof id, "c-%02d", i);
        version = put(directory, id, 1, 0);
        if (i == 5)
            check_ok(directory_remove(directory, str_from(id), version, &version));
    }
    struct directory_page page = { .more = true };
    struct str after = STR("");
    size_t seen = 0;
    while (page.more) {
        check_ok(directory_list(directory, &arena, after, LIMIT, &page));
        assert_true(page.count > 0 && page.count <= LIMIT && page.revision == version);
        for (size_t i = 0; i < page.count; i++, seen++) {
            assert_true(seen == 0 || str_compare(after, page.entries[i].id) < 0);
            assert_true(!str_is(page.entries[i].id, "c-05"));
            after = page.entries[i].id;
        }
        if (page.count == 0)
            break;
    }
    assert_true(seen == COUNT - 1);
    check_ok(directory_list(directory, &arena, after, LIMIT, &page));
    assert_true(page.count == 0 && !page.more);
    arena_done(&arena);
    directory_free(directory);
}

static void list_goes_through_all_in_order(void **state)
{
    on_loop(list_body, NULL);
}

static void unknown_state_body(void *arg)
{
    struct directory *directory = open_here();
    struct arena arena;
    arena_init(&arena);
    put(directory, "customer", 1, 0);
    run_sql("UPDATE customer SET state = 'levitating'");
    struct directory_entry got = { .state = CUSTOMER_ACTIVE };
    check_ok(directory_get(directory, &arena, STR("customer"), &got));
    assert_true(got.state == CUSTOMER_STATE_UNKNOWN);
    run_sql("UPDATE customer SET region = 'not a name'");
    check_fails(E_DIRECTORY, directory_get(directory, &arena, STR("customer"), &got));
    arena_done(&arena);
    directory_free(directory);
}

static void p1_a_state_without_meaning_shows_as_unknown(void **state)
{
    on_loop(unknown_state_body, NULL);
}

/* ---- watch ---- */

static struct directory *writing;

static void write_later(void *arg)
{
    uint64_t version = 0;
    check_ok(fiber_sleep(150));
    version = put(writing, "first", 1, 0);
    put(writing, "second", 1, 0);
    put(writing, "first", 2, version);
    check_ok(directory_get(writing, arg, STR("second"), &(struct directory_entry){ 0 }));
}

static void watch_body(void *arg)
{
    struct directory *watching = open_here();
    struct scope scope = SCOPE_INIT;
    struct arena arena;
    arena_init(&arena);
    writing = open_here();
    struct directory_changes seen;
    check_ok(directory_watch(watching, &arena, 0, &seen)); /* nothing happens: a sign of life */
    assert_true(seen.count == 0 && seen.revision == 0);
    check_ok(fiber_spawn(&scope, "writer", write_later, &arena));
    size_t firsts = 0, seconds = 0;
    uint64_t last = 0;
    for (int rounds = 0; last < 3 && rounds < 20; rounds++) {
        check_ok(directory_watch(watching, &arena, seen.revision, &seen));
        for (size_t i = 0; i < seen.count; i++) {
            const struct directory_change *change = &seen.changes[i];
            assert_true(change->entry.version > last && !change->removed);
            last = change->entry.version;
            firsts +=
                str_is(change->entry.id, "first") && change->entry.version == 3 && change->entry.epoch == 2;
            seconds += str_is(change->entry.id, "second");
        }
    }
    assert_true(firsts == 1 && seconds == 1 && seen.revision == 3);
    check_ok(scope_join(&scope));
    uint64_t version;
    check_ok(directory_remove(writing, STR("second"), 2, &version));
    check_ok(directory_watch(watching, &arena, seen.revision, &seen));
    assert_true(seen.count == 1 && seen.changes[0].removed && str_is(seen.changes[0].entry.id, "second"));
    check_fails(E_DIRECTORY,
                directory_watch(watching, &arena, version + 1, &seen)); /* it went back in time */
    directory_free(watching);
    directory_free(writing);
    arena_done(&arena);
}

static void watch_sees_what_another_handle_writes(void **state)
{
    on_loop(watch_body, NULL);
}

static void watch_until_cancelled(void *arg)
{
    struct arena arena;
    arena_init(&arena);
    struct directory_changes seen;
    check_fails(E_CANCELLED, directory_watch(arg, &arena, 0, &seen));
    arena_done(&arena);
}

static void cancel_body(void *arg)
{
    struct directory *directory = open_here();
    struct scope scope = SCOPE_INIT;
    check_ok(fiber_spawn(&scope, "watcher", watch_until_cancelled, directory));
    check_ok(fiber_sleep(20));
    scope_cancel(&scope);
    check_ok(scope_join(&scope));
    directory_free(directory);
}

static void watch_can_be_cancelled(void **state)
{
    on_loop(cancel_body, NULL);
}

/* ---- leases ---- */

static void lease_body(void *arg)
{
    loop_use_virtual_clock(1700000000000);
    struct directory *a = open_here(), *b = open_here();
    struct directory_lease first, second;
    check_ok(directory_lease_acquire(a, STR("failover"), STR("host-a"), SEC(10), &first));
    assert_true(first.fence == 1);
    check_fails(E_BUSY, directory_lease_acquire(b, STR("failover"), STR("host-b"), SEC(10), &second));
    check_fails(E_BUSY, directory_lease_acquire(a, STR("failover"), STR("host-a"), SEC(10), &second));
    check_ok(directory_lease_acquire(b, STR("drill"), STR("host-b"), SEC(10), &second));
    assert_true(second.fence == 1);

    check_ok(fiber_sleep(9000));
    uint64_t until_ns = first.until_ns;
    check_ok(directory_lease_renew(a, &first, SEC(10)));
    assert_true(first.until_ns >= until_ns + SEC(9) * 1000000 && first.fence == 1);
    check_ok(fiber_sleep(9000));
    check_fails(E_BUSY, directory_lease_acquire(b, STR("failover"), STR("host-b"), SEC(10), &second));
    check_ok(fiber_sleep(1100)); /* it has run out */
    check_fails(E_STALE, directory_lease_renew(a, &first, SEC(10)));
    check_ok(directory_lease_acquire(b, STR("failover"), STR("host-b"), SEC(10), &second));
    assert_true(second.fence == 2);
    check_fails(E_STALE, directory_lease_renew(a, &first, SEC(10)));
    check_fails(E_STALE, directory_lease_release(a, &first));

    check_ok(directory_lease_release(b, &second));
    check_fails(E_STALE, directory_lease_release(b, &second));
    check_ok(directory_lease_acquire(a, STR("failover"), STR("host-a"), SEC(10), &first));
    assert_true(first.fence == 3);
    run_sql("UPDATE lease SET boot = 'another'"); /* the host was started anew */
    check_fails(E_STALE, directory_lease_renew(a, &first, SEC(10)));
    check_ok(directory_lease_acquire(b, STR("failover"), STR("host-b"), SEC(10), &second));
    assert_true(second.fence == 4);
    check_ok(directory_lease_release(b, &second));
    check_ok(directory_lease_acquire_above(b, STR("failover"), STR("host-b"), SEC(10), 3, &second));
    assert_true(second.fence == 5);
    check_ok(directory_lease_release(b, &second));
    check_ok(directory_lease_acquire_above(b, STR("failover"), STR("host-b"), SEC(10), 1000, &second));
    assert_true(second.fence == 1001);
    check_fails(E_ARGUMENT, directory_lease_acquire_above(b, STR("failover"), STR("host-b"), SEC(10),
                                                          DIRECTORY_FENCE_MAX, &first));
    check_fails(E_ARGUMENT, directory_lease_acquire(b, STR("failover"), STR("host-b"), 0, &second));
    check_fails(E_ARGUMENT, directory_lease_renew(b, &second, DIRECTORY_LEASE_MS_MAX + 1));
    directory_free(a);
    directory_free(b);
}

static void a_lease_has_one_holder_and_a_growing_fence(void **state)
{
    on_loop(lease_body, NULL);
}

/* ---- a directory that is not there ---- */

static void write_bytes(const char *at, const void *bytes, size_t len, mode_t mode)
{
    int fd = open(at, O_WRONLY | O_CREAT, mode);
    must(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
    close(fd);
}

static void refuse_body(void *arg)
{
    struct directory *none = NULL;
    const char *here = arg == NULL ? path : arg;
    result r = directory_open_sqlite(here, &none);
    check_fails(E_DIRECTORY, r);
    assert_true(none == NULL && r.error.hint != NULL && strstr(r.error.what, here) != NULL);
}

/* What is written is first in a file beside it. */
static void log_body(void *arg)
{
    struct directory *directory = open_here();
    char beside[128];
    snprintf(beside, sizeof beside, "%s-wal", path);
    assert_int_equal(chmod(beside, 0644), 0);
    refuse_body(NULL);
    assert_int_equal(chmod(beside, 0640), 0);
    directory_free(directory);
}

static void p8_a_file_that_is_no_directory_is_refused(void **state)
{
    static const char noise[4096] = "this is a letter, not a database";
    write_bytes(path, noise, sizeof noise, 0640);
    on_loop(refuse_body, NULL);
    assert_int_equal(unlink(path), 0);

    run_sql("CREATE TABLE invoices (id INTEGER); INSERT INTO invoices VALUES (1)");
    assert_int_equal(chmod(path, 0640), 0);
    on_loop(refuse_body, NULL);
    run_sql("INSERT INTO invoices VALUES (2)"); /* it was left as it was */
    assert_int_equal(unlink(path), 0);

    run_sql("PRAGMA application_id = 1685023081; PRAGMA user_version = 2");
    assert_int_equal(chmod(path, 0640), 0);
    on_loop(refuse_body, NULL);
    assert_int_equal(unlink(path), 0);

    write_bytes(path, "", 0, 0640);
    assert_int_equal(chmod(path, 0644), 0);
    on_loop(refuse_body, NULL);
    assert_int_equal(unlink(path), 0);

    on_loop(log_body, NULL);
    assert_int_equal(unlink(path), 0);

    on_loop(refuse_body, "/nonexistent/folder/directory.sqlite");
    on_loop(refuse_body, folder);
}

static void replaced_body(void *arg)
{
    struct directory *directory = open_here();
    struct arena arena;
    arena_init(&arena);
    uint64_t version = put(directory, "customer", 1, 0);
    char aside[128];
    snprintf(aside, sizeof aside, "%s.aside", path);
    struct directory_entry got, entry = entry_of("customer", "us", 1);
    must(rename(path, aside) == 0);
    check_fails(E_DIRECTORY, directory_get(directory, &arena, STR("customer"), &got));
    check_fails(E_DIRECTORY, directory_swap(directory, &entry, version, &version));
    write_bytes(path, "", 0, 0640);
    check_fails(E_DIRECTORY, directory_get(directory, &arena, STR("customer"), &got));
    check_fails(E_DIRECTORY, directory_get(directory, &arena, STR("nobody"), &got));
    must(rename(aside, path) == 0);
    check_ok(directory_get(directory, &arena, STR("customer"), &got));
    assert_true(str_is(got.region, "eu-fr"));
    char wal[128];
    snprintf(wal, sizeof wal, "%s-wal", path);
    must(unlink(wal) == 0);
    check_fails(E_DIRECTORY, directory_swap(directory, &entry, version, &version));
    arena_done(&arena);
    directory_free(directory);
}

static void p1_a_replaced_file_answers_nothing(void **state)
{
    on_loop(replaced_body, NULL);
}

static void locked_body(void *arg)
{
    struct directory *directory = open_here();
    struct arena arena;
    arena_init(&arena);
    uint64_t version = put(directory, "customer", 1, 0);
    sqlite3 *other;
    must(sqlite3_open(path, &other) == SQLITE_OK);
    must(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
    struct directory_entry got, entry = entry_of("customer", "us", 2);
    uint64_t begin_ns = clock_monotonic_ns();
    check_ok(directory_get(directory, &arena, STR("customer"), &got)); /* a reader does not wait */
    check_fails(E_DIRECTORY, directory_swap(directory, &entry, version, &version));
    assert_true(clock_monotonic_ns() - begin_ns < SEC(10) * 1000000);
    must(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_close(other);
    check_ok(directory_swap(directory, &entry, version, &version));
    arena_done(&arena);
    directory_free(directory);
}

static void a_locked_file_is_an_error_in_bounded_time(void **state)
{
    on_loop(locked_body, NULL);
}

static void fill_body(void *arg)
{
    struct directory *directory = open_here();
    for (int i = 0; i < 200; i++) {
        char id[16];
        snprintf(id, sizeof id, "c-%04d", i);
        put(directory, id, 1, 0);
    }
    directory_free(directory);
}

static void list_corrupt_body(void *arg)
{
    struct directory *directory = open_here();
    struct arena arena;
    arena_init(&arena);
    struct directory_page page;
    check_fails(E_DIRECTORY, directory_list(directory, &arena, STR(""), DIRECTORY_PAGE_MAX, &page));
    arena_done(&arena);
    directory_free(directory);
}

static void p8_a_corrupt_file_is_an_error(void **state)
{
    on_loop(fill_body, NULL);
    unsigned char noise[4096];
    memset(noise, 0xA5, sizeof noise);
    int fd = open(path, O_WRONLY);
    struct stat st;
    assert_true(fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 8192);
    for (off_t at = 4096; at < st.st_size; at += 4096) /* all but the first page, which holds the schema */
        assert_int_equal(pwrite(fd, noise, sizeof noise, at), sizeof noise);
    close(fd);
    on_loop(list_corrupt_body, NULL);
}

/* ---- kill -9 ---- */

static int acknowledged_fd;

static void write_forever(void *arg)
{
    struct directory *directory = open_here();
    const int *round = arg;
    for (int i = 0;; i++) {
        char id[32];
        snprintf(id, sizeof id, "r-%d-%d", *round, i);
        uint64_t version = put(directory, id, 1, 0);
        assert_int_equal(write(acknowledged_fd, &version, sizeof version), sizeof version);
    }
}

static uint64_t acknowledged;

static void check_body(void *arg)
{
    struct directory *directory = open_here();
    struct arena arena;
    arena_init(&arena);
    struct directory_changes seen = { .revision = 0 };
    uint64_t wanted = 1;
    while (seen.revision < acknowledged) {
        check_ok(directory_watch(directory, &arena, seen.revision, &seen));
        for (size_t i = 0; i < seen.count; i++)
            assert_true(seen.changes[i].entry.version == wanted++);
    }
    assert_true(wanted > acknowledged);
    arena_done(&arena);
    directory_free(directory);
}

static void p8_a_killed_writer_loses_nothing(void **state)
{
    for (int round = 0; round < 15; round++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            close(ends[0]);
            acknowledged_fd = ends[1];
            on_loop_in_child(write_forever, &round);
        }
        close(ends[1]);
        usleep((useconds_t)(20000 + round * 7000));
        kill(pid, SIGKILL);
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        uint64_t version;
        while (read(ends[0], &version, sizeof version) == sizeof version)
            acknowledged = version;
        close(ends[0]);
        on_loop(check_body, NULL);
        sqlite3 *db;
        sqlite3_stmt *check;
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &check, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(check), SQLITE_ROW);
        assert_string_equal((const char *)sqlite3_column_text(check, 0), "ok");
        sqlite3_finalize(check);
        sqlite3_close(db);
    }
    assert_true(acknowledged > 15);
}

/* ---- many at once ---- */

static void open_and_go(void *arg)
{
    struct directory *directory = NULL;
    check_ok(directory_open_sqlite(path, &directory));
    directory_free(directory);
}

static void whoever_makes_it_first_all_may_open_it(void **state)
{
    enum { ROUNDS = 30, OPENERS = 6 };
    for (int round = 0; round < ROUNDS; round++) {
        pid_t pids[OPENERS];
        snprintf(path, sizeof path, "%s/many-%d.sqlite", folder, round);
        for (int i = 0; i < OPENERS; i++) {
            pids[i] = fork();
            assert_true(pids[i] >= 0);
            if (pids[i] == 0)
                on_loop_in_child(open_and_go, NULL);
        }
        int status, failures = 0;
        for (int i = 0; i < OPENERS; i++) {
            assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
            failures += status != 0;
        }
        assert_int_equal(failures, 0);
    }
}

#define test(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
int main(void)
{
    const struct CMUnitTest tests[] = {
        test(swap_takes_the_expected_version_only),
        test(p8_bad_names_are_refused),
        test(list_goes_through_all_in_order),
        test(p1_a_state_without_meaning_shows_as_unknown),
        test(watch_sees_what_another_handle_writes),
        test(watch_can_be_cancelled),
        test(a_lease_has_one_holder_and_a_growing_fence),
        test(p8_a_file_that_is_no_directory_is_refused),
        test(p1_a_replaced_file_answers_nothing),
        test(a_locked_file_is_an_error_in_bounded_time),
        test(p8_a_corrupt_file_is_an_error),
        test(whoever_makes_it_first_all_may_open_it),
        test(p8_a_killed_writer_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
