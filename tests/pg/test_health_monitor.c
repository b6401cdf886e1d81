/* The monitor over a real pair, with real faults: processes that are killed or stopped, addresses where nobody is, and
 * two monitors at once, in this process and in another one. */
#include "directory/sqlite.h"
#include "health/monitor.h"
#include "schema/migrate.h"
#include "server.h"

#include <string.h>

enum { INTERVAL_MS = 200, LEASE_MS = 3000 };

/* ---- the cell, as a configuration would have it ---- */

static struct region region = { .name = { "eu-fr", 5 } };
static struct node nodes[2] = { { .name = { "p1", 2 }, .address = "127.0.0.1" },
                                { .name = { "s1", 2 }, .address = "127.0.0.1" } };
static struct cell cell = {
    .name = { "eu-fr-1", 7 },
    .database = "domicile",
    .nodes = nodes,
    .node_count = 2,
    .primary = &nodes[0],
    .region = &region,
    .monitor = { .interval_ms = INTERVAL_MS,
                 .rounds = 3,
                 .lost_after_ms = 1000,
                 .degrade_after_ms = 1500,
                 .lag_max_bytes = 1 << 20,
                 .slot_max_mib = 1024 },
    .on_standby_loss = "block",
};
static char paths[4][256], scratch[64], directory_path[96], journal_path[128];

static uint16_t standby_port(void)
{
    return (uint16_t)atoi(getenv("PGT_STANDBY_PORT"));
}

static void set_up_cell(const char *policy)
{
    static const char *const names[] = { "ca.crt", "monitor.crt", "monitor.key" };
    for (size_t i = 0; i < 3; i++)
        snprintf(paths[i], sizeof paths[i], "%s", server_path(names[i]));
    cell.ca = paths[0];
    cell.monitor.files = (struct tls_files){ paths[1], paths[2] };
    cell.monitor.slot_max_mib = 1024;
    cell.on_standby_loss = policy;
    nodes[0].port = server_port();
    nodes[1].port = standby_port();
    nodes[0].address = nodes[1].address = "127.0.0.1";
}

/* A directory of each test's own would restart its fences: all tests share one, as all daemons do. */
static int set_up_scratch(void **state)
{
    const char *inherited = getenv("MONITOR_SCRATCH");
    strcpy(scratch, "/tmp/domicile-monitor.XXXXXX");
    if (inherited != NULL)
        snprintf(scratch, sizeof scratch, "%s", inherited);
    else
        assert_non_null(mkdtemp(scratch));
    snprintf(directory_path, sizeof directory_path, "%s/directory.sqlite", scratch);
    snprintf(journal_path, sizeof journal_path, "%s.eu-fr-1.monitor", directory_path);
    return 0;
}

static int tear_down_scratch(void **state)
{
    static const char *const endings[] = { "", "-wal", "-shm", ".eu-fr-1.monitor", ".eu-fr-1.monitor.lock" };
    for (size_t i = 0; i < COUNT(endings); i++) {
        char name[256];
        snprintf(name, sizeof name, "%s%s", directory_path, endings[i]);
        unlink(name);
    }
    rmdir(scratch);
    return 0;
}

static void migrate(void)
{
    const struct cell_stamp stamp = { "eu-fr", "eu-fr-1", 1 };
    struct pg_conn *conn = server_open(server_superuser());
    check_ok(cell_migrate(conn, &stamp, NULL, NULL));
    pg_close(conn);
    server_run("CREATE TABLE IF NOT EXISTS public.written (n integer)");
}

/* ---- a monitor ---- */

struct watched {
    struct directory *directory;
    struct cell_monitor *monitor;
    struct scope scope;
    char log[8192]; /* "healthy blocked " */
    char alarms[4096];
};

static void on_changed(void *context, const struct cell *of, enum cell_state from, enum cell_state to,
                       const char *why)
{
    struct watched *watched = context;
    (void)of, (void)from, (void)why;
    size_t used = strlen(watched->log);
    snprintf(watched->log + used, sizeof watched->log - used, "%s ", cell_state_name(to));
}

