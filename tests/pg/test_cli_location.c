/* node locate over a real pair: measured, stored, imported, judged. */
#include "pair.h"

#include "base/json.h"
#include "cli/cli_test.h"
#include "location/location_sample.h"
#include "schema/migrate.h"

static struct pair pair;
static struct arena arena;

static int node_locate(const char *line)
{
    return domicile(arena_printf(&arena, "--config %s %s", pair.dir, line));
}

static void be_vantage(const char *name)
{
    pair_write(&pair, "domicile.cfg",
               str_from(arena_printf(
                   &arena,
                   "%s%s%s vantages = (\n"
                   "{ name = \"par-noc\"; country = \"FR\"; latitude = 48.86; longitude = 2.35; },\n"
                   "{ name = \"fra-noc\"; country = \"DE\"; latitude = 50.11; longitude = 8.68; },\n"
                   "{ name = \"syd-noc\"; country = \"AU\"; latitude = -33.9; longitude = 151; } );",
                   name[0] ? "vantage = \"" : "", name, name[0] ? "\";" : "")));
}

static const char *state_file(void)
{
    return arena_printf(&arena, "%s/state/location.jsonl", pair.dir);
}

static json_t *located(const char *node)
{
    json_t *document = NULL;
    assert_int_equal(node_locate(arena_printf(&arena, "node locate %s --samples 0 --json", node)), 0);
    check_ok(json_parse(str_from(out), JSON_DEPTH_MAX, &document));
    return document;
}

static void is_outside(const char *node, const char *grade, size_t measures)
{
    json_t *document = located(node), *first = json_array_get(json_object_get(document, "nodes"), 0);
    assert_string_equal(json_string_value(json_object_get(first, "node")), node);
    assert_string_equal(json_string_value(json_object_get(first, "outside_bloc")), grade);
    assert_int_equal(json_array_size(json_object_get(first, "measures")), measures);
    json_decref(document);
}

static void migrate(void *arg)
{
    const struct cell_stamp stamp = { "eu-fr", "eu-fr-1", 1 };
    struct pg_conn *conn = server_open(server_superuser());
    check_ok(cell_migrate(conn, &stamp, NULL, NULL));
    pg_close(conn);
    server_run(
        "INSERT INTO domicile.audit (at, epoch, action, outcome, region, principal, role, rule, request)"
        " SELECT now() - interval '1 hour', 1, 'store', 'done', 'eu-fr', 'app', 'customer-app', 'r', "
        "md5(i::text)"
        "   FROM generate_series(1, 100) i");
}

static void a_host_that_is_no_vantage_measures_nothing(void **state)
{
    assert_int_equal(node_locate("node locate p1"), 7);
    has(err, "this host is not a vantage");
    assert_int_equal(node_locate("node locate p1 --samples 1001"), 2);
    assert_int_equal(node_locate("node locate p1 --samples x"), 2);
    assert_int_equal(node_locate("node locate nobody --samples 0"), 4);
    is_outside("p1", "declared", 0);
}

static void a_measurement_is_stored_and_judged(void **state)
{
    be_vantage("par-noc");
    assert_int_equal(node_locate("node locate p1 --samples 30"), 0);
    has(out, "par-noc");
    has(out, "observed: not in ");
    has(out, "US");
    has(out, "s1"); /* checked by */
    is_outside("p1", "observed", 1);
    is_outside("s1", "declared", 0);
    assert_int_equal(node_locate("node locate s1"), 0);
    is_outside("s1", "observed", 1);
}

/* The file as a vantage would have it that is farther away than this host is from itself. */
static void carry_with_delay(const char *path, uint64_t more_us)
{
    struct location_samples samples;
    struct buf text;
    buf_init(&text, LOCATION_STORE_MAX);
    check_ok(location_store_read(arena_printf(&arena, "%s/state", pair.dir), &arena, &samples));
    for (size_t i = 0; i < samples.count; i++) {
        samples.items[i].min_us += more_us;
        samples.items[i].median_us += more_us;
        check_ok(location_sample_write(&samples.items[i], &text));
    }
    FILE *file = fopen(path, "w");
    assert_int_equal(fwrite(text.ptr, 1, text.len, file), text.len);
    fclose(file);
    buf_done(&text);
    remove(state_file());
}

/* The other vantage has a directory of its own, and its file is carried here. */
static void what_another_vantage_measured_corroborates(void **state)
{
    const char *carried = arena_printf(&arena, "%s/carried", pair.dir);
    const char *kept = arena_printf(&arena, "%s/kept", pair.dir);
    assert_int_equal(rename(state_file(), kept), 0);
    be_vantage("fra-noc");
    assert_int_equal(node_locate("node locate p1"), 0);
    carry_with_delay(carried, 9000);
    assert_int_equal(rename(kept, state_file()), 0);
    be_vantage("par-noc");
    assert_int_equal(node_locate(arena_printf(&arena, "node locate p1 --json --import %s", carried)), 0);
    has(out, "\"stored\": 1");
    is_outside("p1", "corroborated", 2);
    assert_int_equal(node_locate(arena_printf(&arena, "node locate p1 --json --import %s", carried)), 0);
    has(out, "\"stored\": 0"); /* again, it is there already */
    is_outside("p1", "corroborated", 2);
    FILE *file = fopen(carried, "a");
    fputs("{\"vantage\":1}\n", file);
    fclose(file);
    assert_int_equal(node_locate(arena_printf(&arena, "node locate --import %s", carried)), 2);
    has(err, "line 2: ");
    remove(carried);
}

/* This host says that it is in Sydney, and the node answers at once. */
static void a_node_that_answers_too_soon_is_a_finding(void **state)
{
    be_vantage("syd-noc");
    assert_int_equal(node_locate("node locate s1"), 9);
    has(out, "it answered too fast to be in FR");
    has(out, "no place is near enough to both");
    has(err, "a node is not where it is declared");
    remove(state_file());
    be_vantage("par-noc");
    is_outside("s1", "declared", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_that_is_no_vantage_measures_nothing),
        cmocka_unit_test(a_measurement_is_stored_and_judged),
        cmocka_unit_test(what_another_vantage_measured_corroborates),
        cmocka_unit_test(a_node_that_answers_too_soon_is_a_finding),
    };
    arena_init(&arena);
    pair_init(&pair, server_port(), standby_port());
    be_vantage("");
    on_loop(migrate, NULL);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove(arena_printf(&arena, "%s/state", pair.dir));
    remove(arena_printf(&arena, "%s/domicile.cfg", pair.dir));
    pair_done(&pair);
    domicile_done();
    arena_done(&arena);
    return failed;
}
