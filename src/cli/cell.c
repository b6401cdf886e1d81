/* cell ...: directly to PostgreSQL, as domicile_admin; as postgres to migrate. */
#include "cli/cell.h"

#include "base/text.h"
#include "pg/role.h"

#include <string.h>

result cell_parse(struct cli *cli, const char *text, const struct cell **ret)
{
    struct str name = str_from(text), region_name;
    str_cut(&name, '/', &region_name);
    const struct region *region = NULL;
    TRY(cli_region_named(cli, arena_cstr(&cli->arena, region_name), &region));
    const struct cell *cell = config_find_cell(region, name);
    if (cell == NULL)
        return FAIL(E_NOT_FOUND, "Run domicile region list: it shows the cells as REGION/CELL.",
                    "there is no cell \"%.*s\" in the region \"%s\"", STR_ARG(name), region->name.ptr);
    *ret = cell;
    return OK;
}

static result connect_as(enum pg_role role, const struct cell *cell, struct pg_conn **ret)
{
    enum { STATEMENT_WITHIN_MS = 30000 };
    TRY(pg_role_need(role, cell));
    struct pg_connect_options options = pg_role_options(role, cell, cell->primary, "domicile");
    options.statement_within_ms = STATEMENT_WITHIN_MS;
    return pg_connect(&options, ret);
}

result cell_connect(const struct cell *cell, struct pg_conn **ret)
{
    return connect_as(PG_ADMIN, cell, ret);
}

/* ---- migrate ---- */

struct migration {
    const struct cell *cell;
    json_t *applied;
};

static void note_applied(void *context, const struct cell_migration *migration)
{
    json_t *applied = context;
    json_array_append_new(applied, json_string(migration->name));
}

/* Migrations have no time limit: they wait for locks, and large tables take long. */
static result migrate(void *arg)
{
    struct migration *migration = arg;
    const struct cell_stamp stamp = { migration->cell->region->name.ptr, migration->cell->name.ptr, 1 };
    struct pg_conn *conn = NULL;
    TRY(connect_as(PG_SUPERUSER, migration->cell, &conn));
    result r = pg_run(conn, "SET statement_timeout = 0");
    if (!failed(r))
        r = cell_migrate(conn, &stamp, note_applied, migration->applied);
    pg_close(conn);
    return r;
}

/* The migrations that the cell does not have yet. */
static result plan(void *arg)
{
    struct migration *migration = arg;
    struct cell_facts facts = { 0 };
    TRY(cell_ask(migration->cell, &facts));
    for (size_t i = 0; i < cell_migration_count; i++)
        if (cell_migrations[i].version > facts.schema_version)
            note_applied(migration->applied, &cell_migrations[i]);
    return OK;
}

result cli_cell_migrate(struct cli *cli)
{
    struct migration migration = { .applied = json_array() };
    bool planned = cli_has(cli, OPT_PLAN);
    result r = cell_parse(cli, cli->arguments[0], &migration.cell);
    if (!failed(r))
        r = cli_on_loop(planned ? plan : migrate, &migration);
    if (failed(r)) {
        json_decref(migration.applied);
        return r;
    }
    if (cli_has(cli, OPT_JSON)) {
        cli_print_json(cli, json_pack("{s:s,s:o}", "cell", cli->arguments[0],
                                      planned ? "to_apply" : "applied", migration.applied));
        return OK;
    }
    size_t i;
    json_t *name;
    json_array_foreach(migration.applied, i, name)
        fprintf(cli->out, "%s %s\n", planned ? "to apply" : "applied", json_string_value(name));
    if (i == 0)
        fprintf(cli->out, "%s is up to date\n", cli->arguments[0]);
    json_decref(migration.applied);
    return OK;
}

/* ---- show ---- */

static result read_facts(struct pg_conn *conn, struct cell_facts *ret)
{
    struct pg_reply reply = PG_REPLY_INIT;
    result r = pg_exec(conn, "SELECT to_regprocedure('domicile.cell_status()') IS NOT NULL", NULL, 0, &reply);
    bool has_schema = !failed(r) && pg_reply_number(&reply, 0, 0) == 1;
    pg_reply_done(&reply);
    if (failed(r) || !has_schema)
        return r;
    r = pg_exec(conn, "SELECT region, name, epoch, schema_version FROM domicile.cell_status()", NULL, 0,
                &reply);
    if (!failed(r) && pg_reply_rows(&reply) == 1) {
        struct str region = pg_reply_str(&reply, 0, 0), name = pg_reply_str(&reply, 0, 1);
        text_fit(ret->stamp, sizeof ret->stamp, "%.*s/%.*s", STR_ARG(region), STR_ARG(name));
        ret->epoch = pg_reply_number(&reply, 0, 2);
        ret->schema_version = (int)pg_reply_number(&reply, 0, 3);
    }
    pg_reply_done(&reply);
    return r;
}

