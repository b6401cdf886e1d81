#include "schema/migrate.h"

#include "base/arena.h"
#include "pg/shape.h"
#include "schema/guard.h"

#define MIGRATION_HINT "Migrate the cell with the same version of domicile that the gateways run."

/* Not of one cell alone: an advisory lock belongs to its database. */
static const char lock_sql[] = "SELECT pg_advisory_lock(7308894115271946611)";
static const char unlock_sql[] = "SELECT pg_advisory_unlock(7308894115271946611)";

static const char bootstrap_sql[] = "CREATE SCHEMA IF NOT EXISTS domicile;"
                                    "CREATE TABLE IF NOT EXISTS domicile.schema_version ("
                                    "    version    integer PRIMARY KEY,"
                                    "    name       text NOT NULL,"
                                    "    sha256     text NOT NULL,"
                                    "    applied_at timestamptz NOT NULL DEFAULT now())";

static const char audit_sql[] =
    "SELECT domicile.audit_write('schema-migrate', 'applied', s.region, s.epoch, NULL, NULL, $1, NULL, NULL, "
    "'system', 'system', 'cell-migrate', 'command-line') FROM domicile.cell s";

struct run {
    struct pg_conn *conn;
    const struct cell_stamp *stamp;
    const struct cell_migration *migrations;
    size_t count, done; /* files: all, and those that were applied now */
    bool stamped;       /* before */
    void (*applied)(void *context, const struct cell_migration *migration);
    void *context;
};

/* ---- the stamp ---- */

static result compare_stamp(struct str region, struct str name, const char *wanted_region,
                            const char *wanted_name)
{
    if (str_is(region, wanted_region) && str_is(name, wanted_name))
        return OK;
    return FAIL(E_REGION_STAMP,
                "Check the addresses in the region's file: this database belongs to another cell.",
                "the cell is stamped \"%.*s\" of region \"%.*s\", not \"%s\" of \"%s\"", STR_ARG(name),
                STR_ARG(region), wanted_name, wanted_region);
}

static result read_stamp(struct pg_conn *conn, const struct cell_stamp *stamp, bool *ret_stamped)
{
    struct pg_reply reply = PG_REPLY_INIT;
    TRY(pg_exec(conn, "SELECT region, name FROM domicile.cell", NULL, 0, &reply));
    *ret_stamped = pg_reply_rows(&reply) == 1;
    result r = OK;
    if (*ret_stamped)
        r = compare_stamp(pg_reply_str(&reply, 0, 0), pg_reply_str(&reply, 0, 1), stamp->region, stamp->cell);
    pg_reply_done(&reply);
    return r;
}

/* Before anything is applied: a wrong address must not leave a trace in the wrong cell. */
static result refuse_foreign_cell(struct run *run)
{
    struct pg_reply reply = PG_REPLY_INIT;
    TRY(pg_exec(run->conn, "SELECT to_regclass('domicile.cell') IS NOT NULL", NULL, 0, &reply));
    bool exists = pg_reply_number(&reply, 0, 0) != 0;
    pg_reply_done(&reply);
    return exists ? read_stamp(run->conn, run->stamp, &run->stamped) : OK;
}

static result put_stamp(struct run *run)
{
    bool stamped;
    TRY(read_stamp(run->conn, run->stamp, &stamped));
    if (stamped)
        return OK;
    struct pg_value params[] = { pg_text(str_from(run->stamp->region)), pg_text(str_from(run->stamp->cell)),
                                 pg_int8(run->stamp->epoch) };
    struct pg_reply reply = PG_REPLY_INIT;
    result r = pg_exec(run->conn, "INSERT INTO domicile.cell (region, name, epoch) VALUES ($1, $2, $3)",
                       params, 3, &reply);
    pg_reply_done(&reply);
    return r;
}

/* ---- the files ---- */

static result compare_applied(const struct run *run, int64_t version, struct str sha256)
{
    if (version < 1 || (size_t)version > run->count)
        return FAIL(E_SCHEMA, "Use a version of domicile that is at least as new as the cell.",
                    "the cell has schema %lld, this program knows %zu", (long long)version, run->count);
    const struct cell_migration *known = &run->migrations[version - 1];
    if (!str_is(sha256, known->sha256))
        return FAIL(E_SCHEMA, "Add another schema file: a released schema file is never edited.",
                    "the schema file \"%s\" differs from the file that was applied to the cell", known->name);
    return OK;
}

