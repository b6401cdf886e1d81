/* `domicile cell status` of a real pair: what is on the screen, what is in the JSON, and the exit status. */
#include "cli/cli_test.h"
#include "health/monitor.h"
#include "pair.h"
#include "schema/migrate.h"

static struct pair pair;

static int cell_status(const char *more)
{
    char line[160];
    snprintf(line, sizeof line, "--config %s cell status %s", pair.dir, more);
    return domicile(line);
}

static void set_up_on_loop(void)
{
    const struct cell_stamp stamp = { "eu-fr", "eu-fr-1", 1 };
    struct pg_conn *conn = server_open(server_superuser());
    check_ok(cell_migrate(conn, &stamp, NULL, NULL));
    pg_close(conn);
}

static int set_up(void **state)
{
    (void)state;
    pair_init(&pair, server_port(), standby_port());
    on_loop_do(set_up_on_loop);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    domicile_done();
    pair_done(&pair);
    return 0;
}

static void a_healthy_pair(void **state)
{
    (void)state;
    assert_int_equal(cell_status("eu-fr/eu-fr-1"), 0);
    has(out, "eu-fr/eu-fr-1  healthy  The primary accepts writes");
    has(out, "\np1    primary  yes");
    has(out, "\ns1    standby  -");
    has(out, "confirms");
    has(out, "not asked"); /* the disk: over SSH, and nobody did */
    has(out, "no monitor has written a heartbeat yet");
}

static const json_t *fact(const json_t *document, size_t node, const char *name)
{
    const json_t *cell = json_array_get(json_object_get(document, "cells"), 0);
    const json_t *facts = json_object_get(json_array_get(json_object_get(cell, "nodes"), node), "facts");
    for (size_t i = 0; i < json_array_size(facts); i++)
        if (strcmp(json_string_value(json_object_get(json_array_get(facts, i), "fact")), name) == 0)
            return json_array_get(facts, i);
    fail_msg("no fact \"%s\" in %s", name, out);
    return NULL;
}

static void json_names_every_fact(void **state)
{
    (void)state;
    assert_int_equal(cell_status("eu-fr/eu-fr-1 --json"), 0);
    json_t *document = json_loads(out, 0, NULL);
    assert_non_null(document);
    const json_t *writable = fact(document, 0, "writable"), *lag = fact(document, 1, "replay_lag_bytes");
    assert_string_equal(json_string_value(json_object_get(writable, "value")), "yes");
    assert_string_equal(json_string_value(json_object_get(writable, "source")), "probe");
    assert_true(strncmp(json_string_value(json_object_get(writable, "host")), "127.0.0.1:", 10) == 0);
    assert_true(json_is_string(json_object_get(writable, "at")));
    assert_true(json_is_integer(json_object_get(lag, "value")));
    assert_true(json_is_null(json_object_get(fact(document, 0, "disk_free_bytes"), "value")));
    const json_t *sync = fact(document, 1, "sync_state"); /* of the standby, as the primary tells it */
    assert_string_equal(json_string_value(json_object_get(sync, "value")), "sync");
    assert_string_equal(json_string_value(json_object_get(sync, "host")),
                        json_string_value(json_object_get(writable, "host")));
    assert_true(
        json_is_string(json_object_get(json_object_get(document, "questions"), "pg_stat_replication")));
    json_decref(document);
}

static void a_stopped_standby_blocks(void **state)
{
    (void)state;
    server_signal(server_pid_in("PGT_STANDBY_PIDFILE"), SIGSTOP);
    int status = cell_status("eu-fr/eu-fr-1");
    server_signal(server_pid_in("PGT_STANDBY_PIDFILE"), SIGCONT);
    assert_int_equal(status, cell_state_exit(CELL_BLOCKED));
    has(out, "blocked  Writes wait");
    has(out, "no answer");
}

static void nobody_answers(void **state)
{
    struct arena arena;
    (void)state;
    arena_init(&arena);
    pair_write_region(&pair, &arena, 1, 2);
    assert_int_equal(cell_status("eu-fr/eu-fr-1"), cell_state_exit(CELL_BLIND));
    has(out, "blind  No node answers");
    has(out, "refused");
    pair_write_region(&pair, &arena, server_port(), standby_port());
    arena_done(&arena);
}

static void an_unknown_cell_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(cell_status("eu-fr/none"), error_exit_status(E_NOT_FOUND));
    has(err, "there is no cell");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_healthy_pair),
        cmocka_unit_test(json_names_every_fact),
        cmocka_unit_test(a_stopped_standby_blocks),
        cmocka_unit_test(nobody_answers),
        cmocka_unit_test(an_unknown_cell_is_an_error),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
