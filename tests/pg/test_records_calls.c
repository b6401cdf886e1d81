/* The record path of a gateway, with real keys, on a real cell: two gateways are two stores, each with its ring of keys. */
#include "records/keys.h"
#include "records/records.h"
#include "schema/migrate.h"
#include "server.h"

struct side {
    struct record_cell cell;
    struct record_store store;
    struct root_key root;
    size_t alarms;
};

static void count_alarm(void *context, const struct record_shelf *shelf, struct str key)
{
    (void)shelf;
    (void)key;
    ++((struct side *)context)->alarms;
}

static void side_open(struct side *side)
{
    *side = (struct side){ .cell = { .name = "us-1", .region = "us", .epoch = 1 } };
    check_ok(secret_new(&side->root.secret, ROOTKEY_BYTES));
    memset(side->root.secret.ptr, 7, ROOTKEY_BYTES);
    side->cell.pool = server_pool((struct pg_pool_options){ .connect = server_role("gateway"),
                                                            .statements = statements,
                                                            .statement_count = STATEMENT_COUNT,
                                                            .connections = 2 });
    side->store = (struct record_store){ .region = STR("us"),
                                         .cells = &side->cell,
                                         .cell_count = 1,
                                         .root = &side->root,
                                         .alarm = count_alarm,
                                         .alarm_context = side };
    check_ok(keyring_new(&side->store.keyring, 100, 60 * 1000));
    check_ok(record_store_open(&side->store));
}

static void side_close(struct side *side)
{
    pg_pool_free(side->cell.pool);
    keyring_free(side->store.keyring);
    record_store_close(&side->store);
    rootkey_free(&side->root);
}

static struct record_shelf shelf_of(struct side *side, const char *class)
{
    return (struct record_shelf){ .store = &side->store,
                                  .cell = &side->cell,
                                  .epoch = 1,
                                  .customer = STR("acme"),
                                  .class = str_from(class),
                                  .sealed = true,
                                  .actor = { STR("c-0123456789"), STR("customer-app"), STR("own-records"),
                                             STR("req-0001") } };
}

static void put(const struct record_shelf *shelf, const char *key, const char *body)
{
    struct arena arena;
    struct record_written written;
    const struct record_write write = { .key = str_from(key),
                                        .type = STR("text/plain"),
                                        .body = str_from(body) };
    arena_init(&arena);
    check_ok(records_put(shelf, &arena, &write, &written));
    arena_done(&arena);
}

static void check_body(const struct record_shelf *shelf, const char *key, const char *body)
{
    struct arena arena;
    struct record record;
    arena_init(&arena);
    check_ok(records_get(shelf, &arena, str_from(key), &record));
    assert_true(str_is(record.body, body));
    arena_done(&arena);
}

static void rotate_and_reseal(const struct record_shelf *shelf)
{
    uint32_t version = 0;
    struct record_rotation rotation;
    check_ok(record_key_rotate(shelf, &version));
    check_ok(record_key_reseal(shelf));
    check_ok(record_key_rotation(shelf, &rotation));
    assert_int_equal(rotation.key_version, version);
    assert_true(rotation.done);
    assert_int_equal(rotation.remaining, 0);
}

/* ---- rotations ---- */

ON_LOOP(a_rotation_seals_a_class_of_several_passes_anew)
{
    struct side side, other;
    side_open(&side);
    side_open(&other);
    struct record_shelf shelf = shelf_of(&side, "many"), at_other = shelf_of(&other, "many");
    put(&shelf, "first", "1");
    /* Rows that are under the current key already, more than one call looks at, before and behind the old ones. */
    put(&shelf, "middle", "2");
    uint32_t version = 0;
    check_ok(record_key_rotate(&shelf, &version));
    server_run("INSERT INTO domicile.record (customer, class, key, revision, key_version, payload) "
               "SELECT 'acme', 'many', k || i, 1, 2, 'x' FROM generate_series(1, 2500) i, "
               "unnest('{a,g,z}'::text[]) k");
    check_ok(record_key_reseal(&shelf));
    assert_int_equal(
        server_number("SELECT count(*) FROM domicile.record WHERE class = 'many' AND key_version < 2"), 0);
    assert_int_equal(server_number("SELECT count(*) FROM domicile.class_key WHERE class = 'many'"), 1);
    check_body(&shelf, "first", "1");
    check_body(&at_other, "middle", "2");
    assert_int_equal(side.alarms + other.alarms, 0);
    side_close(&side);
    side_close(&other);
}

