#include "schema/guard.h"

#include <stdio.h>

/* The digest is the comment of the schema. No event trigger tells of a change of an event trigger; but whoever changes one, or
 * changes it and changes it back, writes its row again, which then is of another transaction than the comment. */
static const char kept_sql[] =
    "SELECT coalesce((SELECT obj_description(n.oid, 'pg_namespace') FROM pg_namespace n\n"
    "                  WHERE n.nspname = 'domicile_guard'), '') = $1\n"
    "   AND (SELECT count(*) FROM pg_event_trigger e JOIN pg_roles r ON r.oid = e.evtowner\n"
    "          JOIN pg_description s ON s.xmin = e.xmin\n"
    "          JOIN pg_namespace n ON n.oid = s.objoid AND n.nspname = 'domicile_guard'\n"
    "         WHERE e.evtname IN ('domicile_guard_ddl', 'domicile_guard_drop') AND e.evtenabled = 'A' AND "
    "r.rolsuper\n"
    "           AND s.classoid = 'pg_namespace'::regclass AND s.objsubid = 0) = 2\n"
    "   AND NOT EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid\n"
    "                    WHERE r.rolname = 'domicile_owner')\n"
    "   AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = to_regclass('domicile.audit')\n"
    "                      AND t.tgname IN ('audit_stays', 'audit_stays_whole') AND t.tgenabled <> 'A')";

static const char noted_sql[] = "SELECT to_regclass('domicile_guard.ddl') IS NOT NULL";
static const char note_sql[] =
    "UPDATE domicile_guard.ddl SET migration = $1 WHERE xid = pg_current_xact_id() AND migration IS NULL";

/* A session that has become the owner before stays so, whatever is revoked. */
static const char end_sql[] = "SELECT count(pg_terminate_backend(a.pid, 5000)) FROM pg_stat_activity a WHERE "
                              "a.usename = 'domicile_admin' AND a.pid <> pg_backend_pid()";

static result ask(struct pg_conn *conn, const char *sql, const struct pg_value *params, size_t count,
                  bool *ret)
{
    struct pg_reply reply = PG_REPLY_INIT;
    TRY(pg_exec(conn, sql, params, count, &reply));
    *ret = pg_reply_number(&reply, 0, 0) == 1;
    pg_reply_done(&reply);
    return OK;
}

result guard_is_kept(struct pg_conn *conn, bool *ret)
{
    const struct pg_value digest = pg_text(str_from(cell_guard_sha256));
    return ask(conn, kept_sql, &digest, 1, ret);
}

result guard_note_migration(struct pg_conn *conn, const char *name)
{
    const struct pg_value params[] = { pg_text(str_from(name)) };
    struct pg_reply reply = PG_REPLY_INIT;
    bool noted;
    TRY(ask(conn, noted_sql, NULL, 0, &noted));
    if (!noted)
        return OK;
    TRY(pg_exec(conn, note_sql, params, 1, &reply));
    pg_reply_done(&reply);
    return OK;
}

static result apply(struct pg_conn *conn)
{
    char comment[160];
    snprintf(comment, sizeof comment, "COMMENT ON SCHEMA domicile_guard IS '%s'", cell_guard_sha256);
    TRY(pg_run_script(conn, cell_guard_sql));
    TRY(pg_run(conn, comment));
    TRY(guard_note_migration(conn, "guard"));
    TRY(pg_run(conn, "COMMIT"));
    return pg_run(conn, end_sql);
}

result guard_keep(struct pg_conn *conn)
{
    TRY(pg_run(conn, "BEGIN"));
    result r = apply(conn);
    if (failed(r) && (r.error.code == E_SQL || r.error.code == E_BUSY))
        TRY(pg_run(conn, "ROLLBACK"));
    return r;
}
