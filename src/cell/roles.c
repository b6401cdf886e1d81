/* Roles, schema and slots of the primary. */
#include "cell/internal.h"
#include "pg/role.h"
#include "schema/guard.h"
#include "schema/migrate.h"

#define MONITORED(p) ((p)->cell->monitor.files.certificate != NULL ? "monitored=t" : "monitored=f")

/* ---- roles ---- each once: name, may log in, may replicate. The owner of the schema cannot log in; it drops a slot that would
 * fill the disk, for the monitor. */
#define WANTED_ROLES                                                                                         \
    "  (VALUES ('domicile_owner', false, :'monitored'::boolean), ('domicile_gateway', true, false),\n"       \
    "          ('domicile_admin', true, false), ('domicile_monitor', true, false),\n"                        \
    "          ('" CONF_REPLICATION "', true, true)) AS w(name, login, replication)"
#define WANTED_MEMBERS                                                                                       \
    "  (VALUES ('pg_monitor', 'domicile_monitor'), ('pg_signal_backend', 'domicile_monitor'),\n"             \
    "          ('pg_signal_backend', 'domicile_owner')) AS m(role, member)"
/* No role that a certificate maps to may act as the owner. */
#define OWNERS "  pg_auth_members x JOIN pg_roles r ON r.oid = x.roleid WHERE r.rolname = 'domicile_owner'"

/* What everybody may call in a new database, and nobody needs: the makers of large objects (a table beside all tables),
 * messages in the WAL, the end of others' sessions, and advisory locks, with which a session could keep out migrations and the
 * monitor. The owner of the schema and the monitor keep what they use. */
#define WITHHELD_FUNCTIONS                                                                                   \
    "  pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname ~ '^(lo_create?|"           \
    "lo_from_bytea|pg_logical_emit_message|pg_(terminate|cancel)_backend|"                                   \
    "pg_(try_)?advisory_(xact_)?lock(_shared)?)$'"