static result read_applied(struct run *run, int64_t *ret_last)
{
    struct pg_reply reply = PG_REPLY_INIT;
    TRY(pg_exec(run->conn, "SELECT version, sha256 FROM domicile.schema_version ORDER BY version", NULL, 0,
                &reply));
    result r = OK;
    int64_t last = 0;
    for (size_t row = 0; row < pg_reply_rows(&reply) && !failed(r); row++) {
        int64_t version = pg_reply_number(&reply, row, 0);
        r = compare_applied(run, version, pg_reply_str(&reply, row, 1));
        if (!failed(r) && version != last + 1)
            r = FAIL(E_SCHEMA, MIGRATION_HINT, "the cell's schema has version %lld but not %lld",
                     (long long)version, (long long)last + 1);
        last = version;
    }
    pg_reply_done(&reply);
    TRY(r);
    *ret_last = last;
    return OK;
}

/* The schema of a new cell is its begin; later each file has its row in the audit log. */
static result record(struct run *run, const struct cell_migration *migration)
{
    const struct pg_value params[] = { pg_text(str_from(migration->name)) };
    struct pg_reply reply = PG_REPLY_INIT;
    if (!run->stamped)
        return OK;
    TRY(pg_exec(run->conn, "SELECT to_regproc('domicile.audit_write') IS NOT NULL", NULL, 0, &reply));
    bool can = pg_reply_number(&reply, 0, 0) == 1;
    pg_reply_done(&reply);
    if (!can)
        return OK; /* the schema of a test */
    TRY(pg_exec(run->conn, audit_sql, params, 1, &reply));
    pg_reply_done(&reply);
    return OK;
}

static result apply_in_transaction(struct run *run, const struct cell_migration *migration)
{
    TRY(pg_run(run->conn, "SET LOCAL ROLE domicile_owner"));
    TRY(pg_run_script(run->conn, migration->sql));
    struct pg_value params[] = { pg_int4(migration->version), pg_text(str_from(migration->name)),
                                 pg_text(str_from(migration->sha256)) };
    struct pg_reply reply = PG_REPLY_INIT;
    TRY(pg_exec(run->conn, "INSERT INTO domicile.schema_version (version, name, sha256) VALUES ($1, $2, $3)",
                params, 3, &reply));
    pg_reply_done(&reply);
    TRY(record(run, migration));
    TRY(pg_run(run->conn, "RESET ROLE"));
    TRY(guard_note_migration(run->conn, migration->name));
    return pg_run(run->conn, "COMMIT");
}

/* The server has refused it, and the connection is as good as before. */
static bool is_refusal(result r)
{
    return r.error.code == E_SQL || r.error.code == E_BUSY;
}

/* The cause goes up; a connection that cannot roll back is gone, and its transaction with it. */
static result roll_back(struct run *run, result cause)
{
    result undone = pg_run(run->conn, "ROLLBACK");
    return failed(undone) && !is_refusal(undone) ? undone : cause;
}

static result apply(struct run *run, const struct cell_migration *migration)
{
    TRY(pg_run(run->conn, "BEGIN"));
    result r = apply_in_transaction(run, migration);
    if (is_refusal(r)) {
        result named =
            FAIL(r.error.code, r.error.hint, "schema file \"%s\": %s", migration->name, r.error.what);
        return roll_back(run, named);
    }
    TRY(r);
    run->done++;
    if (run->applied != NULL)
        run->applied(run->context, migration);
    return OK;
}

static result keep_guard(struct run *run)
{
    static const struct cell_migration guard = { .name = "guard" };
    bool kept;
    TRY(guard_is_kept(run->conn, &kept));
    if (kept && run->done == 0)
        return OK;
    TRY(guard_keep(run->conn));
    if (run->done == 0 && run->applied != NULL)
        run->applied(run->context, &guard);
    return OK;
}