/* The states without those that say that it cannot tell, which come and go on a busy machine; each once in a row. */
static const char *told(const struct watched *watched)
{
    static const char *const cannot_tell[] = { "blind", "unknown", "unsure" };
    char *told = arena_alloc(&test_arena, sizeof watched->log);
    struct str rest = str_from(watched->log), state, last = { 0 };
    size_t used = 0;
    told[0] = '\0';
    while (str_cut(&rest, ' ', &state)) {
        bool tells = state.len > 0 && !str_eq(state, last);
        for (size_t i = 0; i < COUNT(cannot_tell); i++)
            tells = tells && !str_is(state, cannot_tell[i]);
        if (!tells)
            continue;
        used += (size_t)snprintf(told + used, sizeof watched->log - used, "%.*s ", STR_ARG(state));
        last = state;
    }
    return told;
}

static void on_alarm(void *context, const struct cell *of, const char *what)
{
    struct watched *watched = context;
    (void)of;
    size_t used = strlen(watched->alarms);
    snprintf(watched->alarms + used, sizeof watched->alarms - used, "%s\n", what);
}

static void on_trouble(void *context, const struct cell *of, const struct error *error, const char *what)
{
    (void)context, (void)of;
    print_message("%s: %s\n", what, error->what);
}

static void watch_cell(struct watched *watched, const char *name)
{
    memset(watched, 0, sizeof *watched);
    check_ok(directory_open_sqlite(directory_path, &watched->directory));
    const struct cell_monitor_options options = { .cell = &cell,
                                                  .directory = watched->directory,
                                                  .journal_path = journal_path,
                                                  .name = name,
                                                  .changed = on_changed,
                                                  .alarm = on_alarm,
                                                  .trouble = on_trouble,
                                                  .context = watched };
    check_ok(cell_monitor_new(&options, &watched->monitor));
    check_ok(fiber_spawn(&watched->scope, "monitor", cell_monitor_run, watched->monitor));
}

static void unwatch(struct watched *watched)
{
    scope_end(&watched->scope);
    cell_monitor_free(watched->monitor);
    directory_free(watched->directory);
}

static uint64_t until_state_within(struct watched *watched, enum cell_state state, uint64_t within_ms)
{
    uint64_t begin = now_ms();
    while (cell_monitor_view(watched->monitor).state != state) {
        if (now_ms() - begin > within_ms) {
            struct cell_monitor_view view = cell_monitor_view(watched->monitor);
            for (size_t i = 0; view.health != NULL && i < view.health->node_count; i++) {
                const struct health_node *node = &view.health->nodes[i];
                print_message("%s: answer %d role %d writable %d view %d walsender %s/%s current %d; %s\n",
                              node->node->name.ptr, node->answer, node->role, node->writable, node->view,
                              node->walsender.state, node->walsender.sync_state, node->walsender.current,
                              node->why);
            }
            fail_msg("%s and not %s after %llu ms; it was: %s", cell_state_name(view.state),
                     cell_state_name(state), (unsigned long long)within_ms, watched->log);
        }
        check_ok(fiber_sleep(20));
    }
    return now_ms() - begin;
}

/* Where the time is not the point: it is printed, and long on a busy machine. */
enum { COMES_WITHIN_MS = 60000 };
static uint64_t until_state(struct watched *watched, enum cell_state state)
{
    return until_state_within(watched, state, COMES_WITHIN_MS);
}

/* Nothing is being done any more: the state is settled and audited. */
static void until_quiet(struct watched *watched)
{
    uint64_t begin = now_ms();
    while (cell_monitor_view(watched->monitor).rows_kept > 0 && now_ms() - begin < COMES_WITHIN_MS)
        check_ok(fiber_sleep(20));
    check_ok(fiber_sleep(2 * INTERVAL_MS));
    assert_int_equal(cell_monitor_view(watched->monitor).rows_kept, 0);
}

/* ---- a customer's write, which waits for the standby ---- */

struct write {
    struct scope scope;
    bool done;
    result r;
};

static void write_one(void *arg)
{
    struct write *write = arg;
    struct pg_conn *conn = server_open(server_superuser());
    write->r = pg_run(conn, "INSERT INTO public.written VALUES (1)");
    write->done = true;
    pg_close(conn);
}

static void begin_write(struct write *write)
{
    *write = (struct write){ 0 };
    check_ok(fiber_spawn(&write->scope, "write", write_one, write));
}

static void write_ends_within(struct write *write, uint64_t ms)
{
    uint64_t begin = now_ms();
    while (!write->done && now_ms() - begin < ms)
        check_ok(fiber_sleep(10));
    assert_true(write->done);
    check_ok(write->r);
    check_ok(scope_join(&write->scope));
}

