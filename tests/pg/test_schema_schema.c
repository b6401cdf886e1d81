/* The functions of a cell, called as the gateway's role over TLS, and the walls around its tables. */
#include "schema/migrate.h"
#include "server.h"

#define ACTOR "'c-0123456789','customer-app','own-records','req-0001'"

/* ---- asking ---- */

static struct pg_conn *gateway(void)
{
    return server_open(server_role("gateway"));
}

static void owner_refused(const char *sql)
{
    struct pg_conn *conn = server_open(server_superuser());
    check_ok(pg_run(conn, "SET ROLE domicile_owner"));
    check_fails(E_SQL, pg_run_script(conn, sql));
    pg_close(conn);
}

/* The first column of the first row, as text; "(none)" without a row, "(null)" for NULL, the SQLSTATE when refused. */
static const char *ask_on(struct pg_conn *conn, const char *sql)
{
    static char answer[128];
    struct pg_reply reply = PG_REPLY_INIT;
    result r = pg_exec(conn, sql, NULL, 0, &reply);
    if (failed(r) && r.error.code != E_SQL)
        check_ok(r);
    if (failed(r))
        snprintf(answer, sizeof answer, "%s", reply.sqlstate);
    else if (pg_reply_rows(&reply) == 0)
        snprintf(answer, sizeof answer, "(none)");
    else if (pg_reply_is_null(&reply, 0, 0))
        snprintf(answer, sizeof answer, "(null)");
    else
        snprintf(answer, sizeof answer, "%.*s", STR_ARG(pg_reply_str(&reply, 0, 0)));
    pg_reply_done(&reply);
    return answer;
}

#define ASK(conn, expected, ...)                                                                             \
    do {                                                                                                     \
        char sql_[1024];                                                                                     \
        snprintf(sql_, sizeof sql_, __VA_ARGS__);                                                            \
        assert_string_equal(ask_on(conn, sql_), expected);                                                   \
    } while (0)

/* record_put into the class "notes" of "acme"; the answer is "outcome stored". */
static const char *put_sql(const char *customer, const char *class, const char *key, long revision,
                           int key_version, long if_revision, bool if_absent, const char *idem)
{
    static char sql[1024];
    snprintf(sql, sizeof sql,
             "SELECT outcome || coalesce(' ' || stored, '') FROM domicile.record_put('us', 1, '%s', '%s', "
             "'%s', %ld, %d, "
             "'payload of %ld', %ld, %s, " ACTOR ", %s)",
             customer, class, key, revision, key_version, revision, if_revision, if_absent ? "true" : "false",
             idem);
    return sql;
}

static const char *put(struct pg_conn *conn, const char *key, long revision, long if_revision, bool if_absent)
{
    return ask_on(conn, put_sql("acme", "notes", key, revision, 0, if_revision, if_absent, "NULL, NULL"));
}

static int64_t audit_rows(const char *where)
{
    char sql[256];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM domicile.audit WHERE %s", where);
    return server_number(sql);
}

/* ---- the walls ---- */

ON_LOOP(p1_a_us_cell_cannot_be_made_to_hold_an_eu_customer)
{
    struct pg_conn *conn = gateway();
    ASK(conn, "region", "SELECT outcome FROM domicile.customer_add('eu-fr', 1, 'clinique', 1, " ACTOR ")");
    pg_close(conn);
    owner_refused(
        "INSERT INTO domicile.customer (id, region, services_version) VALUES ('clinique', 'eu-fr', 1)");
    owner_refused("UPDATE domicile.customer SET region = 'eu-fr' WHERE id = 'acme'");
    owner_refused("INSERT INTO domicile.cell (region, name, epoch) VALUES ('eu-fr', 'eu-fr-1', 1)");
    assert_int_equal(
        server_number("SELECT count(*) FROM domicile.customer WHERE region <> 'us' OR id = 'clinique'"), 0);
}

ON_LOOP(p1_a_write_for_another_region_epoch_or_customer_is_refused_without_an_error)
{
    struct pg_conn *conn = gateway();
    int64_t before = audit_rows("true");
    ASK(conn, "region",
        "SELECT outcome FROM domicile.record_put('eu-fr', 1, 'acme', 'notes', 'k', 1, 0, '', 0, false, " ACTOR
        ", NULL, NULL)");
    ASK(conn, "epoch",
        "SELECT outcome FROM domicile.record_put('us', 2, 'acme', 'notes', 'k', 1, 0, '', 0, false, " ACTOR
        ", NULL, NULL)");
    assert_string_equal(ask_on(conn, put_sql("nobody", "notes", "k", 1, 0, 0, false, "NULL, NULL")),
                        "customer");
    ASK(conn, "region", "SELECT outcome FROM domicile.record_get('eu-fr', 1, 'acme', 'notes', 'k')");
    ASK(conn, "epoch", "SELECT outcome FROM domicile.record_get('us', 2, 'acme', 'notes', 'k')");
    ASK(conn, "customer", "SELECT outcome FROM domicile.record_get('us', 1, 'nobody', 'notes', 'k')");
    ASK(conn, "region",
        "SELECT outcome FROM domicile.record_get_audited('eu-fr', 1, 'acme', 'notes', 'k', " ACTOR ")");
    ASK(conn, "epoch",
        "SELECT outcome FROM domicile.record_delete('us', 2, 'acme', 'notes', 'k', 0, " ACTOR ")");
    ASK(conn, "DM001",
        "SELECT * FROM domicile.record_page('eu-fr', 1, 'acme', 'notes', '', '', 10, 1000, true, NULL, " ACTOR
        ")");
    ASK(conn, "DM002", "SELECT * FROM domicile.class_key_current('us', 2, 'acme', 'notes')");
    ASK(conn, "DM003", "SELECT * FROM domicile.class_key_current('us', 1, 'nobody', 'notes')");
    assert_int_equal(audit_rows("true"), before);
    pg_close(conn);
}