/* One row: the misfits of the cluster; if there are none, those of the cell's own database. */
static const char look_sql[] =
    "SELECT coalesce(string_agg(what, ', ' ORDER BY what), '') AS misfits FROM (\n"
    " SELECT format('role %s is missing', w.name) AS what FROM\n" WANTED_ROLES
    "\n  WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = w.name)\n"
    " UNION ALL SELECT format('role %s has wrong attributes', w.name) FROM\n" WANTED_ROLES
    "\n  JOIN pg_authid r ON r.rolname = w.name\n"
    "  WHERE r.rolcanlogin <> w.login OR r.rolreplication <> w.replication OR r.rolsuper OR r.rolcreatedb OR "
    "r.rolcreaterole\n"
    "     OR r.rolbypassrls OR r.rolpassword IS NOT NULL\n"
    " UNION ALL SELECT format('%s is not a member of %s', m.member, m.role) FROM\n" WANTED_MEMBERS
    "\n  WHERE EXISTS (SELECT FROM pg_roles r WHERE r.rolname = m.member) AND NOT EXISTS (\n"
    "   SELECT FROM pg_auth_members x JOIN pg_roles r ON r.oid = x.roleid JOIN pg_roles b ON b.oid = "
    "x.member\n"
    "    WHERE r.rolname = m.role AND b.rolname = m.member)\n"
    " UNION ALL SELECT format('%s is a member of domicile_owner', pg_get_userbyid(x.member)) FROM\n" OWNERS
    "\n UNION ALL SELECT format('database %s is missing', :'database')\n"
    "  WHERE NOT EXISTS (SELECT FROM pg_database d WHERE d.datname = :'database')\n"
    " UNION ALL SELECT format('%s owns the database', pg_get_userbyid(d.datdba)) FROM pg_database d\n"
    "  WHERE d.datname = :'database' AND pg_get_userbyid(d.datdba) <> 'domicile_owner'\n"
    " UNION ALL SELECT format('everybody may use the database %s', d.datname) FROM pg_database d, "
    "aclexplode(\n"
    "   coalesce(d.datacl, acldefault('d', d.datdba))) a\n"
    "  WHERE d.datname IN (:'database', 'postgres', 'template1') AND a.grantee = 0\n"
    " UNION ALL SELECT format('%s may not connect', r.rolname) FROM pg_roles r, pg_database d\n"
    "  WHERE r.rolname IN ('domicile_gateway', 'domicile_admin', 'domicile_monitor') AND d.datname = "
    ":'database'\n"
    "    AND NOT has_database_privilege(r.oid, d.oid, 'CONNECT')\n"
    ") AS all_misfits \\gset\n"
    "SELECT :'misfits' = '' AS fits \\gset\n"
    "\\if :fits\n\\connect :\"database\"\n"
    "SELECT coalesce(string_agg(what, ', ' ORDER BY what), '') FROM (\n"
    " SELECT 'everybody may use the schema public' AS what FROM pg_namespace n,\n"
    "   aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a WHERE n.nspname = 'public' AND "
    "a.grantee = 0\n"
    " UNION ALL SELECT format('%s may not call %s', r, f) FROM (VALUES ('monitor', 'pg_reload_conf()'),\n"
    "   ('monitor', 'pg_hba_file_rules()'), ('monitor', 'pg_show_all_file_settings()'),\n"
    "   ('monitor', 'pg_terminate_backend(int, bigint)'), ('owner', 'pg_terminate_backend(int, bigint)'),\n"
    "   ('owner', 'pg_advisory_lock(bigint)'), ('owner', 'pg_try_advisory_lock(bigint)')) AS v(r, f)\n"
    "  WHERE NOT has_function_privilege('domicile_' || r, f, 'EXECUTE')\n"
    " UNION ALL SELECT format('domicile_monitor may not read %s', v) FROM unnest(ARRAY['pg_hba_file_rules',\n"
    "   'pg_file_settings']) AS v WHERE NOT has_table_privilege('domicile_monitor', v, 'SELECT')\n"
    " UNION ALL SELECT format('everybody may call %s', p.oid::regprocedure) FROM\n" WITHHELD_FUNCTIONS
    "\n   AND EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE "
    "a.grantee "
    "= 0)\n"
    " UNION ALL SELECT 'domicile_monitor may not set synchronous_standby_names'\n"
    "  WHERE NOT has_parameter_privilege('domicile_monitor', 'synchronous_standby_names', 'ALTER SYSTEM')\n"
    ") AS misfits;\n"
    "\\else\nSELECT :'misfits';\n\\endif\n";

static const char make_sql[] =
    "SELECT format('CREATE ROLE %I', w.name) FROM\n" WANTED_ROLES
    "\n WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = w.name)\n\\gexec\n"
    "SELECT format('ALTER ROLE %I %s %s NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS INHERIT PASSWORD "
    "NULL', w.name,\n"
    "  CASE WHEN w.login THEN 'LOGIN' ELSE 'NOLOGIN' END,\n"
    "  CASE WHEN w.replication THEN 'REPLICATION' ELSE 'NOREPLICATION' END) FROM\n" WANTED_ROLES "\n\\gexec\n"
    "SELECT format('GRANT %I TO %I', m.role, m.member) FROM\n" WANTED_MEMBERS "\n\\gexec\n"
    "SELECT format('REVOKE domicile_owner FROM %I', pg_get_userbyid(x.member)) FROM\n" OWNERS "\n\\gexec\n"
    "SELECT format('CREATE DATABASE %I OWNER domicile_owner', :'database')\n"
    " WHERE NOT EXISTS (SELECT FROM pg_database d WHERE d.datname = :'database')\n\\gexec\n"
    "ALTER DATABASE :\"database\" OWNER TO domicile_owner;\n"
    "REVOKE ALL ON DATABASE :\"database\", postgres, template1 FROM PUBLIC;\n"
    "GRANT CONNECT ON DATABASE :\"database\" TO domicile_gateway, domicile_admin, domicile_monitor;\n"
    "GRANT ALTER SYSTEM ON PARAMETER synchronous_standby_names TO domicile_monitor;\n"
    "\\connect :\"database\"\n"
    "REVOKE ALL ON SCHEMA public FROM PUBLIC;\n"
    "SELECT format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', p.oid::regprocedure) "
    "FROM\n" WITHHELD_FUNCTIONS "\n\\gexec\n"
    "GRANT EXECUTE ON FUNCTION pg_catalog.pg_advisory_lock(bigint), pg_catalog.pg_try_advisory_lock(bigint)\n"
    "  TO domicile_owner;\n"
    "GRANT EXECUTE ON FUNCTION pg_catalog.pg_terminate_backend TO domicile_owner, domicile_monitor;\n"
    "GRANT EXECUTE ON FUNCTION pg_catalog.pg_reload_conf(), pg_catalog.pg_hba_file_rules(),\n"
    "  pg_catalog.pg_show_all_file_settings() TO domicile_monitor;\n"
    "GRANT SELECT ON pg_catalog.pg_hba_file_rules, pg_catalog.pg_file_settings TO domicile_monitor;\n";

