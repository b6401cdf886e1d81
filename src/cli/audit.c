/* audit ...: what the cells' audit log says, directly from PostgreSQL, as domicile_admin. */
#include "base/clock.h"
#include "cli/cell.h"

#include <string.h>

enum { ROWS_MAX = 1000, SINCE_MS = 24 * 3600 * 1000 };

struct search {
    struct cli *cli;
    struct str request;
    int64_t since_ms;
    const struct cell **cells;
    size_t cell_count;
    json_t *rows, *sums;
    bool more;
    result outcome; /* of the first cell that failed */
};

/* ---- what is asked ---- */

/* As X-Request-Id has it, or a problem document's "instance". */
static result read_request(struct search *search)
{
    static const struct str urn = { "urn:domicile:request:", 21 };
    struct str text = str_from(search->cli->arguments[0]);
    if (str_starts(text, urn))
        text = (struct str){ text.ptr + urn.len, text.len - urn.len };
    if (!str_is_id(text))
        return FAIL(E_ARGUMENT,
                    "Give the X-Request-Id of an answer, or the \"instance\" of a problem document.",
                    "\"%s\" is not the id of a request", search->cli->arguments[0]);
    search->request = text;
    return OK;
}

static result choose(struct search *search)
{
    struct cli *cli = search->cli;
    const struct region *region = NULL;
    if (cli->argument_count == 2) {
        search->cells = arena_array(&cli->arena, const struct cell *, 1);
        search->cell_count = 1;
        return cell_parse(cli, cli->arguments[1], &search->cells[0]);
    }
    TRY(cli_region(cli, &region));
    search->cells = arena_array(&cli->arena, const struct cell *, region->cell_count);
    search->cell_count = region->cell_count;
    for (size_t i = 0; i < region->cell_count; i++)
        search->cells[i] = &region->cells[i];
    return OK;
}

/* ---- asking ---- */

/* The columns of audit_of_request, in its order. */
enum column {
    AT,
    ACTION,
    OUTCOME,
    CUSTOMER,
    CLASS,
    KEY,
    REVISION,
    ROWS,
    PRINCIPAL,
    ROLE,
    RULE,
    HOME,
    REQUEST,
    REQUEST_TO,
    COLUMNS
};
static const char *const names[COLUMNS] = { "at",   "action",   "outcome", "customer",  "class",
                                            "key",  "revision", "rows",    "principal", "role",
                                            "rule", "home",     "request", "request_to" };

static json_t *value_json(struct cli *cli, const struct pg_reply *reply, size_t row, int column)
{
    if (pg_reply_is_null(reply, row, column))
        return json_null();
    if (column == REVISION || column == ROWS)
        return json_integer(pg_reply_number(reply, row, column));
    if (column == AT) {
        char text[CLOCK_TEXT_SIZE];
        clock_format(pg_reply_unix_ms(reply, row, column), text);
        return json_string(text);
    }
    return cli_json_text(cli, arena_cstr(&cli->arena, pg_reply_str(reply, row, column)));
}

static void take_row(struct search *search, const struct cell *cell, const struct pg_reply *reply, size_t row)
{
    bool is_sum = !pg_reply_is_null(reply, row, REQUEST_TO);
    json_t *json = json_object();
    json_object_set_new(json, "cell", json_sprintf("%s/%s", cell->region->name.ptr, cell->name.ptr));
    for (int column = 0; column < COLUMNS; column++)
        json_object_set_new(json, names[column], value_json(search->cli, reply, row, column));
    json_array_append_new(is_sum ? search->sums : search->rows, json);
}

static result ask_cell(struct search *search, const struct cell *cell)
{
    static const int64_t seconds_1970_to_2000 = 946684800;
    const struct pg_value params[] = { pg_text(search->request),
                                       pg_int8((search->since_ms - seconds_1970_to_2000 * 1000) * 1000),
                                       pg_int4(ROWS_MAX) };
    struct pg_conn *conn = NULL;
    struct pg_reply reply = PG_REPLY_INIT;
    TRY(cell_connect(cell, &conn));
    result r =
        pg_exec(conn, "SELECT * FROM domicile.audit_of_request($1, $2, $3)", params, COUNT(params), &reply);
    size_t rows = failed(r) ? 0 : pg_reply_rows(&reply);
    for (size_t i = 0; i < rows; i++)
        take_row(search, cell, &reply, i);
    search->more = search->more || rows == ROWS_MAX;
    if (failed(r) && (strcmp(reply.sqlstate, "42883") == 0 || strcmp(reply.sqlstate, "3F000") == 0))
        r = FAIL(E_SCHEMA, "Run domicile cell migrate.", "the cell \"%s/%s\" has no such search yet",
                 cell->region->name.ptr, cell->name.ptr);
    pg_reply_done(&reply);
    pg_close(conn);
    return r;
}

