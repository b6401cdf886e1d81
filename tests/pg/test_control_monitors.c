/* A region's monitors as the daemon starts them, and what Prometheus reads of them. */
#include "base/buf.h"
#include "base/log.h"
#include "control/control.h"
#include "directory/sqlite.h"
#include "pair.h"
#include "relay.h"
#include "schema/migrate.h"
#include "watch/watch.h"

static char log_lines[4096];

static void keep_line(void *context, enum log_level level, const char *text)
{
    size_t used = strlen(log_lines);
    (void)context, (void)level;
    snprintf(log_lines + used, sizeof log_lines - used, "%s\n", text);
}

static double value_of(const char *page, const char *series)
{
    const char *at = strstr(page, series);
    if (at == NULL || (at != page && at[-1] != '\n'))
        fail_msg("no %s in\n%s", series, page);
    return strtod(at + strlen(series), NULL);
}

static void until_state(const struct control *control, enum cell_state state)
{
    uint64_t begin = now_ms();
    while (cell_monitor_view(control->monitors[0]).state != state && now_ms() - begin < 60000)
        check_ok(fiber_sleep(20));
    assert_int_equal(cell_monitor_view(control->monitors[0]).state, state);
}

static void check_page(const char *page)
{
#define OF_CELL "{region=\"eu-fr\",cell=\"eu-fr-1\""
    assert_true(value_of(page, "domicile_cell_monitor_active" OF_CELL "} ") == 1);
    assert_true(value_of(page, "domicile_cell_state" OF_CELL ",state=\"healthy\"} ") == 1);
    assert_true(value_of(page, "domicile_cell_state" OF_CELL ",state=\"blocked\"} ") == 0);
    assert_true(value_of(page, "domicile_node_answers" OF_CELL ",node=\"p1\"} ") == 1);
    assert_true(value_of(page, "domicile_standby_sees_primary" OF_CELL ",node=\"s1\"} ") == 1);
    assert_true(value_of(page, "domicile_standby_synchronous" OF_CELL ",node=\"s1\"} ") == 1);
    assert_null(strstr(page, "domicile_standby_synchronous" OF_CELL ",node=\"p1\"}"));
    assert_true(value_of(page, "domicile_synchronous_standbys_required" OF_CELL "} ") == 1);
    assert_true(value_of(page, "domicile_cell_looks_total" OF_CELL "} ") >= 2);
    assert_true(value_of(page, "domicile_replication_lag_bytes" OF_CELL ",node=\"s1\",of=\"replayed\"} ") <
                1e6);
    assert_true(value_of(page, "domicile_replication_lag_seconds" OF_CELL ",node=\"s1\"} ") < 2);
    assert_true(value_of(page, "domicile_slot_retained_bytes" OF_CELL ",node=\"p1\",slot=\"s1\"} ") >= 0);
    double left =
        value_of(page, "domicile_certificate_expiry_seconds" OF_CELL ",node=\"s1\",of=\"server\"} ");
    assert_true(left > 24 * 3600 && left <= 48 * 3600);
    assert_true(value_of(page, "domicile_certificate_expiry_seconds" OF_CELL ",node=\"s1\",of=\"client\"} ") >
                0);
    assert_true(value_of(page, "domicile_clock_offset_seconds" OF_CELL ",node=\"p1\"} ") < 0.1);
    assert_true(value_of(page, "domicile_heartbeat_age_seconds" OF_CELL ",node=\"p1\"} ") < 2);
    assert_true(value_of(page, "domicile_writes_waiting" OF_CELL ",node=\"p1\"} ") == 0);
    assert_null(strstr(page, "disk_free_bytes{")); /* nobody was asked */
}

static int64_t open_findings(void)
{
    return server_number(
        "SELECT count(*) FROM domicile.finding WHERE channel = 'publication' AND ended_at IS NULL");
}

/* What the watch records carries the monitor's lease, or the cell would refuse it; a gateway that learns of a later one
 * steps down, and its watch with it, until it has a lease above that one. */
static void check_watch(void)
{
    uint64_t begin = now_ms();
    server_run("CREATE PUBLICATION p FOR TABLE domicile.customer");
    while (open_findings() == 0 && now_ms() - begin < 60000)
        check_ok(fiber_sleep(50));
    assert_int_equal(open_findings(), 1);
    server_run("SELECT domicile.heartbeat_write('eu-fr', 4000, 'other', 1); DROP PUBLICATION p");
    while (open_findings() == 1 && now_ms() - begin < 60000)
        check_ok(fiber_sleep(50));
    assert_int_equal(open_findings(), 0);
    assert_int_equal(
        server_number("SELECT (fence > 4000 AND writer <> 'other')::integer FROM domicile.heartbeat"), 1);
}