static struct host_sql with_database(const struct provisioning *p, const struct runbook_call *call,
                                     const char *text)
{
    return (struct host_sql){ .text = text,
                              .variables = { arena_printf(call->arena, "database=%s", p->cell->database),
                                             MONITORED(p) } };
}

static result roles_are_there(void *context, struct runbook_call *call, enum answer *ret)
{
    const struct provisioning *p = context;
    const struct node *primary = p->cell->primary;
    const struct host_sql sql = with_database(p, call, look_sql);
    struct str misfits;
    TRY(host_sql_look(p, call, primary, &sql, &misfits));
    if (misfits.len > 0)
        runbook_answer(call, ret, false, "%s: %.*s", primary->name.ptr, STR_ARG(misfits));
    else
        runbook_answer(call, ret, true, "%s: five roles, each with its own rights", primary->name.ptr);
    return OK;
}

static result make_roles(void *context, struct runbook_call *call)
{
    const struct provisioning *p = context;
    const struct host_sql sql = with_database(p, call, make_sql);
    return host_sql_run(p, call, p->cell->primary, &sql);
}

const struct runbook_step step_roles = {
    .id = "roles",
    .title = "Create the roles and the database",
    .question = "do the roles and the database exist, with exactly their privileges?",
    .ask = roles_are_there,
    .act = make_roles,
    .within_ms = SEC(90),
    .ask_within_ms = SEC(60),
    .tries = 2,
};

/* ---- schema ---- over TLS, as the superuser: nobody else may act as the owner */

static result connect_as_superuser(const struct provisioning *p, struct pg_conn **ret)
{
    TRY(pg_role_need(PG_SUPERUSER, p->cell));
    const struct pg_connect_options options =
        pg_role_options(PG_SUPERUSER, p->cell, p->cell->primary, "domicile provision");
    return pg_connect(&options, ret);
}

static result look_at_schema(const struct provisioning *p, struct pg_conn *conn, int64_t *ret_epoch)
{
    bool kept;
    TRY(cell_check(conn, p->cell->region->name.ptr, p->cell->name.ptr, ret_epoch));
    TRY(guard_is_kept(conn, &kept));
    return kept ? OK
                : FAIL(E_SCHEMA, "Run domicile cell provision.", "the guards of the schema are not kept");
}

static result schema_is_there(void *context, struct runbook_call *call, enum answer *ret)
{
    const struct provisioning *p = context;
    struct pg_conn *conn = NULL;
    int64_t epoch = 0;
    TRY(connect_as_superuser(p, &conn));
    result r = look_at_schema(p, conn, &epoch);
    pg_close(conn);
    if (failed(r) && (r.error.code == E_SCHEMA || r.error.code == E_REGION_STAMP)) {
        runbook_answer(call, ret, false, "%s", r.error.what);
        return OK;
    }
    TRY(r);
    runbook_answer(call, ret, true, "schema %zu, stamped \"%s/%s\", epoch %lld", cell_migration_count,
                   p->cell->region->name.ptr, p->cell->name.ptr, (long long)epoch);
    return OK;
}