/* What belongs to the schema is made as its owner; the rest only a superuser can do. */
static result as_owner(struct run *run, result (*act)(struct run *run))
{
    TRY(pg_run(run->conn, "SET ROLE domicile_owner"));
    result r = act(run);
    if (failed(r) && !is_refusal(r) && r.error.code != E_SCHEMA && r.error.code != E_REGION_STAMP)
        return r; /* the connection is gone */
    result back = pg_run(run->conn, "RESET ROLE");
    return failed(r) ? r : back;
}

static result bootstrap(struct run *run)
{
    return pg_run_script(run->conn, bootstrap_sql);
}

static result migrate_locked(struct run *run)
{
    TRY(refuse_foreign_cell(run));
    TRY(as_owner(run, bootstrap));
    int64_t last;
    TRY(read_applied(run, &last));
    for (size_t i = (size_t)last; i < run->count; i++)
        TRY(apply(run, &run->migrations[i]));
    TRY(as_owner(run, put_stamp));
    return keep_guard(run);
}

result cell_migrate_with(struct pg_conn *conn, const struct cell_stamp *stamp,
                         const struct cell_migration *migrations, size_t count,
                         void (*applied)(void *context, const struct cell_migration *migration),
                         void *context)
{
    struct run run = { .conn = conn,
                       .stamp = stamp,
                       .migrations = migrations,
                       .count = count,
                       .applied = applied,
                       .context = context };
    TRY(pg_run(conn, lock_sql));
    result r = migrate_locked(&run);
    if (failed(r) && !is_refusal(r) && r.error.code != E_SCHEMA && r.error.code != E_REGION_STAMP)
        return r; /* the connection is gone, and the lock with it */
    result unlocked = pg_run(conn, unlock_sql);
    return failed(r) ? r : unlocked;
}

result cell_migrate(struct pg_conn *conn, const struct cell_stamp *stamp,
                    void (*applied)(void *context, const struct cell_migration *migration), void *context)
{
    return cell_migrate_with(conn, stamp, cell_migrations, cell_migration_count, applied, context);
}

/* ---- the gateway's question ---- */

static bool says_no_schema(const char *sqlstate)
{
    return strcmp(sqlstate, "3F000") == 0 || strcmp(sqlstate, "42883") == 0 || strcmp(sqlstate, "42501") == 0;
}

static result check_status(const struct pg_reply *reply, const char *region, const char *cell)
{
    static const struct pg_shape shape = { .rows_max = 1,
                                           .columns = { { .type = PG_TEXT, .bytes_max = 63 },
                                                        { .type = PG_TEXT, .bytes_max = 63 },
                                                        { .type = PG_INT8 },
                                                        { .type = PG_INT4, .filled_for = "" } } };
    TRY(pg_shape_check(&shape, cell, "cell_status", reply));
    if (pg_reply_rows(reply) != 1)
        return FAIL(E_SCHEMA, MIGRATION_HINT, "the cell \"%s\" has no stamp", cell);
    TRY(compare_stamp(pg_reply_str(reply, 0, 0), pg_reply_str(reply, 0, 1), region, cell));
    int64_t version = pg_reply_number(reply, 0, 3);
    if (version != (int64_t)cell_migration_count)
        return FAIL(E_SCHEMA, MIGRATION_HINT, "the cell \"%s\" has schema %lld, this program needs %zu", cell,
                    (long long)version, cell_migration_count);
    return OK;
}

result cell_check(struct pg_conn *conn, const char *region, const char *cell, int64_t *ret_epoch)
{
    struct pg_reply reply = PG_REPLY_INIT;
    result r = pg_exec(conn, "SELECT region, name, epoch, schema_version FROM domicile.cell_status()", NULL,
                       0, &reply);
    if (failed(r) && r.error.code == E_SQL && says_no_schema(reply.sqlstate))
        return FAIL(E_SCHEMA, MIGRATION_HINT, "the database of cell \"%s\" has no schema for this role",
                    cell);
    TRY(r);
    r = check_status(&reply, region, cell);
    if (!failed(r) && ret_epoch != NULL)
        *ret_epoch = pg_reply_number(&reply, 0, 2);
    pg_reply_done(&reply);
    return r;
}