static int64_t audit_rows(const char *action, const char *outcome)
{
    char sql[256];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM domicile.audit WHERE action = '%s' AND outcome = '%s'",
             action, outcome);
    return server_number(sql);
}

static bool synchronous(void)
{
    return server_number("SELECT (current_setting('synchronous_standby_names') <> '')::integer") == 1;
}

static void standby_signal(int number)
{
    server_signal(server_pid_in("PGT_STANDBY_PIDFILE"), number);
}

/* ---- tests ---- */

ON_LOOP(a_healthy_pair_is_measured)
{
    struct watched watched;
    set_up_cell("block");
    migrate();
    watch_cell(&watched, "daemon-1");
    until_state(&watched, CELL_HEALTHY);
    check_ok(fiber_sleep(4 * INTERVAL_MS));
    struct cell_monitor_view view = cell_monitor_view(watched.monitor);
    assert_true(view.active && view.looks >= 3 && view.health != NULL);
    const struct health_node *primary = &view.health->nodes[0], *standby = &view.health->nodes[1];
    assert_ptr_equal(health_primary(view.health), primary);
    assert_int_equal(primary->writable, HEALTH_YES);
    assert_int_equal(primary->sync_required, 1);
    assert_true(primary->confirm_us.known && primary->beat_known && primary->beat.sequence >= 3);
    assert_string_equal(primary->beat.writer, "daemon-1");
    assert_true(primary->epoch.known && primary->epoch.value == 1);
    assert_int_equal(primary->slot_count, 1);
    assert_string_equal(primary->slots[0].name, "s1");
    assert_true(primary->slots[0].retained_bytes.known && primary->slots[0].active);
    assert_int_equal(standby->view, HEALTH_VIEW_RECEIVES);
    assert_string_equal(standby->sender_host, "127.0.0.1");
    assert_string_equal(standby->slot_name, "s1");
    assert_true(standby->lag_ms.known && standby->lag_ms.value <= 2 * INTERVAL_MS);
    assert_true(standby->receive_lag_bytes.known && standby->replay_lag_bytes.known);
    assert_string_equal(standby->walsender.sync_state, "sync");
    for (size_t i = 0; i < 2; i++) {
        const struct health_node *node = &view.health->nodes[i];
        int64_t days_ms = node->certificate_expires_ms.value - clock_wall_ms();
        assert_true(node->certificate_expires_ms.known && days_ms > 24 * 3600 * 1000L &&
                    days_ms <= 48 * 3600 * 1000L);
        assert_true(node->own_certificate_expires_ms.known);
        /* one host, one clock */
        assert_true(llabs(node->clock_offset_us.value) <= node->clock_uncertainty_us.value + 2000);
        assert_false(node->host.disk_free_bytes.known); /* nobody to ask */
    }
    assert_int_equal(audit_rows("cell-state", "healthy"), 1);
    unwatch(&watched);
}