static result migrate_schema(void *context, struct runbook_call *call)
{
    const struct provisioning *p = context;
    const struct cell_stamp stamp = { p->cell->region->name.ptr, p->cell->name.ptr, 1 };
    struct pg_conn *conn = NULL;
    TRY(connect_as_superuser(p, &conn));
    result r = cell_migrate(conn, &stamp, NULL, NULL);
    pg_close(conn);
    return r;
}

const struct runbook_step step_schema = {
    .id = "schema",
    .title = "Update the schema, and stamp the cell",
    .question = "is the schema current, with this cell's stamp?",
    .ask = schema_is_there,
    .act = migrate_schema,
    .within_ms = SEC(600),
    .ask_within_ms = SEC(60),
    .tries = 2,
};

/* ---- slots ---- */

static const char slot_sql[] = "SELECT coalesce((SELECT wal_status FROM pg_replication_slots\n"
                               "  WHERE slot_name = :'slot' AND slot_type = 'physical'), 'none');\n";
/* A slot that lost its WAL is useless. */
static const char make_slot_sql[] =
    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots\n"
    "  WHERE slot_name = :'slot' AND slot_type = 'physical' AND wal_status = 'lost';\n"
    "SELECT pg_create_physical_replication_slot(:'slot', true)\n"
    "  WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = :'slot');\n";
static const char drop_slot_sql[] = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots\n"
                                    "  WHERE slot_name = :'slot' AND slot_type = 'physical';\n";

static struct host_sql of_slot(const struct runbook_call *call, const struct node *node, const char *text)
{
    return (struct host_sql){
        .text = text, .variables = { arena_printf(call->arena, "slot=%s", conf_slot(call->arena, node)) }
    };
}

static result has_slot(const struct provisioning *p, struct runbook_call *call, const struct node *node,
                       enum answer *ret)
{
    const struct host_sql sql = of_slot(call, node, slot_sql);
    struct str status;
    TRY(host_sql_look(p, call, p->cell->primary, &sql, &status));
    bool there = !str_is(status, "none") && !str_is(status, "lost");
    runbook_answer(call, ret, there, there ? "slot \"%s\": %.*s" : "no usable slot \"%s\": %.*s",
                   conf_slot(call->arena, node), STR_ARG(status));
    return OK;
}

static result make_slot(const struct provisioning *p, struct runbook_call *call, const struct node *node)
{
    const struct host_sql sql = of_slot(call, node, make_slot_sql);
    return host_sql_run(p, call, p->cell->primary, &sql);
}

static result slots_are_there(void *context, struct runbook_call *call, enum answer *ret)
{
    return ask_nodes(context, call, MEANT_STANDBYS, has_slot, ret);
}

static result make_slots(void *context, struct runbook_call *call)
{
    return act_on_nodes(context, call, MEANT_STANDBYS, has_slot, make_slot);
}

const struct runbook_step step_slots = {
    .id = "slots",
    .title = "Create a slot for each standby",
    .question = "does every standby have a slot?",
    .ask = slots_are_there,
    .act = make_slots,
    .within_ms = SEC(60),
    .tries = 2,
};

static result slot_is_gone(void *context, struct runbook_call *call, enum answer *ret)
{
    const struct provisioning *p = context;
    const struct host_sql sql = of_slot(call, p->leaving, slot_sql);
    struct str status;
    TRY(host_sql_look(p, call, p->cell->primary, &sql, &status));
    runbook_answer(call, ret, str_is(status, "none"), "slot \"%s\": %.*s", conf_slot(call->arena, p->leaving),
                   STR_ARG(status));
    return OK;
}

static result drop_slot(void *context, struct runbook_call *call)
{
    const struct provisioning *p = context;
    const struct host_sql sql = of_slot(call, p->leaving, drop_slot_sql);
    return host_sql_run(p, call, p->cell->primary, &sql);
}

const struct runbook_step step_drop_slot = {
    .id = "drop-slot",
    .title = "Drop its slot",
    .question = "is its slot dropped?",
    .ask = slot_is_gone,
    .act = drop_slot,
    .within_ms = SEC(60),
    .tries = 5,
};