/* ---- a region's gateway ---- */

struct watching {
    struct pair pair;
    struct config *config;
    struct directory *directory;
    struct control control;
};

static void watching_start(struct watching *watching, uint16_t primary, uint16_t standby)
{
    const struct cell_stamp stamp = { "eu-fr", "eu-fr-1", 1 };
    struct pg_conn *conn = server_open(server_superuser());
    check_ok(cell_migrate(conn, &stamp, NULL, NULL));
    pg_close(conn);
    server_run(watch_grants());

    *watching = (struct watching){ 0 };
    log_lines[0] = '\0';
    log_set_sink(keep_line, NULL);
    pair_init(&watching->pair, primary, standby);
    check_ok(config_load(watching->pair.dir, &watching->config, NULL));
    check_ok(directory_open_sqlite(watching->config->directory_path, &watching->directory));
    check_ok(control_start(&watching->control, watching->config, "eu-fr", watching->directory));
    assert_int_equal(watching->control.monitor_count, 1);
    until_state(&watching->control, CELL_HEALTHY);
}

static void watching_stop(struct watching *watching)
{
    control_stop(&watching->control);
    directory_free(watching->directory);
    config_free(watching->config);
    pair_done(&watching->pair);
    log_set_sink(NULL, NULL);
}

ON_LOOP(a_region_watches_over_its_cells)
{
    struct watching watching;
    watching_start(&watching, server_port(), standby_port());
    check_ok(fiber_sleep(500));

    struct buf page;
    buf_init(&page, 1 << 20);
    control_metrics(&page, &watching.control);
    assert_true(buf_append(&page, (struct str){ "", 1 }));
    check_page(page.ptr);
    buf_done(&page);
    assert_non_null(strstr(log_lines, "unknown -> healthy"));
    check_watch();
    watching_stop(&watching);
}

/* ---- a network that is gone ---- */

struct cell_facts {
    int64_t audit_rows, findings, heartbeats, degraded, synchronous;
};

static struct cell_facts cell_facts(void)
{
    return (struct cell_facts){
        .audit_rows = server_number("SELECT count(*) FROM domicile.audit"),
        .findings =
            server_number("SELECT coalesce(sum(id), 0)::bigint + count(ended_at) FROM domicile.finding"),
        .heartbeats = server_number("SELECT sequence FROM domicile.heartbeat"),
        .degraded = server_number("SELECT count(degraded_since) FROM domicile.cell_state"),
        .synchronous =
            server_number("SELECT count(*) FROM pg_stat_replication WHERE sync_state <> 'async'") == 1,
    };
}

/* Nothing comes back from either node, though both are well: connections that are there fall silent, and new ones come to
 * nobody. The policy would let the gateway degrade the cell. */
ON_LOOP(a_gateway_that_loses_its_network_changes_nothing)
{
    enum { WELL_BEYOND_EVERY_LIMIT_MS = 6000 };
    struct watching watching;
    struct relay relays[] = { relay_start(getenv("PGT_PORT"), "127.0.0.1"),
                              relay_start(getenv("PGT_STANDBY_PORT"), "127.0.0.1") };
    watching_start(&watching, (uint16_t)atoi(relays[0].port), (uint16_t)atoi(relays[1].port));
    kill(relays[0].pid, SIGSTOP);
    kill(relays[1].pid, SIGSTOP);
    check_ok(fiber_sleep(500)); /* what was under way arrives */
    struct cell_facts before = cell_facts();
    until_state(&watching.control, CELL_BLIND);
    check_ok(fiber_sleep(WELL_BEYOND_EVERY_LIMIT_MS));
    assert_int_equal(cell_monitor_view(watching.control.monitors[0]).state, CELL_BLIND);
    struct cell_facts after = cell_facts();
    assert_memory_equal(&before, &after, sizeof before);
    assert_int_equal(after.synchronous, 1);

    kill(relays[0].pid, SIGCONT);
    kill(relays[1].pid, SIGCONT);
    until_state(&watching.control, CELL_HEALTHY);
    uint64_t begin = now_ms();
    while (cell_facts().audit_rows < before.audit_rows + 2 && now_ms() - begin < 10000)
        check_ok(fiber_sleep(50)); /* it says afterwards that it was blind */
    assert_true(cell_facts().audit_rows >= before.audit_rows + 2);
    assert_true(cell_facts().heartbeats > before.heartbeats);
    watching_stop(&watching);
    relay_stop(&relays[0]);
    relay_stop(&relays[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_gateway_that_loses_its_network_changes_nothing),
                                        cmocka_unit_test(a_region_watches_over_its_cells) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