/* What does not open keeps the old key, and does not keep the others from their new one. */
ON_LOOP(p7_a_record_that_does_not_open_stays_and_the_others_go_on)
{
    struct side side;
    side_open(&side);
    struct record_shelf shelf = shelf_of(&side, "spoilt");
    put(&shelf, "a", "1");
    put(&shelf, "b", "2");
    put(&shelf, "c", "3");
    server_run("UPDATE domicile.record SET revision = revision + 1 WHERE class = 'spoilt' AND key = 'b'");
    uint32_t version = 0;
    check_ok(record_key_rotate(&shelf, &version));
    check_fails(E_SEAL, record_key_reseal(&shelf));
    assert_true(side.alarms >= 1);
    assert_int_equal(
        server_number("SELECT count(*) FROM domicile.record WHERE class = 'spoilt' AND key_version = 2"), 2);
    assert_int_equal(server_number("SELECT count(*) FROM domicile.class_key WHERE class = 'spoilt'"), 2);
    struct record_rotation rotation;
    check_ok(record_key_rotation(&shelf, &rotation));
    assert_false(rotation.done);
    assert_int_equal(rotation.remaining, 1);
    server_run("UPDATE domicile.record SET revision = revision - 1 WHERE class = 'spoilt' AND key = 'b'");
    check_ok(record_key_reseal(&shelf));
    check_body(&shelf, "b", "2");
    side_close(&side);
}

struct reader {
    struct side *side;
    bool pages;
    result outcome;
    bool right;
};

static void read_aside(void *arg)
{
    struct reader *reader = arg;
    struct record_shelf shelf = shelf_of(reader->side, "ended");
    struct arena arena;
    arena_init(&arena);
    if (reader->pages) {
        struct record_page page = { 0 };
        reader->outcome =
            records_page(&shelf, &arena, (struct str){ "", 0 }, (struct str){ "", 0 }, 10, true, &page);
        reader->right = !failed(reader->outcome) && page.count == 1 && str_is(page.items[0].body, "content");
    } else {
        struct record record;
        reader->outcome = records_get(&shelf, &arena, STR("r"), &record);
        reader->right = !failed(reader->outcome) && str_is(record.body, "content");
    }
    arena_done(&arena);
}

static void wait_for_the_key_to_be_asked(void)
{
    struct deadline deadline;
    deadline_begin(&deadline, SEC(10));
    while (server_number("SELECT count(*) FROM pg_locks WHERE NOT granted") == 0)
        check_ok(fiber_sleep(5));
    deadline_end(&deadline);
}

/* The reader has the row of the old key. Before it asks for that key, the rotation ends, the old key with it. */
static void read_at_the_end_of_a_rotation(bool pages)
{
    struct side side, late;
    side_open(&side);
    side_open(&late);
    server_run("DELETE FROM domicile.record WHERE class = 'ended'; DELETE FROM domicile.class_key WHERE "
               "class = 'ended'");
    struct record_shelf shelf = shelf_of(&side, "ended");
    put(&shelf, "r", "content");
    server_run("CREATE TABLE old_record AS SELECT * FROM domicile.record WHERE class = 'ended';"
               "CREATE TABLE old_key AS SELECT * FROM domicile.class_key WHERE class = 'ended'");
    rotate_and_reseal(&shelf);
    server_run(
        "CREATE TABLE new_record AS SELECT * FROM domicile.record WHERE class = 'ended';"
        "UPDATE domicile.record r SET key_version = o.key_version, payload = o.payload FROM old_record o "
        "WHERE r.class = 'ended'; INSERT INTO domicile.class_key SELECT * FROM old_key");

    struct pg_conn *rotation = server_open(server_superuser());
    server_do(rotation, "BEGIN");
    server_do(rotation, "LOCK TABLE domicile.class_key IN ACCESS EXCLUSIVE MODE");
    struct reader reader = { .side = &late, .pages = pages };
    struct scope scope = SCOPE_INIT;
    check_ok(fiber_spawn(&scope, "reader", read_aside, &reader));
    wait_for_the_key_to_be_asked();
    server_do(rotation, "UPDATE domicile.record r SET key_version = n.key_version, payload = n.payload "
                        "FROM new_record n WHERE r.class = 'ended'");
    server_do(rotation, "DELETE FROM domicile.class_key WHERE class = 'ended' AND version = 1");
    server_do(rotation, "COMMIT");
    check_ok(scope_join(&scope));
    check_ok(reader.outcome);
    assert_true(reader.right);
    assert_int_equal(late.alarms, 0);

    /* The key that is really lost is found out. */
    server_run(
        "UPDATE domicile.record r SET key_version = o.key_version, payload = o.payload FROM old_record o "
        "WHERE r.class = 'ended'; DROP TABLE old_record, old_key, new_record");
    read_aside(&reader);
    check_fails(E_KEY_VERSION_UNKNOWN, reader.outcome);
    assert_int_equal(late.alarms, 1);
    pg_close(rotation);
    side_close(&side);
    side_close(&late);
}

