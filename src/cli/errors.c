/* error list, version. */
#include "cli/cli.h"

static void print_markdown(struct cli *cli)
{
    fputs("# Errors\n\n"
          "Made by `domicile error list --markdown` from `src/base/error.def`.\n\n"
          "An answer of the API that refuses is a problem document (RFC 9457) whose `type` is "
          "`urn:domicile:error:` and\n"
          "the code. The command line ends with the exit status, and with `--json` names the code in its "
          "error.\n\n"
          "| code | HTTP | exit | meaning |\n| --- | --- | --- | --- |\n",
          cli->out);
    for (int code = E_OK + 1; code < E_COUNT; code++)
        fprintf(cli->out, "| `%s` | %d | %d | %s |\n", error_slug((enum error_code)code),
                error_http_status((enum error_code)code), error_exit_status((enum error_code)code),
                error_title((enum error_code)code));
}

static void print_errors_json(struct cli *cli)
{
    json_t *list = json_array();
    for (int code = E_OK + 1; code < E_COUNT; code++)
        json_array_append_new(list, json_pack("{s:s,s:i,s:i,s:s}", "code", error_slug((enum error_code)code),
                                              "http", error_http_status((enum error_code)code), "exit",
                                              error_exit_status((enum error_code)code), "title",
                                              error_title((enum error_code)code)));
    cli_print_json(cli, json_pack("{s:o}", "errors", list));
}

result cli_error_list(struct cli *cli)
{
    enum { COLUMNS = 4 };
    if (cli_has(cli, OPT_MARKDOWN)) {
        print_markdown(cli);
        return OK;
    }
    if (cli_has(cli, OPT_JSON)) {
        print_errors_json(cli);
        return OK;
    }
    const char *cells[E_COUNT * COLUMNS] = { "CODE", "HTTP", "EXIT", "MEANING" };
    for (int code = E_OK + 1; code < E_COUNT; code++) {
        const char **row = &cells[code * COLUMNS];
        row[0] = error_slug((enum error_code)code);
        row[1] = arena_printf(&cli->arena, "%d", error_http_status((enum error_code)code));
        row[2] = arena_printf(&cli->arena, "%d", error_exit_status((enum error_code)code));
        row[3] = error_title((enum error_code)code);
    }
    cli_print_table(cli, cells, E_COUNT, COLUMNS);
    return OK;
}

result cli_version(struct cli *cli)
{
    if (cli_has(cli, OPT_JSON))
        cli_print_json(cli, json_pack("{s:s}", "version", DOMICILE_VERSION));
    else
        fputs("domicile " DOMICILE_VERSION "\n", cli->out);
    return OK;
}