ON_LOOP(a_smaller_fence_is_refused)
{
    set_up_cell("block");
    struct pg_conn *conn = server_open(server_role("monitor"));
    static const struct {
        const char *sql, *outcome;
    } cases[] = {
        { "SELECT outcome FROM domicile.heartbeat_write('eu-fr', 1000, 'x', 1)", "done" },
        { "SELECT outcome FROM domicile.heartbeat_write('eu-fr', 999, 'x', 1)", "fence" },
        { "SELECT outcome FROM domicile.heartbeat_write('eu-fr', 1000, 'y', 1)", "fence" },
        { "SELECT outcome FROM domicile.heartbeat_write('eu-fr', 1000, 'x', 2)", "done" },
        { "SELECT outcome FROM domicile.heartbeat_write('us', 2000, 'y', 1)", "region" },
        { "SELECT outcome FROM domicile.monitor_begin('eu-fr', 999, true, 'r', 'w', 'y')", "fence" },
        { "SELECT outcome FROM domicile.monitor_unmark('eu-fr', 999, 'r', 'w', 'y')", "fence" },
        { "SELECT outcome FROM domicile.slot_drop('eu-fr', 999, 's1', 0, 'r', 'w', 'y')", "fence" },
        { "SELECT outcome FROM domicile.monitor_audit('eu-fr', 999, 999, 1, 'a', 'b', 'c', 'd', 'y')",
          "fence" },
        { "SELECT outcome FROM domicile.monitor_audit('eu-fr', 1000, 1000, 1, 'test', 'once', 'c', 'd', 'x')",
          "done" },
        { "SELECT outcome FROM domicile.monitor_audit('eu-fr', 1000, 1000, 1, 'test', 'once', 'c', 'd', 'x')",
          "again" },
        { "SELECT outcome FROM domicile.slot_drop('eu-fr', 1000, 'none', 0, 'r', 'w', 'x')", "absent" },
        { "SELECT outcome FROM domicile.slot_drop('eu-fr', 1000, 's1', 1000000000, 'r', 'w', 'x')", "small" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pg_reply reply = PG_REPLY_INIT;
        check_ok(pg_exec(conn, cases[i].sql, NULL, 0, &reply));
        if (!str_is(pg_reply_str(&reply, 0, 0), cases[i].outcome))
            fail_msg("%s: %.*s", cases[i].sql, STR_ARG(pg_reply_str(&reply, 0, 0)));
        pg_reply_done(&reply);
    }
    /* the monitor's role can do this and nothing else */
    check_fails(E_SQL, pg_run(conn, "SELECT * FROM domicile.heartbeat"));
    check_fails(E_SQL, pg_run(conn, "UPDATE domicile.cell_state SET degraded_since = NULL"));
    check_fails(E_SQL, pg_run(conn, "ALTER SYSTEM SET archive_command = 'x'"));
    check_fails(E_SQL, pg_run(conn, "SELECT pg_drop_replication_slot('s1')"));
    pg_close(conn);
    assert_int_equal(audit_rows("test", "once"), 1);
    server_run("UPDATE domicile.heartbeat SET fence = 1; UPDATE domicile.cell_state SET audit_fence = 1");
}

/* A monitor that is stopped between the check of its fence and its act holds the lock; its session is ended before it can
 * go on, and then the next one may act. */
ON_LOOP(who_stops_between_check_and_act_does_not_act_later)
{
    static const char begin_sql[] =
        "SELECT outcome FROM domicile.monitor_begin('eu-fr', $1, false, 'r', 'w', $2)";
    struct pg_conn *stopped = server_open(server_role("monitor")),
                   *next = server_open(server_role("monitor"));
    const struct pg_value first[] = { pg_int8(2000), pg_text(STR("x")) };
    const struct pg_value second[] = { pg_int8(2001), pg_text(STR("y")) };
    struct pg_reply reply = PG_REPLY_INIT;
    server_do(stopped, "SET idle_session_timeout = 500");
    check_ok(pg_exec(stopped, begin_sql, first, 2, &reply));
    assert_true(str_is(pg_reply_str(&reply, 0, 0), "done"));
    pg_reply_done(&reply);
    check_ok(pg_exec(next, begin_sql, second, 2, &reply));
    assert_true(str_is(pg_reply_str(&reply, 0, 0), "busy"));
    pg_reply_done(&reply);
    check_ok(fiber_sleep(1000));
    check_ok(pg_exec(next, begin_sql, second, 2, &reply));
    assert_true(str_is(pg_reply_str(&reply, 0, 0), "done"));
    pg_reply_done(&reply);
    check_fails(E_UNAVAILABLE, pg_run(stopped, "ALTER SYSTEM SET synchronous_standby_names = ''"));
    pg_close(stopped);
    pg_close(next);
    assert_true(synchronous());
    server_run("UPDATE domicile.heartbeat SET fence = 1");
}

ON_LOOP(block_a_stopped_standby_makes_writes_wait)
{
    struct watched watched;
    struct write write;
    set_up_cell("block");
    watch_cell(&watched, "daemon-1");
    until_state(&watched, CELL_HEALTHY);
    standby_signal(SIGSTOP);
    begin_write(&write);
    uint64_t took = until_state(&watched, CELL_BLOCKED);
    print_message("blocked %llu ms after SIGSTOP of the standby\n", (unsigned long long)took);
    check_ok(fiber_sleep(4000)); /* beyond degrade_after_ms, and beyond the walsender's life */
    assert_false(write.done);
    until_state(&watched, CELL_BLOCKED);
    assert_true(cell_monitor_view(watched.monitor).health->nodes[0].writes_waiting.value >= 1);
    assert_true(synchronous());
    standby_signal(SIGCONT);
    took = until_state(&watched, CELL_HEALTHY);
    print_message("healthy %llu ms after SIGCONT\n", (unsigned long long)took);
    write_ends_within(&write, 10000);
    assert_string_equal(told(&watched), "healthy blocked healthy ");
    assert_int_equal(cell_monitor_view(watched.monitor).degrades, 0);
    unwatch(&watched);
}

static void block_then_degrade_and_back(int number, void (*revive)(void))
{
    struct watched watched;
    struct write write;
    int64_t begun = audit_rows("cell-degrade", "begun"), restored = audit_rows("cell-restore", "restored");
    set_up_cell("degrade");
    watch_cell(&watched, "daemon-1");
    until_state(&watched, CELL_HEALTHY);
    standby_signal(number);
    begin_write(&write);
    uint64_t took = until_state(&watched, CELL_DEGRADED);
    print_message("degraded %llu ms after the standby was lost\n", (unsigned long long)took);
    write_ends_within(&write, 10000);
    assert_false(synchronous());
    begin_write(&write);
    write_ends_within(&write, 10000);
    /* marked in the cell, and on disk here, for when the primary is gone as well */
    assert_int_equal(server_number("SELECT degraded_epoch FROM domicile.cell_state"), 1);
    struct monitor_journal *journal = calloc(1, sizeof *journal);
    check_ok(monitor_journal_load(journal_path, journal));
    assert_true(journal->mark.degraded && journal->mark.epoch == 1);
    assert_non_null(strstr(watched.alarms, "degraded"));

    revive();
    took = until_state(&watched, CELL_HEALTHY);
    print_message("healthy %llu ms after it was back\n", (unsigned long long)took);
    check_ok(fiber_sleep(5 * INTERVAL_MS));
    assert_true(synchronous());
    assert_int_equal(server_number("SELECT count(*) FROM domicile.cell_state WHERE degraded_since IS NULL"),
                     1);
    check_ok(monitor_journal_load(journal_path, journal));
    assert_false(journal->mark.degraded);
    free(journal);
    assert_int_equal(audit_rows("cell-degrade", "begun"), begun + 1);
    assert_int_equal(audit_rows("cell-restore", "restored"), restored + 1);
    assert_string_equal(told(&watched), "healthy blocked degraded recovering healthy ");
    unwatch(&watched);
}

static void continue_standby(void)
{
    standby_signal(SIGCONT);
}

static void start_standby(void)
{
    server_run_script("restart-standby");
}

ON_LOOP(degrade_a_stopped_standby_and_back_by_itself)
{
    block_then_degrade_and_back(SIGSTOP, continue_standby);
}

ON_LOOP(degrade_a_killed_standby_and_back_by_itself)
{
    block_then_degrade_and_back(SIGKILL, start_standby);
}

static int64_t audit_in_order(void)
{
    return server_number(
        "SELECT count(*) FROM (SELECT key, lag(key) OVER (ORDER BY id) AS earlier FROM domicile.audit "
        "WHERE action = 'cell-state') a WHERE left(key, 24) < left(earlier, 24)");
}

ON_LOOP(a_killed_primary_is_lost_and_what_was_seen_is_audited_later)
{
    struct watched watched;
    set_up_cell("degrade");
    watch_cell(&watched, "daemon-1");
    until_state(&watched, CELL_HEALTHY);
    until_quiet(&watched);
    int64_t lost = audit_rows("cell-state", "primary-lost");
    server_signal(server_pid(), SIGKILL);
    uint64_t took = until_state(&watched, CELL_PRIMARY_LOST);
    print_message("primary-lost %llu ms after kill -9\n", (unsigned long long)took);
    check_ok(fiber_sleep(2 * INTERVAL_MS));
    assert_true(cell_monitor_view(watched.monitor).rows_kept >= 1);
    struct monitor_journal *journal = calloc(1, sizeof *journal);
    check_ok(monitor_journal_load(journal_path, journal));
    assert_true(journal->count >= 1);
    free(journal);
    server_run_script("restart");
    until_state(&watched, CELL_HEALTHY);
    check_ok(fiber_sleep(3 * INTERVAL_MS));
    assert_int_equal(cell_monitor_view(watched.monitor).rows_kept, 0);
    assert_int_equal(audit_rows("cell-state", "primary-lost"), lost + 1);
    assert_int_equal(audit_in_order(), 0);
    assert_true(synchronous());
    unwatch(&watched);
}

ON_LOOP(a_stopped_primary_is_lost_only_when_its_standby_says_so)
{
    struct watched watched;
    set_up_cell("degrade");
    watch_cell(&watched, "daemon-1");
    until_state(&watched, CELL_HEALTHY);
    until_quiet(&watched);
    server_signal(server_pid(), SIGSTOP);
    uint64_t unsure = until_state(&watched, CELL_UNSURE);
    uint64_t lost = until_state(&watched, CELL_PRIMARY_LOST);
    print_message("unsure %llu ms after SIGSTOP, primary-lost %llu ms later\n", (unsigned long long)unsure,
                  (unsigned long long)lost);
    server_signal(server_pid(), SIGCONT);
    until_state(&watched, CELL_HEALTHY);
    assert_true(synchronous());
    assert_int_equal(cell_monitor_view(watched.monitor).degrades, 0);
    unwatch(&watched);
}

/* The control plane is cut off from the primary alone: the standby still hears from it, so it is not lost. */
ON_LOOP(a_primary_that_only_we_do_not_reach_is_not_lost)
{
    struct watched watched;
    set_up_cell("degrade");
    watch_cell(&watched, "daemon-1");
    until_state(&watched, CELL_HEALTHY);
    unwatch(&watched);
    nodes[0].port = 1; /* nobody listens there */
    watch_cell(&watched, "daemon-1");
    until_state(&watched, CELL_UNSURE);
    check_ok(fiber_sleep(6000));
    assert_string_equal(told(&watched), "");
    assert_true(synchronous());
    unwatch(&watched);
}

/* Cut off from everything: closed ports, and an address from which nothing comes back. */
ON_LOOP(a_blind_control_plane_changes_nothing)
{
    static const char *const addresses[] = { "127.0.0.1", "192.0.2.1" };
    int64_t sequence = server_number("SELECT sequence FROM domicile.heartbeat");
    int64_t rows = server_number("SELECT count(*) FROM domicile.audit");
    int64_t blind = audit_rows("cell-state", "blind");
    for (size_t i = 0; i < 2; i++) {
        struct watched watched;
        set_up_cell("degrade");
        nodes[0].port = nodes[1].port = 1;
        nodes[0].address = nodes[1].address = addresses[i];
        watch_cell(&watched, "daemon-1");
        until_state(&watched, CELL_BLIND);
        check_ok(fiber_sleep(4000));
        struct cell_monitor_view view = cell_monitor_view(watched.monitor);
        assert_string_equal(told(&watched), "");
        assert_true(view.degrades == 0 && view.restores == 0 && view.slots_dropped == 0 &&
                    view.rows_kept >= 1);
        unwatch(&watched);
    }
    assert_true(synchronous());
    assert_int_equal(server_number("SELECT sequence FROM domicile.heartbeat"), sequence);
    assert_int_equal(server_number("SELECT count(*) FROM domicile.audit"), rows);
    /* with its network back, the next monitor writes what the blind ones saw */
    struct watched watched;
    set_up_cell("degrade");
    watch_cell(&watched, "daemon-1");
    until_state(&watched, CELL_HEALTHY);
    check_ok(fiber_sleep(3 * INTERVAL_MS));
    assert_true(audit_rows("cell-state", "blind") >=
                blind + 2); /* on a busy machine it begins blind itself */
    assert_int_equal(audit_in_order(), 0);
    unwatch(&watched);
}

/* ---- two monitors ---- */

static pid_t spawn_monitor(void)
{
    char self[512];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(len > 0);
    self[len] = '\0';
    setenv("MONITOR_SCRATCH", scratch, 1);
    char *argv[] = { self, "--monitor", NULL };
    pid_t pid;
    assert_int_equal(posix_spawn(&pid, self, NULL, NULL, argv, environ), 0);
    unsetenv("MONITOR_SCRATCH");
    return pid;
}

static void end_monitor(pid_t pid, int number)
{
    int status;
    kill(pid, number);
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

static bool heartbeat_of(const char *writer)
{
    char sql[256];
    snprintf(sql, sizeof sql,
             "SELECT (writer = '%s' AND now() - at < interval '1 second')::integer FROM domicile.heartbeat",
             writer);
    return server_number(sql) == 1;
}

static void until_heartbeat_of(const char *writer, uint64_t within_ms)
{
    uint64_t begin = now_ms();
    while (!heartbeat_of(writer)) {
        assert_true(now_ms() - begin < within_ms);
        check_ok(fiber_sleep(50));
    }
}

ON_LOOP(two_monitors_never_both_act)
{
    struct watched first, second;
    set_up_cell("block");
    watch_cell(&first, "daemon-1");
    until_state(&first, CELL_HEALTHY);
    watch_cell(&second, "daemon-2");
    for (int i = 0; i < 100; i++) {
        check_ok(fiber_sleep(20));
        assert_true(cell_monitor_view(first.monitor).active);
        assert_false(cell_monitor_view(second.monitor).active);
        assert_int_equal(cell_monitor_view(second.monitor).looks, 0);
    }
    unwatch(&first); /* gives the lease back */
    uint64_t took = until_state_within(&second, CELL_HEALTHY, 2000);
    print_message("taken over %llu ms after the lease was given back\n", (unsigned long long)took);
    assert_true(heartbeat_of("daemon-2"));
    unwatch(&second);
}

ON_LOOP(a_killed_monitor_is_followed_and_a_stopped_one_is_fenced)
{
    struct watched watched;
    set_up_cell("block");
    pid_t other = spawn_monitor();
    until_heartbeat_of("daemon-9", 5000);
    watch_cell(&watched, "daemon-1");
    check_ok(fiber_sleep(1000));
    assert_int_equal(cell_monitor_view(watched.monitor).looks, 0);
    end_monitor(other, SIGKILL);
    uint64_t took = until_state_within(&watched, CELL_HEALTHY, LEASE_MS + 2000);
    print_message("taken over %llu ms after kill -9\n", (unsigned long long)took);
    assert_true(heartbeat_of("daemon-1"));
    unwatch(&watched);

    other = spawn_monitor();
    until_heartbeat_of("daemon-9", 5000);
    kill(other, SIGSTOP);
    watch_cell(&watched, "daemon-1");
    took = until_state_within(&watched, CELL_HEALTHY, LEASE_MS + 3000);
    print_message("taken over %llu ms after SIGSTOP\n", (unsigned long long)took);
    kill(other, SIGCONT); /* it believes that it has the lease, until it looks */
    for (int i = 0; i < 100; i++) {
        check_ok(fiber_sleep(20));
        assert_true(heartbeat_of("daemon-1"));
    }
    assert_true(cell_monitor_view(watched.monitor).active);
    assert_string_equal(told(&watched), "healthy ");
    end_monitor(other, SIGKILL);
    unwatch(&watched);
}

/* Who has a monitor's certificate keeps monitors out for as long as it goes on, and not a round longer. */
ON_LOOP(p5_a_stolen_certificate_locks_no_monitor_out_for_ever)
{
    static const char *const thefts[] = {
        "SELECT outcome FROM domicile.heartbeat_write('eu-fr', 9223372036854775807, 'thief', 1)",
        "SELECT outcome FROM domicile.monitor_audit('eu-fr', 9223372036854775807, 9223372036854775807, 1, "
        "'a', 'b',"
        " 'c', 'd', 'thief')",
        "SELECT outcome FROM domicile.monitor_audit('eu-fr', (SELECT fence FROM domicile.heartbeat_read()),"
        " 9223372036854775807, 1, 'a', 'b', 'c', 'd', 'thief')",
        "SELECT outcome FROM domicile.finding_event('eu-fr', 9223372036854775807, 'thief', 'begin', "
        "'objects',"
        " 'high', 'eu1', 's', 'e', now())",
    };
    struct watched watched;
    set_up_cell("block");
    watch_cell(&watched, "daemon-1");
    until_state(&watched, CELL_HEALTHY);
    int64_t before = server_number("SELECT fence FROM domicile.heartbeat");
    struct pg_conn *conn = server_open(server_role("monitor"));
    for (int i = 0; i < 100; i++) {
        struct pg_reply reply = PG_REPLY_INIT;
        check_ok(pg_exec(conn, thefts[i % (int)COUNT(thefts)], NULL, 0, &reply));
        assert_true(str_is(pg_reply_str(&reply, 0, 0), "fence"));
        pg_reply_done(&reply);
    }
    pg_close(conn);
    assert_in_range(server_number("SELECT fence FROM domicile.heartbeat") - before, 4096, 100 * 4096);
    int64_t stolen = server_number("SELECT fence FROM domicile.heartbeat");
    until_heartbeat_of("daemon-1", 4000);
    until_state(&watched, CELL_HEALTHY);
    assert_in_range(server_number("SELECT fence FROM domicile.heartbeat"), stolen + 1, stolen + 4096);
    assert_non_null(strstr(watched.alarms, "refuses the heartbeat's fence"));
    unwatch(&watched);
    server_run("UPDATE domicile.heartbeat SET fence = 1; UPDATE domicile.cell_state SET audit_fence = 1");
}

/* ---- slots ---- */

ON_LOOP(a_slot_that_retains_too_much_is_dropped)
{
    struct watched watched;
    set_up_cell("block");
    cell.monitor.slot_max_mib = 24;
    server_run("SELECT pg_create_physical_replication_slot('forgotten', true)");
    watch_cell(&watched, "daemon-1");
    until_state(&watched, CELL_HEALTHY);
    check_ok(fiber_sleep(5 * INTERVAL_MS));
    assert_int_equal(server_number("SELECT count(*) FROM pg_replication_slots"), 2);
    server_run("CREATE TABLE public.large AS SELECT repeat('x', 1000) FROM generate_series(1, 40000)");
    uint64_t begin = now_ms();
    while (cell_monitor_view(watched.monitor).slots_dropped == 0 && now_ms() - begin < 5000)
        check_ok(fiber_sleep(20));
    print_message("dropped %llu ms after it was too large\n", (unsigned long long)(now_ms() - begin));
    assert_int_equal(cell_monitor_view(watched.monitor).slots_dropped, 1);
    assert_int_equal(server_number("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 's1'"), 1);
    assert_int_equal(server_number("SELECT count(*) FROM pg_replication_slots"), 1);
    assert_int_equal(audit_rows("slot-drop", "dropped"), 1);
    assert_non_null(strstr(watched.alarms, "slot forgotten retained"));
    unwatch(&watched);
}

/* Last: the standby does not come back from it. Its walsender is alive, and ended first. */
ON_LOOP(a_slot_in_use_is_dropped_all_the_same)
{
    struct watched watched;
    set_up_cell("block");
    cell.monitor.slot_max_mib = 24;
    watch_cell(&watched, "daemon-1");
    until_state(&watched, CELL_HEALTHY);
    standby_signal(SIGSTOP);
    server_run("SET synchronous_commit = local; "
               "INSERT INTO public.large SELECT repeat('x', 1000) FROM generate_series(1, 40000)");
    uint64_t begin = now_ms();
    while (cell_monitor_view(watched.monitor).slots_dropped == 0 && now_ms() - begin < 8000)
        check_ok(fiber_sleep(20));
    assert_int_equal(server_number("SELECT count(*) FROM pg_replication_slots"), 0);
    assert_int_equal(cell_monitor_view(watched.monitor).slots_dropped, 1);
    unwatch(&watched);
    standby_signal(SIGCONT);
}

/* ---- the other process ---- */

static void monitor_alone(void *arg)
{
    static struct watched watched;
    set_up_cell("block");
    watch_cell(&watched, "daemon-9");
    check_ok(scope_join(&watched.scope));
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--monitor") == 0) {
        set_up_scratch(NULL);
        return failed(loop_run(monitor_alone, NULL));
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_healthy_pair_is_measured),
        cmocka_unit_test(a_smaller_fence_is_refused),
        cmocka_unit_test(p5_a_stolen_certificate_locks_no_monitor_out_for_ever),
        cmocka_unit_test(who_stops_between_check_and_act_does_not_act_later),
        cmocka_unit_test(block_a_stopped_standby_makes_writes_wait),
        cmocka_unit_test(degrade_a_stopped_standby_and_back_by_itself),
        cmocka_unit_test(degrade_a_killed_standby_and_back_by_itself),
        cmocka_unit_test(a_killed_primary_is_lost_and_what_was_seen_is_audited_later),
        cmocka_unit_test(a_stopped_primary_is_lost_only_when_its_standby_says_so),
        cmocka_unit_test(a_primary_that_only_we_do_not_reach_is_not_lost),
        cmocka_unit_test(a_blind_control_plane_changes_nothing),
        cmocka_unit_test(two_monitors_never_both_act),
        cmocka_unit_test(a_killed_monitor_is_followed_and_a_stopped_one_is_fenced),
        cmocka_unit_test(a_slot_that_retains_too_much_is_dropped),
        cmocka_unit_test(a_slot_in_use_is_dropped_all_the_same),
    };
    return cmocka_run_group_tests(tests, set_up_scratch, tear_down_scratch);
}
