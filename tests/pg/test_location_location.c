/* Location over a real pair: what the answers are, and what a proxy between gains. */
#include "server.h"

#include "location/location.h"
#include "location/location_measure.h"
#include "schema/migrate.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

enum { ROWS = 500 };

static struct arena arena;
static struct node nodes[2];
static struct cell cell;
static struct region region;
static const struct vantage here = {
    .name = { "par-noc", 7 }, .country = "FR", .latitude = 48.86, .longitude = 2.35
};
static struct location_asker asker;

static uint16_t standby_port(void)
{
    return (uint16_t)atoi(getenv("PGT_STANDBY_PORT"));
}

static void declare(uint16_t primary, uint16_t standby)
{
    nodes[0] = (struct node){ .name = STR("p1"), .address = "127.0.0.1", .port = primary };
    nodes[1] = (struct node){ .name = STR("s1"), .address = "127.0.0.1", .port = standby };
    region = (struct region){ .name = STR("eu-fr") };
    cell = (struct cell){ .name = STR("eu-fr-1"),
                          .database = "domicile",
                          .ca = server_path("ca.crt"),
                          .nodes = nodes,
                          .node_count = 2,
                          .region = &region,
                          .pool.connect_within_ms = 5000,
                          .monitor.files = { server_path("monitor.crt"), server_path("monitor.key") } };
    asker = (struct location_asker){ .cell = &cell, .role = PG_MONITOR, .vantage = &here };
}

static struct location_sample measured(size_t node, uint32_t count)
{
    struct location_sample sample;
    check_ok(location_measure(&asker, &nodes[node], count, &arena, &sample));
    return sample;
}

/* ---- a proxy ---- */
struct proxy {
    pid_t pid;
    uint16_t port;
};

