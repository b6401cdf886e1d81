/* Completion scripts, made of the tables. Commands and options are completed; names of customers and records are not, as
 * that would ask a gateway at each key. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

static const uint32_t everywhere = 1U << OPT_CONFIG | 1U << OPT_JSON | 1U << OPT_HELP;

/* True for the first row of each group. */
static bool opens_group(size_t i)
{
    return i == 0 || strcmp(cli_commands[i].group, cli_commands[i - 1].group) != 0;
}

static void print_groups(struct cli *cli)
{
    for (size_t i = 0; i < cli_command_count; i++)
        if (opens_group(i))
            fprintf(cli->out, "%s%s", i == 0 ? "" : " ", cli_commands[i].group);
}

static void print_verbs(struct cli *cli, const char *group)
{
    const char *space = "";
    for (size_t i = 0; i < cli_command_count; i++) {
        if (strcmp(cli_commands[i].group, group) == 0 && cli_commands[i].verb[0]) {
            fprintf(cli->out, "%s%s", space, cli_commands[i].verb);
            space = " ";
        }
    }
}

static void print_options(struct cli *cli, uint64_t options)
{
    for (size_t i = 0; i < OPT_COUNT; i++)
        if (options >> i & 1)
            fprintf(cli->out, " --%s", cli_options[i].name);
}

/* The options whose next word is a value, for a regular expression. */
static void print_valued(struct cli *cli)
{
    const char *bar = "";
    for (size_t i = 0; i < OPT_COUNT; i++) {
        if (cli_options[i].value != NULL) {
            fprintf(cli->out, "%s%s", bar, cli_options[i].name);
            bar = "|";
        }
    }
}

/* One `case` for bash and zsh: of the words of a command that are there, what may follow. */
static void print_cases(struct cli *cli)
{
    fputs("    case \"$command\" in\n        '') offered='", cli->out);
    print_groups(cli);
    print_options(cli, everywhere);
    fputs("' ;;\n", cli->out);
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *command = &cli_commands[i];
        if (opens_group(i) && command->verb[0]) {
            fprintf(cli->out, "        %s) offered='", command->group);
            print_verbs(cli, command->group);
            print_options(cli, everywhere);
            fputs("' ;;\n", cli->out);
        }
        fprintf(cli->out, "        '%s'*) offered='%s", cli_command_name(cli, command),
                cli_command_is(command, "completion", "") ? "bash zsh fish" : "");
        print_options(cli, command->options | everywhere);
        fputs("' ;;\n", cli->out);
    }
    fputs("        *) offered='", cli->out);
    print_options(cli, everywhere);
    fputs("' ;;\n    esac\n", cli->out);
}

static void print_bash(struct cli *cli)
{
    fputs("# Completion of domicile for bash: source <(domicile completion bash)\n"
          "_domicile() {\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} command='' offered='' i\n"
          "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
          "        [[ ${COMP_WORDS[i]} == -* || ${COMP_WORDS[i-1]} =~ ^--(",
          cli->out);
    print_valued(cli);
    fputs(")$ ]] && continue\n"
          "        command=\"${command:+$command }${COMP_WORDS[i]}\"\n"
          "    done\n",
          cli->out);
    print_cases(cli);
    fputs("    COMPREPLY=($(compgen -W \"$offered\" -- \"$cur\"))\n"
          "}\n"
          "complete -o default -F _domicile domicile\n",
          cli->out);
}

static void print_zsh(struct cli *cli)
{
    fputs("#compdef domicile\n"
          "# Completion of domicile for zsh: source <(domicile completion zsh)\n"
          "_domicile() {\n"
          "    local command='' offered='' i\n"
          "    for ((i = 2; i < CURRENT; i++)); do\n"
          "        [[ ${words[i]} == -* || ${words[i-1]} =~ ^--(",
          cli->out);
    print_valued(cli);
    fputs(")$ ]] && continue\n"
          "        command=\"${command:+$command }${words[i]}\"\n"
          "    done\n",
          cli->out);
    print_cases(cli);
    fputs("    compadd -- ${=offered} || _files\n"
          "}\n"
          "compdef _domicile domicile\n",
          cli->out);
}

/* Help texts have no backslash; a quote is escaped for fish. */
static void print_quoted(FILE *out, const char *text)
{
    fputc('\'', out);
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            fputc('\\', out);
        fputc(*text, out);
    }
    fputc('\'', out);
}

static void print_fish_options(struct cli *cli, uint64_t options, const char *condition)
{
    for (size_t i = 0; i < OPT_COUNT; i++) {
        if (!(options >> i & 1))
            continue;
        fprintf(cli->out, "complete -c domicile%s -l %s%s -d ", condition, cli_options[i].name,
                cli_options[i].value ? " -r" : "");
        print_quoted(cli->out, cli_options[i].help);
        fputc('\n', cli->out);
    }
}

/* A function of fish that says whether the words of a command that are there match one of its patterns. */
static void print_fish_function(struct cli *cli)
{
    fputs("# Completion of domicile for fish: domicile completion fish | source\n"
          "function __domicile_at\n"
          "    set -l given\n"
          "    set -l previous ''\n"
          "    for word in (commandline -opc)[2..]\n"
          "        if not string match -q -- '-*' $word; and not string match -qr -- '^--(",
          cli->out);
    print_valued(cli);
    fputs(")$' $previous\n"
          "            set -a given $word\n"
          "        end\n"
          "        set previous $word\n"
          "    end\n"
          "    for pattern in $argv\n"
          "        string match -q -- $pattern \"$given\"; and return 0\n"
          "    end\n"
          "    return 1\n"
          "end\n",
          cli->out);
}

static void print_fish(struct cli *cli)
{
    print_fish_function(cli);
    fputs("complete -c domicile -f -n '__domicile_at \"\"' -a '", cli->out);
    print_groups(cli);
    fputs("'\n", cli->out);
    print_fish_options(cli, everywhere, "");
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *command = &cli_commands[i];
        const char *name = cli_command_name(cli, command);
        if (command->verb[0]) {
            fprintf(cli->out, "complete -c domicile -f -n '__domicile_at %s' -a %s -d ", command->group,
                    command->verb);
            print_quoted(cli->out, command->help);
            fputc('\n', cli->out);
        }
        print_fish_options(cli, command->options,
                           arena_printf(&cli->arena, " -n '__domicile_at \"%s\" \"%s *\"'", name, name));
    }
    fputs("complete -c domicile -f -n '__domicile_at completion' -a 'bash zsh fish'\n", cli->out);
}

static result print_script(struct cli *cli)
{
    struct str shell = str_from(cli->arguments[0]);
    if (str_is(shell, "bash"))
        print_bash(cli);
    else if (str_is(shell, "zsh"))
        print_zsh(cli);
    else if (str_is(shell, "fish"))
        print_fish(cli);
    else
        return FAIL(E_ARGUMENT, "There are bash, zsh and fish.", "there is no completion for \"%s\"",
                    shell.ptr);
    return OK;
}

result cli_completion(struct cli *cli)
{
    if (!cli_has(cli, OPT_JSON))
        return print_script(cli);
    FILE *out = cli->out;
    char *script = NULL;
    size_t len;
    cli->out = open_memstream(&script, &len);
    must(cli->out != NULL);
    result r = print_script(cli);
    must(fclose(cli->out) == 0);
    cli->out = out;
    if (!failed(r))
        cli_print_json(cli, json_pack("{s:s,s:s%}", "shell", cli->arguments[0], "script", script, len));
    free(script);
    return r;
}
