#include "cli/cli.h"

#include <string.h>

enum { COLUMNS = 100 };

/* The words of `text`, wrapped, with an indent. */
static void print_folded(FILE *out, const char *text, int indent)
{
    int at = indent;
    struct str rest = str_from(text), word;
    while (rest.len > 0 && str_cut(&rest, ' ', &word)) {
        if (at > indent && at + 1 + (int)word.len > COLUMNS) {
            fprintf(out, "\n%*s", indent, "");
            at = indent;
        } else if (at > indent) {
            fputc(' ', out);
            at++;
        }
        fprintf(out, "%.*s", STR_ARG(word));
        at += (int)word.len;
    }
    fputc('\n', out);
}

static void print_row(FILE *out, const char *name, const char *help, int width)
{
    fprintf(out, "  %-*s  ", width, name);
    print_folded(out, help, width + 4);
}

static void print_options(struct cli *cli, uint64_t options)
{
    fputs("\nOptions:\n", cli->out);
    for (size_t i = 0; i < OPT_COUNT; i++) {
        const struct cli_option_row *row = &cli_options[i];
        if (!(options >> i & 1))
            continue;
        const char *name = row->value == NULL ? arena_printf(&cli->arena, "--%s", row->name)
                                              : arena_printf(&cli->arena, "--%s %s", row->name, row->value);
        print_row(cli->out, name, row->help, 22);
    }
}

static const uint32_t everywhere = 1U << OPT_CONFIG | 1U << OPT_JSON | 1U << OPT_HELP;

static void help_command(struct cli *cli)
{
    const struct cli_command *command = cli->command;
    fprintf(cli->out, "Usage: domicile %s%s%s [OPTION...]\n\n", cli_command_name(cli, command),
            command->arguments[0] ? " " : "", command->arguments);
    print_folded(cli->out, command->help, 0);
    print_options(cli, command->options | everywhere);
}

static void help_group(struct cli *cli)
{
    fprintf(cli->out, "Usage: domicile %s COMMAND [ARGUMENT...] [OPTION...]\n\nCommands:\n", cli->group);
    for (size_t i = 0; i < cli_command_count; i++)
        if (strcmp(cli_commands[i].group, cli->group) == 0)
            print_row(cli->out, cli_commands[i].verb, cli_commands[i].help, 12);
    fprintf(cli->out, "\nRun domicile %s COMMAND --help for more.\n", cli->group);
}

static void help_program(struct cli *cli)
{
    fputs("Usage: domicile COMMAND [ARGUMENT...] [OPTION...]\n\n"
          "Keeps each customer's records in the region that the customer chose. See "
          "domicile(1).\n\nCommands:\n",
          cli->out);
    for (size_t i = 0; i < cli_command_count; i++)
        print_row(cli->out, cli_command_name(cli, &cli_commands[i]), cli_commands[i].help, 16);
    print_options(cli, everywhere);
    fputs("\nRun domicile COMMAND --help for more.\n", cli->out);
}

void cli_help(struct cli *cli)
{
    if (cli->command != NULL)
        help_command(cli);
    else if (cli->group != NULL)
        help_group(cli);
    else
        help_program(cli);
}