ON_LOOP(p3_the_gateway_can_call_functions_and_do_nothing_else)
{
    static const char *const tables[] = { "cell",           "customer",   "class_key",   "reseal",
                                          "record",         "audit",      "client",      "idempotency",
                                          "schema_version", "client_set", "client_alarm" };
    static const char *const forbidden[] = {
        "SELECT * FROM domicile.%s",
        "DELETE FROM domicile.%s",
        "TRUNCATE domicile.%s",
        "COPY domicile.%s TO STDOUT",
        "INSERT INTO domicile.%s DEFAULT VALUES",
        "ALTER TABLE domicile.%s DISABLE TRIGGER ALL",
    };
    struct pg_conn *conn = gateway();
    for (size_t t = 0; t < COUNT(tables); t++) {
        for (size_t f = 0; f < COUNT(forbidden); f++) {
            char sql[128];
            snprintf(sql, sizeof sql, forbidden[f], tables[t]);
            assert_string_equal(ask_on(conn, sql), "42501");
        }
    }
    ASK(conn, "42501", "UPDATE domicile.audit SET outcome = 'x'");
    ASK(conn, "42501", "UPDATE domicile.record SET payload = ''");
    ASK(conn, "42501", "SELECT domicile.audit_write('a','b','us',1,NULL,NULL,NULL,NULL,NULL," ACTOR ")");
    ASK(conn, "42501", "SELECT nextval('domicile.audit_id_seq')");
    ASK(conn, "42501", "CREATE TEMPORARY TABLE t (i int)");
    ASK(conn, "42501", "CREATE TABLE public.t (i int)");
    ASK(conn, "42501", "CREATE SCHEMA mine");
    ASK(conn, "42501", "CREATE FUNCTION domicile.f() RETURNS int LANGUAGE sql AS 'SELECT 1'");
    ASK(conn, "42501", "SET ROLE domicile_owner");
    pg_close(conn);
    assert_int_equal(
        server_number("SELECT count(*) FROM pg_proc WHERE pronamespace = 'domicile'::regnamespace "
                      "AND NOT prosecdef AND has_function_privilege('domicile_gateway', oid, 'EXECUTE')"),
        0);
    assert_int_equal(server_number("SELECT count(*) FROM pg_proc p, aclexplode(proacl) a "
                                   "WHERE pronamespace = 'domicile'::regnamespace AND a.grantee = 0"),
                     0); /* nothing for everybody */
}

ON_LOOP(p3_audit_rows_are_neither_changed_nor_deleted_even_by_their_owner)
{
    struct pg_conn *conn = gateway();
    ASK(conn, "recorded",
        "SELECT outcome FROM domicile.audit_add('us', 1, 'acme', 'notes', NULL, NULL, 'refusal', 'policy', "
        "'c-0123456789', 'customer-app', 'own-records', 'us', 'req-0001', NULL)");
    pg_close(conn);
    owner_refused("UPDATE domicile.audit SET principal = 'c-other'");
    owner_refused("DELETE FROM domicile.audit");
    owner_refused("TRUNCATE domicile.audit");
    assert_int_equal(audit_rows("action = 'refusal' AND outcome = 'policy' AND principal = 'c-0123456789'"),
                     1);
}

/* An event of the gateway's trace: outcome and rows, request and request_to. */
static const char *add_event(struct pg_conn *conn, const char *what, const char *requests)
{
    static char sql[1024];
    snprintf(sql, sizeof sql,
             "SELECT outcome FROM domicile.audit_add('us', 1, NULL, NULL, repeat('k', 512), %s, 'unknown', "
             "'unknown', 'none', 'us', %s)",
             what, requests);
    return ask_on(conn, sql);
}

ON_LOOP(p3_an_event_that_does_not_fit_is_refused_without_an_error)
{
    struct pg_conn *conn = gateway();
    assert_string_equal(add_event(conn, "NULL, 'refusal', 'policy'", "'fits', NULL"), "recorded");
    assert_string_equal(add_event(conn, "NULL, 'put', 'created'", "'fits', NULL"),
                        "bounds"); /* not its to say */
    assert_string_equal(add_event(conn, "NULL, NULL, 'created'", "'fits', NULL"), "bounds");
    assert_string_equal(add_event(conn, "NULL, 'refusal', repeat('p', 64)", "'fits', NULL"), "bounds");
    assert_string_equal(add_event(conn, "NULL, 'refusal', 'policy'", "repeat('r', 64), NULL"), "bounds");
    assert_string_equal(add_event(conn, "7, 'refusal', 'policy'", "'fits', repeat('r', 64)"), "bounds");
    ASK(conn, "42501",
        "SELECT * FROM domicile.audit_of_request('fits', now(), 1)"); /* it asks, and never sees */
    pg_close(conn);
}

