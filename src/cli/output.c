#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

void cli_print_json(struct cli *cli, json_t *document)
{
    must(document != NULL);
    must(json_dumpf(document, cli->out, JSON_INDENT(2) | JSON_ENSURE_ASCII) == 0 || ferror(cli->out));
    fputc('\n', cli->out);
    json_decref(document);
}

const char *cli_style(const struct cli *cli, enum cli_style style)
{
    static const char *const codes[] = {
        [STYLE_GOOD] = "\033[32m", [STYLE_BAD] = "\033[31m", [STYLE_FAINT] = "\033[2m"
    };
    return cli->color ? codes[style] : "";
}

const char *cli_plain(const struct cli *cli)
{
    return cli->color ? "\033[0m" : "";
}

json_t *cli_json_text(struct cli *cli, const char *text)
{
    struct str s = str_from(text);
    if (str_is_utf8(s))
        return json_string(text);
    char *copy = arena_cstr(&cli->arena, s);
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)copy[i] >= 0x80)
            copy[i] = '?';
    return json_string(copy);
}

static void print_error_json(struct cli *cli, const char *kind, const struct error *error, const char *what)
{
    static const char *const members[] = { "region",   "home_region", "home_endpoint",    "policy_rule",
                                           "instance", "services",    "services_version", NULL };
    json_t *json = json_object(), *document = json_object();
    json_object_set_new(json, "code", json_string(error_slug(error->code)));
    json_object_set_new(json, "what", cli_json_text(cli, what));
    json_object_set_new(json, "hint", error->hint == NULL ? json_null() : cli_json_text(cli, error->hint));
    for (size_t i = 0; cli->refusal.problem != NULL && members[i] != NULL; i++) {
        json_t *value = json_object_get(cli->refusal.problem, members[i]);
        if (value != NULL)
            json_object_set(json, members[i], value);
    }
    json_object_set_new(document, kind, json);
    must(json_dumpf(document, cli->err, JSON_COMPACT | JSON_ENSURE_ASCII) == 0 || ferror(cli->err));
    fputc('\n', cli->err);
    json_decref(document);
}

static void print_hint(struct cli *cli, const struct error *error)
{
    if (error->hint != NULL)
        fprintf(cli->err, "hint: %s\n", cli_safe(cli, error->hint));
}

void cli_print_error(struct cli *cli, const struct error *error)
{
    const char *what = cli->refusal.said != NULL ? cli->refusal.said : error->what;
    if (cli_has(cli, OPT_JSON)) {
        print_error_json(cli, "error", error, what);
        return;
    }
    fprintf(cli->err, "%sdomicile:%s %s\n", cli_style(cli, STYLE_BAD), cli_plain(cli), cli_safe(cli, what));
    print_hint(cli, error);
}

void cli_print_warning(struct cli *cli, const struct error *error)
{
    if (cli_has(cli, OPT_JSON)) {
        print_error_json(cli, "warning", error, error->what);
        return;
    }
    fprintf(cli->err, "domicile: warning: %s\n", cli_safe(cli, error->what));
    print_hint(cli, error);
}

void cli_progress(struct cli *cli, const char *format, ...)
{
    if (!cli->progress)
        return;
    struct arena arena;
    va_list args;
    arena_init(&arena);
    va_start(args, format);
    const char *line = arena_vprintf(&arena, format, args);
    va_end(args);
    fprintf(cli->err, "\r\033[K%s", cli_safe_in(&arena, line));
    fflush(cli->err);
    arena_done(&arena);
}

void cli_progress_end(struct cli *cli)
{
    if (cli->progress)
        fputs("\r\033[K", cli->err);
}

static void print_rows(struct cli *cli, const char *const *cells, size_t rows, size_t columns)
{
    for (size_t row = 0; row < rows; row++) {
        fputs(row == 0 ? cli_style(cli, STYLE_FAINT) : "", cli->out);
        for (size_t column = 0; column < columns; column++) {
            size_t width = 0;
            for (size_t i = 0; i < rows; i++) {
                size_t len = strlen(cells[i * columns + column]);
                width = len > width ? len : width;
            }
            const char *cell = cells[row * columns + column];
            if (column + 1 < columns)
                fprintf(cli->out, "%-*s  ", (int)width, cell);
            else
                fputs(cell, cli->out);
        }
        fprintf(cli->out, "%s\n", row == 0 ? cli_plain(cli) : "");
    }
}

void cli_print_table(struct cli *cli, const char *const *cells, size_t rows, size_t columns)
{
    struct arena arena;
    arena_init(&arena);
    const char **safe = arena_array(&arena, const char *, rows *columns);
    for (size_t i = 0; i < rows * columns; i++)
        safe[i] = cli_safe_in(&arena, cells[i]);
    print_rows(cli, safe, rows, columns);
    arena_done(&arena);
}
