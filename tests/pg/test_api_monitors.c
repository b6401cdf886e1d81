/* A region's monitors as the daemon starts them, and what Prometheus reads of them. */
#include "api/gateway.h"
#include "base/buf.h"
#include "base/log.h"
#include "cell/migrate.h"
#include "cell/watch.h"
#include "directory/sqlite.h"
#include "pair.h"

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

static void until_healthy(const struct gateway *gateway)
{
    uint64_t begin = now_ms();
    while (cell_monitor_view(gateway->monitors[0]).state != CELL_HEALTHY && now_ms() - begin < 5000)
        check_ok(fiber_sleep(20));
    check_ok(fiber_sleep(500));
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

/* What the watch records carries the monitor's lease; once the cell has seen a later one, it records nothing. */
static void check_watch(void)
{
    uint64_t begin = now_ms();
    server_run("CREATE PUBLICATION p FOR TABLE domicile.customer");
    while (open_findings() == 0 && now_ms() - begin < 15000)
        check_ok(fiber_sleep(50));
    assert_int_equal(open_findings(), 1);
    server_run("SELECT domicile.heartbeat_write('eu-fr', 1000000, 'other', 1); DROP PUBLICATION p");
    check_ok(fiber_sleep(2000));
    assert_int_equal(open_findings(), 1);
}

ON_LOOP(a_region_watches_over_its_cells)
{
    const struct cell_stamp stamp = { "eu-fr", "eu-fr-1", 1 };
    struct pg_conn *conn = server_open(server_role("admin"));
    check_ok(cell_migrate(conn, &stamp, NULL, NULL));
    pg_close(conn);
    server_run(watch_grants());

    struct pair pair;
    struct config *config;
    struct scope scope = SCOPE_INIT;
    struct gateway gateway = { .region = "eu-fr" };
    log_set_sink(keep_line, NULL);
    pair_init(&pair, server_port(), standby_port());
    check_ok(config_load(pair.dir, &config, NULL));
    check_ok(directory_open_sqlite(config->directory_path, &gateway.directory));
    check_ok(gateway_monitors_start(&gateway, config, &scope));
    assert_int_equal(gateway.monitor_count, 1);
    until_healthy(&gateway);

    struct buf page;
    buf_init(&page, 1 << 20);
    gateway_monitor_metrics(&page, &gateway);
    assert_true(buf_append(&page, (struct str){ "", 1 }));
    check_page(page.ptr);
    buf_done(&page);
    assert_non_null(strstr(log_lines, "unknown -> healthy"));
    check_watch();

    scope_end(&scope);
    gateway_monitors_free(&gateway);
    directory_free(gateway.directory);
    config_free(config);
    pair_done(&pair);
    log_set_sink(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_region_watches_over_its_cells) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