ON_LOOP(p3_the_rows_of_a_request_are_found_and_the_sums_of_its_minute)
{
    struct pg_conn *conn = gateway();
    assert_string_equal(add_event(conn, "NULL, 'refusal', 'policy'", "'aaaa0001', NULL"), "recorded");
    assert_string_equal(add_event(conn, "9, 'refusal', 'policy'", "'aaaa0002', 'aaaa0020'"), "recorded");
    pg_close(conn);
    server_run(
        "INSERT INTO domicile.audit (at, epoch, action, outcome, region, principal, role, rule, request) "
        "SELECT now() - interval '1 hour', 1, 'store', 'done', 'us', 'app', 'customer-app', 'r', 'late' "
        "  FROM generate_series(1, 2000)");
    conn = server_open(server_role("admin"));
    static const char found[] =
        "SELECT coalesce(string_agg(outcome || ' ' || coalesce(rows, 0), ',' ORDER BY rows), '') "
        "FROM domicile.audit_of_request('%s', now() - interval '%s', 1000)";
    ASK(conn, "policy 0", found, "aaaa0001", "1 hour");
    ASK(conn, "policy 9", found, "aaaa0002", "1 hour");
    ASK(conn, "policy 9", found, "aaaa000f", "1 hour");
    ASK(conn, "policy 9", found, "aaaa0020", "1 hour");
    ASK(conn, "", found, "aaaa0021", "1 hour");
    ASK(conn, "", found, "aaaa0001", "-1 minutes");
    ASK(conn, "0",
        "SELECT count(*)::text FROM domicile.audit_of_request('late', now() - interval '30 minutes', 1000)");
    ASK(conn, "1000",
        "SELECT count(*)::text FROM domicile.audit_of_request('late', now() - interval '2 hours', 1000)");
    ASK(conn, "DM004", "SELECT * FROM domicile.audit_of_request(repeat('r', 64), now(), 1)");
    ASK(conn, "DM004", "SELECT * FROM domicile.audit_of_request('late', now(), 1001)");
    pg_close(conn);
}

ON_LOOP(p3_write_and_audit_commit_together)
{
    struct pg_conn *conn = gateway();
    assert_string_equal(put(conn, "together-1", 10, 0, false), "created 10");
    assert_int_equal(
        audit_rows("key = 'together-1' AND action = 'store' AND revision = 10 AND outcome = 'created' "
                   "AND customer = 'acme' AND class = 'notes' AND rule = 'own-records'"),
        1);
    server_run("CREATE FUNCTION no_audit() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION "
               "'full'; END $$;"
               "CREATE TRIGGER no_audit BEFORE INSERT ON domicile.audit EXECUTE FUNCTION no_audit()");
    assert_string_equal(put(conn, "together-2", 11, 0, false), "P0001");
    assert_string_equal(put(conn, "together-1", 12, 0, false), "P0001");
    ASK(conn, "P0001",
        "SELECT outcome FROM domicile.record_delete('us', 1, 'acme', 'notes', 'together-1', 0, " ACTOR ")");
    ASK(conn, "P0001",
        "SELECT outcome FROM domicile.record_get_audited('us', 1, 'acme', 'notes', 'together-1', " ACTOR ")");
    ASK(conn, "P0001",
        "SELECT key FROM domicile.record_page('us', 1, 'acme', 'notes', '', '', 9, 999, true, 'list', " ACTOR
        ")");
    ASK(conn, "P0001", "SELECT outcome FROM domicile.customer_add('us', 1, 'unaudited', 1, " ACTOR ")");
    server_run("DROP TRIGGER no_audit ON domicile.audit; DROP FUNCTION no_audit()");
    ASK(conn, "absent", "SELECT outcome FROM domicile.record_get('us', 1, 'acme', 'notes', 'together-2')");
    ASK(conn, "10", "SELECT revision::text FROM domicile.record_get('us', 1, 'acme', 'notes', 'together-1')");
    assert_int_equal(server_number("SELECT count(*) FROM domicile.customer WHERE id = 'unaudited'"), 0);
    pg_close(conn);
}

/* ---- records ---- */

ON_LOOP(put_answers_what_became_of_it)
{
    struct pg_conn *conn = gateway();
    assert_string_equal(put(conn, "a", 100, 0, false), "created 100");
    assert_string_equal(put(conn, "a", 200, 0, false), "replaced 200");
    int64_t before = audit_rows("true");
    assert_string_equal(put(conn, "a", 200, 0, false), "revision 200");
    assert_string_equal(put(conn, "a", 150, 0, false), "revision 200");
    assert_string_equal(put(conn, "a", 300, 0, true), "precondition 200");
    assert_string_equal(put(conn, "a", 300, 100, false), "precondition 200");
    assert_string_equal(put(conn, "a", 199, 200, false), "revision 200");
    assert_string_equal(put(conn, "absent", 300, 100, false), "precondition");
    assert_string_equal(put(conn, "absent", 300, -1, false), "precondition");
    assert_string_equal(put(conn, "", 300, 0, false), "bounds");
    assert_string_equal(put(conn, "a", 0, 0, false), "bounds");
    assert_int_equal(audit_rows("true"), before); /* nothing was done, and nothing said that it was */
    assert_string_equal(put(conn, "a", 300, 200, false), "replaced 300");
    assert_string_equal(put(conn, "a", 400, -1, false), "replaced 400");
    assert_string_equal(put(conn, "b", 400, 0, true), "created 400");
    ASK(conn, "payload of 400",
        "SELECT convert_from(payload, 'UTF8') FROM domicile.record_get('us', 1, 'acme', 'notes', 'a')");
    pg_close(conn);
}

