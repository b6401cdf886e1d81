#include "cli/cli.h"

#include "base/clock.h"

#include <string.h>

#define ONLY(name) (UINT64_C(1) << OPT_##name)
const struct cli_command cli_commands[] = {
#define X(group, verb, arguments, options, function, help)                                                   \
    { group, verb, arguments, options, function, help },
#include "cli/commands.def"
#undef X
};
const size_t cli_command_count = COUNT(cli_commands);

const struct cli_option_row cli_options[OPT_COUNT] = {
#define X(option, name, value, help) [option] = { name, value, help },
#include "cli/options.def"
#undef X
};
_Static_assert(OPT_COUNT <= 64, "a command's options are bits of 64");

/* A row without help does not compile. */
#define X(option, name, value, help) _Static_assert(sizeof(help) > 1, "an option without help: " name);
#include "cli/options.def"
#undef X
#define X(group, verb, arguments, options, function, help)                                                   \
    _Static_assert(sizeof(help) > 1, "a command without help: " group " " verb);
#include "cli/commands.def"
#undef X

static const uint64_t everywhere = ONLY(CONFIG) | ONLY(JSON) | ONLY(HELP);
static const char overview_hint[] = "Run domicile --help: it lists the commands.";

bool cli_command_is(const struct cli_command *command, const char *group, const char *verb)
{
    return strcmp(command->group, group) == 0 && strcmp(command->verb, verb) == 0;
}

const char *cli_command_name(struct cli *cli, const struct cli_command *command)
{
    return arena_printf(&cli->arena, "%s%s%s", command->group, command->verb[0] ? " " : "", command->verb);
}

/* ---- options ---- */

static result find_option(struct str name, enum cli_option *ret)
{
    for (size_t i = 0; i < OPT_COUNT; i++) {
        if (str_is(name, cli_options[i].name)) {
            *ret = (enum cli_option)i;
            return OK;
        }
    }
    return FAIL(E_ARGUMENT, overview_hint, "there is no option \"--%.*s\"",
                name.len > 80 ? 80 : (int)name.len, name.ptr);
}

static result set_option(struct cli *cli, enum cli_option option, const char *value)
{
    if (option == OPT_REGION) {
        if (cli->region_count == CLI_REGIONS_MAX)
            return FAIL(E_ARGUMENT, "Give fewer regions at once.", "--region is given too many times");
        cli->regions[cli->region_count++] = value;
    } else if (cli_has(cli, option) && cli_options[option].value != NULL) {
        return FAIL(E_ARGUMENT, "Give the option once.", "--%s is given twice", cli_options[option].name);
    }
    cli->values[option] = value;
    return OK;
}

/* `word` begins with "--". Takes the next word if the option's value is there. */
static result parse_option(struct cli *cli, const char *word, const char *next, bool *ret_took_next)
{
    struct str rest = str_from(word + 2), name;
    enum cli_option option = OPT_COUNT;
    str_cut(&rest, '=', &name);
    TRY(find_option(name, &option));
    bool wants = cli_options[option].value != NULL, has = rest.ptr != NULL;
    if (!wants && has)
        return FAIL(E_ARGUMENT, "Omit the value.", "--%s takes no value", cli_options[option].name);
    *ret_took_next = wants && !has;
    if (*ret_took_next && next == NULL)
        return FAIL(E_ARGUMENT, "Run the command with --help: it shows the arguments and options.",
                    "--%s needs a value (%s)", cli_options[option].name, cli_options[option].value);
    return set_option(cli, option, !wants ? "" : has ? rest.ptr : next);
}

static result check_options(struct cli *cli)
{
    for (size_t i = 0; i < OPT_COUNT; i++)
        if (cli_has(cli, (enum cli_option)i) && !((everywhere | cli->command->options) >> i & 1))
            return FAIL(E_ARGUMENT, "Run the command with --help: it lists the options.",
                        "\"domicile %s\" takes no --%s", cli_command_name(cli, cli->command),
                        cli_options[i].name);
    return OK;
}

result cli_need(const struct cli *cli, enum cli_option option, struct str *ret)
{
    if (!cli_has(cli, option))
        return FAIL(E_ARGUMENT, "Run the command with --help: it explains the option.", "--%s %s is missing",
                    cli_options[option].name, cli_options[option].value);
    *ret = str_from(cli->values[option]);
    return OK;
}

/* ---- words ---- */