/* One cell that is away does not hide what the others have. */
static result ask_cells(void *arg)
{
    struct search *search = arg;
    for (size_t i = 0; i < search->cell_count; i++) {
        result r = ask_cell(search, search->cells[i]);
        if (failed(r) && !failed(search->outcome))
            search->outcome = r;
    }
    return OK;
}

/* ---- in words ---- */

static const char *cell_text(struct cli *cli, const json_t *row, const char *name)
{
    const json_t *value = json_object_get(row, name);
    if (json_is_integer(value))
        return arena_printf(&cli->arena, "%lld", (long long)json_integer_value(value));
    const char *text = json_string_value(value);
    return text == NULL || text[0] == '\0' ? "-" : text;
}

static void print_list(struct cli *cli, const json_t *list, const char *const *heads,
                       const char *const *members, size_t columns)
{
    size_t rows = json_array_size(list) + 1;
    const char **cells = arena_array(&cli->arena, const char *, rows *columns);
    memcpy(cells, heads, columns * sizeof *cells);
    for (size_t row = 1; row < rows; row++)
        for (size_t column = 0; column < columns; column++)
            cells[row * columns + column] = cell_text(cli, json_array_get(list, row - 1), members[column]);
    cli_print_table(cli, cells, rows, columns);
}

static void print_found(struct search *search)
{
    static const char *const row_heads[] = { "TIME", "CELL", "ACTION",    "OUTCOME", "CUSTOMER", "CLASS",
                                             "KEY",  "ROWS", "PRINCIPAL", "ROLE",    "RULE",     "HOME" };
    static const char *const row_members[] = { "at",  "cell", "action",    "outcome", "customer", "class",
                                               "key", "rows", "principal", "role",    "rule",     "home" };
    static const char *const sum_heads[] = { "TIME",    "CELL", "COUNT", "ACTION",
                                             "OUTCOME", "ROLE", "RULE",  "HOME" };
    static const char *const sum_members[] = { "at",      "cell", "rows", "action",
                                               "outcome", "role", "rule", "home" };
    struct cli *cli = search->cli;
    if (json_array_size(search->rows) > 0)
        print_list(cli, search->rows, row_heads, row_members, COUNT(row_heads));
    else
        fputs("This request has no row of its own.\n", cli->out);
    if (json_array_size(search->sums) > 0) {
        fputs("\nIn the minute of this request, rows of these kinds were summed; it may be one of them:\n",
              cli->out);
        print_list(cli, search->sums, sum_heads, sum_members, COUNT(sum_heads));
    }
    if (search->more)
        fprintf(cli->out, "\nThere are more: only the first %d of a cell are shown.\n", ROWS_MAX);
}

static result show(struct search *search)
{
    char since[CLOCK_TEXT_SIZE];
    clock_format(search->since_ms, since);
    if (json_array_size(search->rows) + json_array_size(search->sums) == 0)
        return failed(search->outcome)
                   ? search->outcome
                   : FAIL(E_NOT_FOUND,
                          "Look further back with --since, or in the region whose gateway answered.",
                          "there is no audit row of the request \"%.*s\" since %s", STR_ARG(search->request),
                          since);
    if (cli_has(search->cli, OPT_JSON))
        cli_print_json(search->cli, json_pack("{s:s%,s:s,s:O,s:O,s:b}", "request", search->request.ptr,
                                              search->request.len, "since", since, "rows", search->rows,
                                              "sums", search->sums, "more", search->more));
    else
        print_found(search);
    return search->outcome;
}

result cli_audit_show(struct cli *cli)
{
    struct search search = { .cli = cli, .since_ms = clock_wall_ms() - SINCE_MS, .outcome = OK };
    TRY(read_request(&search));
    if (cli_has(cli, OPT_SINCE))
        TRY(cli_since(cli, &search.since_ms));
    TRY(choose(&search));
    search.rows = json_array();
    search.sums = json_array();
    result r = cli_on_loop(ask_cells, &search);
    if (!failed(r))
        r = show(&search);
    json_decref(search.rows);
    json_decref(search.sums);
    return r;
}