ON_LOOP(an_idempotency_key_answers_the_same_again)
{
    static const char first[] = "'idem-1', sha256('one')", other[] = "'idem-1', sha256('two')";
    struct pg_conn *conn = gateway();
    assert_string_equal(ask_on(conn, put_sql("acme", "notes", "i", 10, 0, 0, false, first)), "created 10");
    assert_string_equal(ask_on(conn, put_sql("acme", "notes", "i", 20, 0, 0, false, first)),
                        "replayed-created 10");
    assert_string_equal(ask_on(conn, put_sql("acme", "notes", "i", 30, 0, 0, false, other)),
                        "idempotency 10");
    ASK(conn, "10", "SELECT revision::text FROM domicile.record_get('us', 1, 'acme', 'notes', 'i')");
    assert_int_equal(audit_rows("key = 'i'"), 1);
    /* What was not done is not remembered. */
    static const char second[] = "'idem-2', sha256('one')";
    assert_string_equal(ask_on(conn, put_sql("acme", "notes", "i", 40, 0, 0, true, second)),
                        "precondition 10");
    assert_string_equal(ask_on(conn, put_sql("acme", "notes", "i", 50, 0, 0, false, second)), "replaced 50");
    assert_string_equal(ask_on(conn, put_sql("acme", "notes", "i", 60, 0, 0, false, second)),
                        "replayed-replaced 50");
    ASK(conn, "0", "SELECT domicile.idempotency_purge(1, 100)::text");
    server_run("UPDATE domicile.idempotency SET at = now() - interval '2 hours' WHERE idem_key = 'idem-1'");
    ASK(conn, "1", "SELECT domicile.idempotency_purge(1, 100)::text");
    pg_close(conn);
}

/* The largest body that a region may allow, with the longest content type and the seal. */
ON_LOOP(put_takes_the_largest_record_and_no_larger)
{
#define PUT_BYTES(bytes)                                                                                     \
    "SELECT outcome FROM domicile.record_put('us', 1, 'acme', 'notes', 'largest', 1, 0, repeat('x', " bytes  \
    ")::bytea, 0, false, " ACTOR ", NULL, NULL)"
    struct pg_conn *conn = gateway();
    ASK(conn, "created", PUT_BYTES("67108864 + 1 + 255 + 45"));
    ASK(conn, "bounds", PUT_BYTES("67108864 + 513"));
    pg_close(conn);
}

/* The purge commits between the two looks at the row: here by a trigger that fires between them. */
ON_LOOP(p4_a_key_that_is_purged_while_it_is_looked_at_is_no_answer)
{
    static const char raced[] = "'idem-raced', sha256('one')";
    struct pg_conn *conn = gateway();
    assert_string_equal(ask_on(conn, put_sql("acme", "notes", "raced", 10, 0, 0, false, raced)),
                        "created 10");
    server_run("CREATE FUNCTION purged() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN "
               "DELETE FROM domicile.idempotency WHERE idem_key = 'idem-raced'; RETURN NULL; END $$;"
               "CREATE TRIGGER purged AFTER INSERT ON domicile.idempotency EXECUTE FUNCTION purged()");
    assert_string_equal(ask_on(conn, put_sql("acme", "notes", "raced", 20, 0, 0, false, raced)),
                        "revision 0"); /* the gateway asks again */
    server_run("DROP TRIGGER purged ON domicile.idempotency; DROP FUNCTION purged()");
    assert_string_equal(ask_on(conn, put_sql("acme", "notes", "raced", 20, 0, 0, false, raced)),
                        "replaced 20");
    pg_close(conn);
}

ON_LOOP(get_and_delete)
{
    struct pg_conn *conn = gateway();
    assert_string_equal(put(conn, "g", 10, 0, false), "created 10");
    ASK(conn, "found", "SELECT outcome FROM domicile.record_get('us', 1, 'acme', 'notes', 'g')");
    assert_int_equal(audit_rows("key = 'g' AND action = 'read'"), 0);
    ASK(conn, "found",
        "SELECT outcome FROM domicile.record_get_audited('us', 1, 'acme', 'notes', 'g', " ACTOR ")");
    ASK(conn, "absent",
        "SELECT outcome FROM domicile.record_get_audited('us', 1, 'acme', 'notes', 'g2', " ACTOR ")");
    assert_int_equal(audit_rows("key = 'g' AND action = 'read' AND outcome = 'found' AND revision = 10"), 1);
    assert_int_equal(audit_rows("key = 'g2' AND action = 'read' AND outcome = 'absent'"), 1);
#define DELETE(if_revision)                                                                                  \
    "SELECT outcome || coalesce(' ' || stored, '') FROM domicile.record_delete('us', 1, 'acme', 'notes', "   \
    "'g', " if_revision ", " ACTOR ")"
    ASK(conn, "precondition 10", DELETE("9"));
    ASK(conn, "deleted 10", DELETE("10"));
    ASK(conn, "absent", DELETE("0"));
    ASK(conn, "precondition", DELETE("-1"));
    assert_int_equal(audit_rows("key = 'g' AND action = 'delete' AND revision = 10"), 1);
    pg_close(conn);
}