ON_LOOP(a_read_at_the_end_of_a_rotation_raises_no_alarm)
{
    read_at_the_end_of_a_rotation(false);
}

ON_LOOP(an_export_at_the_end_of_a_rotation_raises_no_alarm)
{
    read_at_the_end_of_a_rotation(true);
}

/* ---- a class that policy seals later ---- */

ON_LOOP(a_class_that_policy_seals_later_is_a_matter_of_configuration)
{
    struct side side;
    side_open(&side);
    struct record_shelf clear = shelf_of(&side, "later"), sealed = clear;
    struct arena arena;
    struct record record;
    struct record_written written;
    const struct record_write write = { .key = STR("new"), .type = STR("text/plain"), .body = STR("1") };
    clear.sealed = false;
    arena_init(&arena);
    put(&clear, "old", "1");
    check_fails(E_CONFIG, records_put(&sealed, &arena, &write, &written));
    check_fails(E_CONFIG, records_get(&sealed, &arena, STR("old"), &record));
    assert_int_equal(side.alarms, 0);
    assert_int_equal(server_number("SELECT count(*) FROM domicile.class_key WHERE class = 'later'"), 0);
    check_body(&clear, "old", "1"); /* policy can go back */
    static const struct record_condition none = { 0 };
    check_ok(records_delete(&sealed, STR("old"), &none));
    put(&sealed, "new", "2");
    check_body(&sealed, "new", "2");
    /* Once there is a key, a row in clear is tampering. */
    server_run("UPDATE domicile.record SET key_version = 0, payload = '\\x0a746578742f706c61696e31' WHERE "
               "class = 'later'");
    check_fails(E_SEAL, records_get(&sealed, &arena, STR("new"), &record));
    assert_int_equal(side.alarms, 1);
    arena_done(&arena);
    side_close(&side);
}

/* ---- an Idempotency-Key ---- */

ON_LOOP(an_idempotency_key_means_the_same_at_every_gateway)
{
    struct side one, other;
    side_open(&one);
    side_open(&other);
    struct record_shelf at_one = shelf_of(&one, "once"), at_other = shelf_of(&other, "once");
    struct arena arena;
    struct record_written first, again;
    struct record_write write = {
        .key = STR("k"), .type = STR("text/plain"), .body = STR("1"), .idempotency_key = STR("once-1")
    };
    arena_init(&arena);
    check_ok(records_put(&at_one, &arena, &write, &first));
    uint32_t version;
    check_ok(record_key_rotate(&at_one, &version)); /* it is no class key's */
    check_ok(records_put(&at_other, &arena, &write, &again));
    assert_int_equal(again.revision, first.revision);
    write.body = STR("2");
    check_fails(E_IDEMPOTENCY, records_put(&at_other, &arena, &write, &again));
    arena_done(&arena);
    side_close(&one);
    side_close(&other);
}

ON_LOOP(set_up_cell)
{
    static const struct cell_stamp us = { "us", "us-1", 1 };
    struct pg_conn *conn = server_open(server_superuser());
    check_ok(cell_migrate(conn, &us, NULL, NULL));
    pg_close(conn);
    server_run("INSERT INTO domicile.customer (id, region, services_version) VALUES ('acme', 'us', 1)");
}

static int set_up(void **state)
{
    set_up_cell(state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rotation_seals_a_class_of_several_passes_anew),
        cmocka_unit_test(p7_a_record_that_does_not_open_stays_and_the_others_go_on),
        cmocka_unit_test(a_read_at_the_end_of_a_rotation_raises_no_alarm),
        cmocka_unit_test(an_export_at_the_end_of_a_rotation_raises_no_alarm),
        cmocka_unit_test(a_class_that_policy_seals_later_is_a_matter_of_configuration),
        cmocka_unit_test(an_idempotency_key_means_the_same_at_every_gateway),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