static struct proxy proxy_start(uint16_t to, const char *delay)
{
    struct proxy proxy;
    char line[32] = "", port[16];
    int ends[2];
    posix_spawn_file_actions_t actions;
    snprintf(port, sizeof port, "%u", (unsigned)to);
    char *argv[] = { "python3", SOURCE_DIR "/tests/pg/delay", port, (char *)delay, NULL };
    assert_int_equal(pipe(ends), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    assert_int_equal(posix_spawnp(&proxy.pid, argv[0], &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    FILE *said = fdopen(ends[0], "r");
    assert_non_null(fgets(line, sizeof line, said));
    fclose(said);
    proxy.port = (uint16_t)atoi(line);
    assert_true(proxy.port > 0);
    return proxy;
}

static void proxy_stop(const struct proxy *proxy)
{
    kill(proxy->pid, SIGTERM);
    assert_int_equal(waitpid(proxy->pid, NULL, 0), proxy->pid);
}

static uint64_t handshake_us(uint16_t port)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
    uint64_t least_us = UINT64_MAX;
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    for (int i = 0; i < 5; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        uint64_t began_ns = clock_monotonic_ns();
        assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
        uint64_t took_us = (clock_monotonic_ns() - began_ns) / 1000;
        least_us = took_us < least_us ? took_us : least_us;
        close(fd);
    }
    return least_us;
}

/* ---- the answer ---- */
static struct str answer_of(const char *port_of, int64_t upto, const char *nonce_hex, int64_t *ret_count)
{
    struct pg_connect_options options = server_role("monitor");
    options.port = strcmp(port_of, "s1") == 0 ? standby_port() : server_port();
    struct pg_conn *conn = server_open(options);
    struct pg_reply reply = PG_REPLY_INIT;
    const struct pg_value params[] = { pg_text(str_from(nonce_hex)), pg_int8(upto) };
    check_ok(pg_exec(conn, "SELECT answer, count FROM domicile.location_answer(decode($1, 'hex'), $2)",
                     params, 2, &reply));
    struct str answer = { 0 };
    if (!pg_reply_is_null(&reply, 0, 0))
        answer = arena_str(&arena, pg_reply_str(&reply, 0, 0));
    *ret_count = pg_reply_number(&reply, 0, 1);
    pg_reply_done(&reply);
    pg_close(conn);
    return answer;
}

#define NONCE "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define OTHER "010102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static void wait_for_standby(void)
{
    int64_t wanted = server_number("SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint");
    struct pg_connect_options options = server_superuser();
    options.port = standby_port();
    struct pg_conn *conn = server_open(options);
    for (int i = 0; i < 1000; i++) {
        if (server_number_on(conn, "SELECT (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint") >= wanted)
            break;
        check_ok(fiber_sleep(10));
    }
    pg_close(conn);
}

ON_LOOP(an_answer_is_made_of_the_records)
{
    int64_t count = 0, unheeded;
    struct str first = answer_of("p1", ROWS, NONCE, &count);
    assert_int_equal(first.len, 32);
    assert_int_equal(count, 16);
    assert_true(str_eq(first, answer_of("p1", ROWS, NONCE, &count)));
    assert_true(str_eq(first, answer_of("s1", ROWS, NONCE, &count)));
    assert_false(str_eq(first, answer_of("p1", ROWS, OTHER, &count)));
    assert_false(str_eq(first, answer_of("p1", ROWS - 1, NONCE, &count)));
    assert_null(answer_of("p1", ROWS + 100, NONCE, &unheeded).ptr); /* what the node does not have yet */
    /* Every row of the audit log is about a record here: other bytes in them are another answer. */
    server_run("UPDATE domicile.record SET payload = decode(repeat(md5(key), 100), 'hex')");
    struct str changed = answer_of("p1", ROWS, NONCE, &count);
    assert_false(str_eq(first, changed));
    wait_for_standby();
    assert_true(str_eq(changed, answer_of("s1", ROWS, NONCE, &count)));
}

ON_LOOP(only_the_monitor_may_ask)
{
    struct pg_reply reply = PG_REPLY_INIT;
    struct pg_conn *conn = server_open(server_role("gateway"));
    check_fails(E_SQL, pg_exec(conn, "SELECT domicile.location_answer(NULL, 1)", NULL, 0, &reply));
    assert_string_equal(reply.sqlstate, "42501");
    check_fails(E_SQL, pg_exec(conn, "SELECT domicile.location_horizon()", NULL, 0, &reply));
    assert_string_equal(reply.sqlstate, "42501");
    pg_close(conn);
    conn = server_open(server_role("monitor"));
    static const char *const wrong[] = { "NULL, 1", "'\\x00', 1", "decode('" NONCE "', 'hex'), 0",
                                         "decode('" NONCE "', 'hex'), NULL" };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        const char *sql = arena_printf(&arena, "SELECT domicile.location_answer(%s)", wrong[i]);
        check_fails(E_SQL, pg_exec(conn, sql, NULL, 0, &reply));
        assert_string_equal(reply.sqlstate, "DM004");
    }
    pg_close(conn);
}

/* ---- measuring ---- */
ON_LOOP(a_node_is_measured_and_the_other_checks_it)
{
    declare(server_port(), standby_port());
    for (size_t i = 0; i < 2; i++) {
        struct location_sample sample = measured(i, 50);
        assert_string_equal(sample.node, nodes[i].name.ptr);
        assert_string_equal(sample.verified, nodes[1 - i].name.ptr);
        assert_string_equal(sample.cell, "eu-fr/eu-fr-1");
        assert_int_equal(sample.count, 50);
        assert_int_equal(sample.rows, 16);
        assert_true(sample.min_us > 0 && sample.min_us <= sample.median_us);
        print_message("%s answers in %llu us at least, %llu us in the middle\n", sample.node,
                      (unsigned long long)sample.min_us, (unsigned long long)sample.median_us);
    }
}

ON_LOOP(without_another_node_nothing_is_checked)
{
    declare(server_port(), standby_port());
    cell.node_count = 1;
    assert_null(measured(0, 5).verified);
    cell.node_count = 2;
    nodes[1].port = 1; /* nobody answers there */
    assert_null(measured(0, 5).verified);
}

ON_LOOP(a_delay_on_the_way_widens_the_bound)
{
    static const struct {
        const char *delay;
        uint64_t least_us;
    } delays[] = { { "10", 20000 }, { "30", 60000 } };
    for (size_t i = 0; i < 2; i++) {
        struct proxy proxy = proxy_start(server_port(), delays[i].delay);
        declare(proxy.port, standby_port());
        struct location_sample sample = measured(0, 10);
        uint64_t tcp_us = handshake_us(proxy.port);
        print_message("delayed %s ms each way: TCP %llu us, the answer %llu us, within %.0f km\n",
                      delays[i].delay, (unsigned long long)tcp_us, (unsigned long long)sample.min_us,
                      location_bound_km(sample.min_us));
        assert_true(sample.min_us >= delays[i].least_us);
        assert_true(location_bound_km(sample.min_us) >= 150.0 * (double)delays[i].least_us / 1000);
        assert_string_equal(sample.verified, "s1");
        assert_true(tcp_us < delays[i].least_us / 4); /* the handshake is the proxy's, and says nothing */
        proxy_stop(&proxy);
    }
}

ON_LOOP(a_proxy_that_answers_by_itself_gains_nothing)
{
    struct proxy proxy = proxy_start(server_port(), "deaf");
    struct location_sample sample;
    declare(proxy.port, standby_port());
    cell.pool.connect_within_ms = 1500;
    assert_true(handshake_us(proxy.port) < 100000);
    result r = location_measure(&asker, &nodes[0], 5, &arena, &sample);
    assert_true(r.error.code == E_UNAVAILABLE || r.error.code == E_TLS);
    proxy_stop(&proxy);
}

ON_LOOP(two_nodes_that_disagree_are_a_finding)
{
    struct pg_connect_options options = server_superuser();
    struct location_sample sample;
    options.port = standby_port();
    declare(server_port(), standby_port());
    struct pg_conn *standby = server_open(options);
    server_do(standby, "SELECT pg_wal_replay_pause()");
    struct pg_conn *primary = server_open(server_superuser());
    server_do(primary, "SET synchronous_commit = local; UPDATE domicile.record SET payload = '\\x0102'");
    check_fails(E_FINDING, location_measure(&asker, &nodes[0], 5, &arena, &sample));
    check_fails(E_FINDING, location_measure(&asker, &nodes[1], 5, &arena, &sample));
    server_do(standby, "SELECT pg_wal_replay_resume()");
    pg_close(standby);
    pg_close(primary);
    wait_for_standby();
    assert_string_equal(measured(0, 5).verified, "s1");
}

ON_LOOP(a_standby_that_lacks_the_rows_checks_nothing)
{
    struct pg_connect_options options = server_superuser();
    options.port = standby_port();
    declare(server_port(), standby_port());
    struct pg_conn *standby = server_open(options);
    server_do(standby, "SELECT pg_wal_replay_pause()");
    struct pg_conn *primary = server_open(server_superuser());
    server_do(
        primary,
        "SET synchronous_commit = local; INSERT INTO domicile.audit (at, epoch, action, outcome, region,"
        " principal, role, rule, request) VALUES (now() - interval '1 minute', 1, 'read', 'done',"
        " 'eu-fr', 'x', 'system', 'r', 'q')");
    assert_null(measured(0, 5).verified);
    server_do(standby, "SELECT pg_wal_replay_resume()");
    pg_close(standby);
    pg_close(primary);
    wait_for_standby();
    assert_string_equal(measured(0, 5).verified, "s1");
}

ON_LOOP(who_may_not_ask_is_told_so)
{
    struct location_sample sample;
    declare(server_port(), standby_port());
    cell.gateway = (struct tls_files){ server_path("gateway.crt"), server_path("gateway.key") };
    asker.role = PG_GATEWAY;
    check_fails(E_SCHEMA, location_measure(&asker, &nodes[0], 5, &arena, &sample));
}

/* ---- the cell ---- */
ON_LOOP(the_cell_is_empty_at_first)
{
    const struct cell_stamp stamp = { "eu-fr", "eu-fr-1", 1 };
    struct location_sample sample;
    struct pg_conn *conn = server_open(server_superuser());
    check_ok(cell_migrate(conn, &stamp, NULL, NULL));
    pg_close(conn);
    declare(server_port(), standby_port());
    check_fails(E_NOT_FOUND, location_measure(&asker, &nodes[0], 5, &arena, &sample));
    conn = server_open(server_superuser());
    server_do(
        conn,
        "INSERT INTO domicile.customer (id, region, services_version) VALUES ('clinic', 'eu-fr', 1);"
        "INSERT INTO domicile.record (revision, key_version, customer, class, key, payload)"
        " SELECT i, 1, 'clinic', 'health', 'k' || i, decode(repeat(md5(i::text), 100), 'hex')"
        "   FROM generate_series(1, 500) i;"
        "INSERT INTO domicile.audit (at, epoch, revision, action, outcome, region, customer, class, key,"
        " principal, role, rule, request)"
        " SELECT now() - interval '1 hour', 1, i, 'store', 'done', 'eu-fr', 'clinic', 'health', 'k' || i,"
        " 'app', 'customer-app', 'rule', md5(i::text) FROM generate_series(1, 500) i");
    pg_close(conn);
    wait_for_standby();
}

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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_cell_is_empty_at_first),
        TEST(an_answer_is_made_of_the_records),
        TEST(only_the_monitor_may_ask),
        TEST(a_node_is_measured_and_the_other_checks_it),
        TEST(without_another_node_nothing_is_checked),
        TEST(a_delay_on_the_way_widens_the_bound),
        TEST(a_proxy_that_answers_by_itself_gains_nothing),
        TEST(two_nodes_that_disagree_are_a_finding),
        TEST(a_standby_that_lacks_the_rows_checks_nothing),
        TEST(who_may_not_ask_is_told_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