#define PAGE(columns, prefix, after, limit, bytes, action)                                                   \
    "SELECT string_agg(" columns ", ',') FROM domicile.record_page('us', 1, 'paged', 'notes', '" prefix      \
    "', '" after "', " limit ", " bytes ", true, " action ", " ACTOR ")"

ON_LOOP(pages_are_in_the_order_of_the_keys_bytes_and_bounded)
{
    static const char *const keys[] = { "a/1", "a/2", "a/10", "b", "B", "a", "é", "a/\x7f" };
    struct pg_conn *conn = gateway();
    ASK(conn, "created", "SELECT outcome FROM domicile.customer_add('us', 1, 'paged', 1, " ACTOR ")");
    for (size_t i = 0; i < 8; i++)
        assert_string_equal(ask_on(conn, put_sql("paged", "notes", keys[i], 10, 0, 0, false, "NULL, NULL")),
                            "created 10");
    ASK(conn, "B,a,a/1,a/10,a/2,a/\x7f,b,é", "%s", PAGE("key", "", "", "100", "100000", "NULL"));
    ASK(conn, "a/1,a/10,a/2,a/\x7f", "%s", PAGE("key", "a/", "", "100", "100000", "NULL"));
    ASK(conn, "a/2,a/\x7f", "%s", PAGE("key", "a/", "a/10", "2", "100000", "NULL"));
    ASK(conn, "(null)", "%s", PAGE("key", "a/", "a/\x7f", "100", "100000", "NULL"));
    ASK(conn, "B,a", "%s",
        PAGE("key", "", "", "100", "20", "NULL")); /* 13 bytes each: the second reaches 20 */
    ASK(conn, "DM004", "%s", PAGE("key", "", "", "1001", "100000", "NULL"));
    ASK(conn, "DM004", "%s", PAGE("key", "", "", "10", "100000", "'read'"));
    assert_int_equal(audit_rows("customer = 'paged' AND action IN ('list', 'export')"), 0);
    ASK(conn, "a/1,a/10,a/2,a/\x7f", "%s", PAGE("key", "a/", "", "100", "100000", "'export'"));
    assert_int_equal(audit_rows("customer = 'paged' AND action = 'export' AND rows = 4 AND key = 'a/'"), 1);
    ASK(conn, "(null)",
        "SELECT payload FROM domicile.record_page('us', 1, 'paged', 'notes', '', '', 1, 10, false, "
        "NULL, " ACTOR ")");
    pg_close(conn);
}

/* ---- keys ---- */

#define KEY_ADD(class, fill)                                                                                 \
    "SELECT outcome || ' ' || version FROM domicile.class_key_add('us', 1, 'acme', '" class "', "            \
                                                                                            "repeat('" fill  \
                                                                                            "', "            \
                                                                                            "60)::bytea,"    \
                                                                                            " " ACTOR ")"
#define KEY_ROTATE(class, version)                                                                           \
    "SELECT outcome || ' ' || version FROM domicile.class_key_rotate('us', 1, 'acme', '" class "', " version \
                                                                                               ", "          \
                                                                                               "repeat('n'," \
                                                                                               " 60)::"      \
                                                                                               "bytea,"      \
                                                                                               " " ACTOR ")"
#define KEY_RETIRE(class, current)                                                                           \
    "SELECT outcome FROM domicile.class_key_retire('us', 1, 'acme', '" class "', " current ", 100, " ACTOR ")"
#define KEY_RETIRE_STEP(class, current, limit)                                                               \
    "SELECT outcome || ' ' || checked_to FROM domicile.class_key_retire('us', 1, 'acme', '" class            \
        "', " current ", " limit ", " ACTOR ")"
#define ROTATION(class, limit)                                                                               \
    "SELECT oldest_version || ' ' || current_version || ' ' || remaining || ' ' || counted_all "             \
    "FROM domicile.key_rotation('us', 1, 'acme', '" class "', " limit ")"
#define RESEAL(class, revision, old, new)                                                                    \
    "SELECT outcome FROM domicile.record_reseal('us', 1, 'acme', '" class "', 'r', " revision ", " old       \
                                                                          ", " new ", 'anew', 'system', "    \
                                                                                   "'system', 'rotation', "  \
                                                                                   "'req-2')"

static const char *put_sealed(struct pg_conn *conn, const char *class, long revision, int key_version)
{
    return ask_on(conn, put_sql("acme", class, "r", revision, key_version, 0, false, "NULL, NULL"));
}