/* Removes the command from the words; the arguments remain. */
static result find_command(struct cli *cli, const char **words, size_t count, size_t *ret_taken)
{
    cli->group = count > 0 ? words[0] : NULL;
    bool group_known = false;
    for (size_t i = 0; i < cli_command_count && cli->group != NULL; i++) {
        const struct cli_command *command = &cli_commands[i];
        bool alone = command->verb[0] == '\0';
        bool same_group = strcmp(command->group, words[0]) == 0;
        group_known |= same_group;
        if (same_group && (alone || (count > 1 && strcmp(command->verb, words[1]) == 0))) {
            cli->command = command;
            *ret_taken = alone ? 1 : 2;
            return OK;
        }
    }
    if (cli->group != NULL && !group_known)
        return FAIL(E_ARGUMENT, overview_hint, "there is no command \"%s\"", words[0]);
    if (count > 1)
        return FAIL(E_ARGUMENT, "Run the group with --help: it lists the commands.",
                    "there is no command \"%s %s\"", words[0], words[1]);
    if (cli_has(cli, OPT_HELP))
        return OK;
    return cli->group == NULL ? FAIL(E_ARGUMENT, overview_hint, "no command is given")
                              : FAIL(E_ARGUMENT, "Run the group with --help: it lists the commands.",
                                     "a command is missing after \"%s\"", words[0]);
}

static result check_arguments(struct cli *cli)
{
    size_t least = 0, most = 0;
    struct str rest = str_from(cli->command->arguments), word;
    while (rest.len > 0 && str_cut(&rest, ' ', &word)) {
        most++;
        least += word.ptr[0] != '[';
    }
    if (cli->argument_count >= least && cli->argument_count <= most)
        return OK;
    return FAIL(E_ARGUMENT, "Run the command with --help: it shows the arguments and options.",
                "usage: domicile %s %s (%zu given)", cli_command_name(cli, cli->command),
                cli->command->arguments, cli->argument_count);
}

result cli_parse(struct cli *cli, int argc, char **argv)
{
    const char *words[CLI_ARGUMENTS_MAX + 2];
    size_t count = 0, taken = 0;
    bool options_end = false;
    result r = OK; /* the first error; --json and --help count even after it */
    for (int i = 1; i < argc; i++) {
        bool took_next = false;
        if (options_end || strncmp(argv[i], "--", 2) != 0) {
            if (strcmp(argv[i], "-h") == 0 && !options_end)
                cli->values[OPT_HELP] = "";
            else if (count < COUNT(words))
                words[count++] = argv[i];
            else if (!failed(r))
                r = FAIL(E_ARGUMENT, "Run the command with --help: it shows the arguments and options.",
                         "there are too many arguments");
            continue;
        }
        options_end = argv[i][2] == '\0';
        result parsed =
            options_end ? OK : parse_option(cli, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &took_next);
        if (failed(parsed) && !failed(r))
            r = parsed;
        i += took_next && i + 1 < argc;
    }
    TRY(r);
    TRY(find_command(cli, words, count, &taken));
    for (size_t i = taken; i < count && cli->argument_count < CLI_ARGUMENTS_MAX; i++)
        cli->arguments[cli->argument_count++] = words[i];
    if (cli->command == NULL || cli_has(cli, OPT_HELP))
        return OK;
    TRY(check_options(cli));
    return check_arguments(cli);
}

result cli_since(struct cli *cli, int64_t *ret_ms)
{
    static const struct {
        char letter;
        int64_t ms;
    } units[] = { { 's', SEC(1) }, { 'm', SEC(60) }, { 'h', SEC(3600) }, { 'd', SEC(86400) } };
    enum { AGO_MAX = 100000 };
    struct str text = str_from(cli->values[OPT_SINCE]),
               digits = { text.ptr, text.len > 0 ? text.len - 1 : 0 };
    uint64_t count;
    if (clock_parse(text, ret_ms) && *ret_ms > 0)
        return OK;
    for (size_t i = 0; i < COUNT(units); i++) {
        if (text.len == 0 || text.ptr[text.len - 1] != units[i].letter ||
            !str_to_u64(digits, AGO_MAX, &count))
            continue;
        *ret_ms = clock_wall_ms() - (int64_t)count * units[i].ms;
        return OK;
    }
    return FAIL(E_ARGUMENT,
                "Give a duration, for example 30m, 24h or 7d, or a time, for example 2026-01-31T12:00:00Z.",
                "\"%.*s\" is not a time", STR_ARG(text));
}