result cell_ask(const struct cell *cell, struct cell_facts *ret)
{
    struct pg_conn *conn = NULL;
    TRY(cell_connect(cell, &conn));
    result r = read_facts(conn, ret);
    pg_close(conn);
    return r;
}

struct shown {
    const struct cell *cell;
    const char *name, *state;
    struct cell_facts facts;
    result outcome;
};

enum { SHOWN_MAX = 256 };
struct showing {
    struct shown *cells;
    size_t count;
};

static result show(void *arg)
{
    struct showing *showing = arg;
    for (size_t i = 0; i < showing->count; i++) {
        struct shown *shown = &showing->cells[i];
        shown->outcome = cell_ask(shown->cell, &shown->facts);
        shown->state = failed(shown->outcome)                         ? shown->outcome.error.what
                       : shown->facts.stamp[0] == '\0'                ? "no stamp: run cell migrate"
                       : strcmp(shown->facts.stamp, shown->name) != 0 ? "stamped as another cell"
                       : shown->facts.schema_version != (int)cell_migration_count
                           ? "another schema version: run cell migrate"
                           : "ready";
    }
    return OK;
}

static result choose(struct cli *cli, struct showing *ret)
{
    TRY(cli_load_config(cli));
    ret->cells = arena_array(&cli->arena, struct shown, SHOWN_MAX);
    if (cli->argument_count == 1) {
        ret->count = 1;
        ret->cells[0].name = cli->arguments[0];
        return cell_parse(cli, cli->arguments[0], &ret->cells[0].cell);
    }
    for (size_t i = 0; i < cli->config->region_count; i++) {
        const struct region *region = &cli->config->regions[i];
        for (size_t j = 0; j < region->cell_count && ret->count < SHOWN_MAX; j++)
            ret->cells[ret->count++] =
                (struct shown){ .cell = &region->cells[j],
                                .name = arena_printf(&cli->arena, "%s/%s", region->name.ptr,
                                                     region->cells[j].name.ptr) };
    }
    return OK;
}

static void print_shown(struct cli *cli, const struct showing *showing)
{
    enum { COLUMNS = 6 };
    const char **cells = arena_array(&cli->arena, const char *, (showing->count + 1) * COLUMNS);
    const char *const head[COLUMNS] = { "CELL", "PRIMARY", "STAMP", "EPOCH", "SCHEMA", "STATE" };
    json_t *list = json_array();
    memcpy(cells, head, sizeof head);
    for (size_t i = 0; i < showing->count; i++) {
        const struct shown *shown = &showing->cells[i];
        const char **row = &cells[(i + 1) * COLUMNS];
        row[0] = shown->name;
        row[1] =
            arena_printf(&cli->arena, "%s:%u", shown->cell->primary->address, shown->cell->primary->port);
        row[2] = shown->facts.stamp[0] ? shown->facts.stamp : "-";
        row[3] = arena_printf(&cli->arena, "%lld", (long long)shown->facts.epoch);
        row[4] = arena_printf(&cli->arena, "%d of %zu", shown->facts.schema_version, cell_migration_count);
        row[5] = shown->state;
        json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:I,s:i,s:s}", "cell", row[0], "primary", row[1],
                                              "stamp", row[2], "epoch", (json_int_t)shown->facts.epoch,
                                              "schema_version", shown->facts.schema_version, "state",
                                              shown->state));
    }
    if (cli_has(cli, OPT_JSON)) {
        cli_print_json(cli, json_pack("{s:o}", "cells", list));
        return;
    }
    json_decref(list);
    cli_print_table(cli, cells, showing->count + 1, COLUMNS);
}

result cli_cell_show(struct cli *cli)
{
    struct showing showing = { 0 };
    TRY(choose(cli, &showing));
    TRY(cli_on_loop(show, &showing));
    print_shown(cli, &showing);
    for (size_t i = 0; i < showing.count; i++)
        TRY(showing.cells[i].outcome);
    return OK;
}