ON_LOOP(a_class_key_is_added_once_rotated_and_retired)
{
    struct pg_conn *conn = gateway();
    ASK(conn, "(none)", "SELECT version FROM domicile.class_key_current('us', 1, 'acme', 'health')");
    ASK(conn, "added 1", KEY_ADD("health", "a"));
    ASK(conn, "exists 1", KEY_ADD("health", "b"));
    ASK(conn, "1",
        "SELECT version::text FROM domicile.class_key_current('us', 1, 'acme', 'health') "
        "WHERE wrapped = repeat('a', 60)::bytea");
    assert_string_equal(put_sealed(conn, "health", 10, 0), "key-version 1"); /* not sealed */
    assert_string_equal(put_sealed(conn, "health", 10, 1), "created 10");

    ASK(conn, "version 1", KEY_ROTATE("health", "2"));
    ASK(conn, "version 0", KEY_ROTATE("keyless", "0"));
    ASK(conn, "rotated 2", KEY_ROTATE("health", "1"));
    ASK(conn, "version 2", KEY_ROTATE("health", "1"));
    assert_string_equal(put_sealed(conn, "health", 20, 1), "key-version 2");
    ASK(conn, "1 2",
        "SELECT oldest_version || ' ' || current_version FROM domicile.key_rotations_pending() "
        "WHERE customer = 'acme' AND class = 'health'");
    ASK(conn, "in-use", KEY_RETIRE("health", "2"));
    ASK(conn, "version", KEY_RETIRE("health", "3"));

    ASK(conn, "1 2 1 true", ROTATION("health", "2"));
    ASK(conn, "1 2 1 false", ROTATION("health", "1"));
    ASK(conn, "(none)", ROTATION("keyless", "1"));
    ASK(conn, "r 10 1",
        "SELECT key || ' ' || revision || ' ' || key_version FROM "
        "domicile.record_page_to_reseal('us', 1, 'acme', 'health', 2, '', 10, 1000) WHERE payload IS NOT "
        "NULL");
    ASK(conn, "changed", RESEAL("health", "9", "1", "2"));
    ASK(conn, "key-version", RESEAL("health", "10", "1", "1"));
    ASK(conn, "resealed", RESEAL("health", "10", "1", "2"));
    ASK(conn, "changed", RESEAL("health", "10", "1", "2"));
    ASK(conn, "10 2 anew",
        "SELECT revision || ' ' || key_version || ' ' || convert_from(payload, 'UTF8') "
        "FROM domicile.record_get('us', 1, 'acme', 'health', 'r')");
    ASK(conn, "(null)",
        "SELECT payload FROM domicile.record_page_to_reseal('us', 1, 'acme', 'health', 2, '', 10, 1000)");

    ASK(conn, "retired", KEY_RETIRE("health", "2"));
    ASK(conn, "2 2 0 true", ROTATION("health", "1"));
    ASK(conn, "(none)", "SELECT wrapped FROM domicile.class_key_get('us', 1, 'acme', 'health', 1)");
    ASK(conn, "(none)", "SELECT class FROM domicile.key_rotations_pending() WHERE class = 'health'");
    assert_int_equal(
        audit_rows("class = 'health' AND action IN ('key-add', 'key-rotate', 'reseal', 'key-retire')"), 4);
    pg_close(conn);
}

/* Writes the record of that number, or writes it again: then it is under the newer key. */
static void put_number(struct pg_conn *conn, const char *class, int number, int key_version)
{
    char key[8];
    snprintf(key, sizeof key, "%03d", number);
    ASK(conn, key_version == 1 ? "created" : "replaced",
        "SELECT outcome FROM domicile.record_put('us', 1, 'acme', '%s', '%s', %d, %d, 'x', 0, false, " ACTOR
        ", NULL, NULL)",
        class, key, key_version * 1000, key_version);
}

/* A class may be larger than can be looked at within one statement's time: each call goes a bounded part of the way. */
ON_LOOP(p8_old_keys_are_retired_in_steps_that_do_not_grow_with_the_class)
{
    struct pg_conn *conn = gateway();
    ASK(conn, "added 1", KEY_ADD("steps", "a"));
    for (int i = 0; i < 30; i++)
        put_number(conn, "steps", i, 1);
    ASK(conn, "rotated 2", KEY_ROTATE("steps", "1"));
    ASK(conn, "in-use ", KEY_RETIRE_STEP("steps", "2", "10"));
    ASK(conn, "1 2 10 false", ROTATION("steps", "10"));
    for (int i = 0; i < 25; i++)
        put_number(conn, "steps", i, 2);
    ASK(conn, "more 009", KEY_RETIRE_STEP("steps", "2", "10"));
    ASK(conn, "more 019", KEY_RETIRE_STEP("steps", "2", "10"));
    ASK(conn, "in-use 024", KEY_RETIRE_STEP("steps", "2", "10")); /* it stops before what is old */
    ASK(conn, "in-use 024", KEY_RETIRE_STEP("steps", "2", "10"));
    ASK(conn, "1 2 5 true", ROTATION("steps", "10")); /* counted from there on */
    ASK(conn, "025,026,027,028,029",
        "SELECT string_agg(key, ',') FROM domicile.record_page_to_reseal('us', 1, 'acme', 'steps', 2, '', 9, "
        "99)");
    ASK(conn, "025,026",
        "SELECT string_agg(key, ',') FROM domicile.record_page_to_reseal('us', 1, 'acme', 'steps', 2, '', 2, "
        "99)");
    ASK(conn, "bounds",
        "SELECT outcome FROM domicile.class_key_retire('us', 1, 'acme', 'steps', 2, 0, " ACTOR ")");

    /* Another rotation: what was seen was seen of the older one. */
    ASK(conn, "rotated 3", KEY_ROTATE("steps", "2"));
    ASK(conn, "version", KEY_RETIRE("steps", "2"));
    ASK(conn, "in-use ", KEY_RETIRE_STEP("steps", "3", "100"));
    ASK(conn, "029 false",
        "SELECT max(key) || ' ' || bool_or(payload IS NULL) FROM "
        "domicile.record_page_to_reseal('us', 1, 'acme', 'steps', 3, '', 100, 1000)");
    for (int i = 0; i < 30; i++)
        put_number(conn, "steps", i, 3);
    ASK(conn, "029 true",
        "SELECT max(key) || ' ' || bool_and(payload IS NULL) FROM "
        "domicile.record_page_to_reseal('us', 1, 'acme', 'steps', 3, '', 100, 1000)");
    assert_int_equal(server_number("SELECT count(*) FROM domicile.class_key WHERE class = 'steps'"), 3);
    ASK(conn, "retired 029", KEY_RETIRE_STEP("steps", "3", "100"));
    assert_int_equal(server_number("SELECT count(*) FROM domicile.class_key WHERE class = 'steps'"), 1);
    assert_int_equal(server_number("SELECT count(*) FROM domicile.reseal"), 0);
    pg_close(conn);
}

/* Policy left the class unsealed, and seals it now: a key would make tampering of what is there. */
ON_LOOP(p7_a_class_with_records_in_clear_gets_no_key)
{
    struct pg_conn *conn = gateway();
    assert_string_equal(ask_on(conn, put_sql("acme", "flipped", "k", 10, 0, 0, false, "NULL, NULL")),
                        "created 10");
    ASK(conn, "records",
        "SELECT outcome FROM domicile.class_key_add('us', 1, 'acme', 'flipped', repeat('a', "
        "60)::bytea, " ACTOR ")");
    assert_int_equal(server_number("SELECT count(*) FROM domicile.class_key WHERE class = 'flipped'"), 0);
    ASK(conn, "deleted",
        "SELECT outcome FROM domicile.record_delete('us', 1, 'acme', 'flipped', 'k', 0, " ACTOR ")");
    ASK(conn, "added 1", KEY_ADD("flipped", "a"));
    pg_close(conn);
}

struct asker {
    const char *sql;
    char answer[64];
    bool done;
};

static void ask_aside(void *arg)
{
    struct asker *asker = arg;
    struct pg_conn *conn = gateway();
    snprintf(asker->answer, sizeof asker->answer, "%s", ask_on(conn, asker->sql));
    asker->done = true;
    pg_close(conn);
}

/* Else a record could appear under a version whose key has been deleted. */
ON_LOOP(p8_a_rotation_waits_for_writes_under_the_old_version_and_later_ones_see_the_new)
{
    struct pg_conn *writer = gateway();
    server_run("ALTER FUNCTION domicile.class_key_rotate SET lock_timeout = '20s'"); /* however slow we are */
    ASK(writer, "added 1", KEY_ADD("telemetry", "a"));
    check_ok(pg_run(writer, "BEGIN"));
    assert_string_equal(put_sealed(writer, "telemetry", 10, 1), "created 10");
    struct asker rotation = { .sql = KEY_ROTATE("telemetry", "1") }, late = { .sql = NULL };
    struct scope scope = SCOPE_INIT;
    check_ok(fiber_spawn(&scope, "rotation", ask_aside, &rotation));
    check_ok(fiber_sleep(150));
    assert_false(rotation.done);
    late.sql = strdup(put_sql("acme", "telemetry", "late", 20, 1, 0, false, "NULL, NULL"));
    check_ok(fiber_spawn(&scope, "late", ask_aside, &late));
    check_ok(fiber_sleep(100));
    assert_false(late.done);
    check_ok(pg_run(writer, "COMMIT"));
    check_ok(scope_join(&scope));
    assert_string_equal(rotation.answer, "rotated 2");
    assert_string_equal(late.answer, "key-version 2");
    ASK(writer, "in-use", KEY_RETIRE("telemetry", "2"));
    free((char *)late.sql);
    pg_close(writer);
    server_run("ALTER FUNCTION domicile.class_key_rotate SET lock_timeout = '200ms'");
}

/* A backup reads class_key for minutes, and who waits for it with a rotation holds up all who write. */
ON_LOOP(p8_a_rotation_behind_a_long_transaction_soon_gives_way)
{
    struct pg_conn *backup = server_open(server_superuser()), *conn = gateway();
    ASK(conn, "added 1", KEY_ADD("giving", "a"));
    check_ok(pg_run(backup, "BEGIN"));
    assert_int_equal(
        server_number_on(backup, "SELECT count(*) FROM domicile.class_key WHERE class = 'giving'"), 1);
    uint64_t begin = now_ms();
    struct pg_reply reply = PG_REPLY_INIT;
    check_fails(E_BUSY, pg_exec(conn, KEY_ROTATE("giving", "1"), NULL, 0, &reply));
    assert_string_equal(reply.sqlstate, "55P03");
    assert_in_range(now_ms() - begin, 150, 2000);
    check_ok(pg_run(backup, "COMMIT"));
    ASK(conn, "rotated 2", KEY_ROTATE("giving", "1"));
    pg_close(conn);
    pg_close(backup);
}

/* ---- customers and clients ---- */

ON_LOOP(customers_and_clients)
{
    struct pg_conn *conn = gateway();
    ASK(conn, "created", "SELECT outcome FROM domicile.customer_add('us', 1, 'lakeside', 3, " ACTOR ")");
    ASK(conn, "exists", "SELECT outcome FROM domicile.customer_add('us', 1, 'lakeside', 3, " ACTOR ")");
    assert_int_equal(
        server_number("SELECT count(*) FROM domicile.customer WHERE id = 'lakeside' AND region = 'us' "
                      "AND state = 'active' AND services_version = 3"),
        1);
#define CLIENT_PUT(id, customer, role, expected, version, action)                                            \
    "SELECT outcome FROM domicile.client_put('us', 1, " customer ", '" id "', '" role                        \
    "', '$hmac-sha256$v=1$00', " action " = 'client-disable', '\\x" PROOF "', " expected ", " version        \
    ", '\\x" PROOF "', " action ", " ACTOR ")"
#define PROOF "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
    ASK(conn, "done", CLIENT_PUT("c-lake", "'lakeside'", "customer-app", "0", "1", "'client-add'"));
    ASK(conn, "stale", CLIENT_PUT("c-lake2", "'lakeside'", "customer-app", "0", "1", "'client-add'"));
    ASK(conn, "exists", CLIENT_PUT("c-lake", "'lakeside'", "customer-app", "1", "2", "'client-add'"));
    ASK(conn, "absent", CLIENT_PUT("c-lake2", "'lakeside'", "customer-app", "1", "2", "'client-claim'"));
    ASK(conn, "DM004", CLIENT_PUT("c-lake2", "'lakeside'", "customer-app", "1", "0", "'client-add'"));
    ASK(conn, "DM004", CLIENT_PUT("c-lake2", "'lakeside'", "customer-app", "1", "2", "'client-steal'"));
    ASK(conn, "customer", CLIENT_PUT("c-x2", "'nobody'", "customer-app", "0", "1", "'client-add'"));
    ASK(conn, "customer", CLIENT_PUT("c-x3", "NULL", "sysadmin", "0", "1", "'client-add'"));
    ASK(conn, "23514", CLIENT_PUT("c-x4", "'lakeside'", "sysadmin", "1", "2", "'client-add'"));
    ASK(conn, "1",
        "SELECT version::text FROM domicile.client_set_get('us', 1, 'lakeside') WHERE kind = 'set'");
    ASK(conn, "lakeside customer-app f 1 t",
        "SELECT concat_ws(' ', customer, role, disabled, version, adopted) FROM "
        "domicile.client_get('c-lake')");
    ASK(conn, "c-lake", "SELECT string_agg(id, ',') FROM domicile.client_page('lakeside', '', 10)");
    ASK(conn, "absent", CLIENT_PUT("c-lake", "'acme'", "customer-app", "0", "1", "'client-disable'"));
    ASK(conn, "done", CLIENT_PUT("c-lake", "'lakeside'", "customer-app", "1", "5", "'client-disable'"));
    ASK(conn, "t 5", "SELECT concat_ws(' ', disabled, version) FROM domicile.client_get('c-lake')");
    ASK(conn, "stale",
        "SELECT outcome FROM domicile.client_set_adopt('us', 1, 'lakeside', '[]', 6, '\\x" PROOF "', " ACTOR
        ")");
    assert_int_equal(
        audit_rows("customer = 'lakeside' AND action IN ('onboard', 'client-add', 'client-disable')"), 3);
    assert_int_equal(audit_rows("customer = 'lakeside' AND action = 'onboard' AND revision = 3"), 1);
    pg_close(conn);
}

ON_LOOP(set_up_cell)
{
    static const struct cell_stamp us = { "us", "us-1", 1 };
    struct pg_conn *conn = server_open(server_superuser());
    check_ok(cell_migrate(conn, &us, NULL, NULL));
    pg_close(conn);
    conn = gateway();
    ASK(conn, "created", "SELECT outcome FROM domicile.customer_add('us', 1, 'acme', 1, " ACTOR ")");
    pg_close(conn);
}

static int set_up(void **state)
{
    set_up_cell(state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p1_a_us_cell_cannot_be_made_to_hold_an_eu_customer),
        cmocka_unit_test(p1_a_write_for_another_region_epoch_or_customer_is_refused_without_an_error),
        cmocka_unit_test(p3_the_gateway_can_call_functions_and_do_nothing_else),
        cmocka_unit_test(p3_audit_rows_are_neither_changed_nor_deleted_even_by_their_owner),
        cmocka_unit_test(p3_an_event_that_does_not_fit_is_refused_without_an_error),
        cmocka_unit_test(p3_the_rows_of_a_request_are_found_and_the_sums_of_its_minute),
        cmocka_unit_test(p3_write_and_audit_commit_together),
        cmocka_unit_test(put_answers_what_became_of_it),
        cmocka_unit_test(an_idempotency_key_answers_the_same_again),
        cmocka_unit_test(put_takes_the_largest_record_and_no_larger),
        cmocka_unit_test(p4_a_key_that_is_purged_while_it_is_looked_at_is_no_answer),
        cmocka_unit_test(get_and_delete),
        cmocka_unit_test(pages_are_in_the_order_of_the_keys_bytes_and_bounded),
        cmocka_unit_test(a_class_key_is_added_once_rotated_and_retired),
        cmocka_unit_test(p8_a_rotation_waits_for_writes_under_the_old_version_and_later_ones_see_the_new),
        cmocka_unit_test(p8_a_rotation_behind_a_long_transaction_soon_gives_way),
        cmocka_unit_test(p8_old_keys_are_retired_in_steps_that_do_not_grow_with_the_class),
        cmocka_unit_test(p7_a_class_with_records_in_clear_gets_no_key),
        cmocka_unit_test(customers_and_clients),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
