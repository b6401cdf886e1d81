#pragma once
/* The command line: a table of commands (commands.def) and a table of options (options.def). A verb is a function that prints
 * its output and returns a result; cli_main prints an error once, and returns its exit status. */
#include "base/json.h"
#include "client/gateway_session.h"
#include "config/config.h"

#include <stdio.h>

enum cli_option {
#define X(option, name, value, help) option,
#include "cli/options.def"
#undef X
    OPT_COUNT
};

enum { CLI_REGIONS_MAX = 32, CLI_ARGUMENTS_MAX = 8 };

struct cli;

struct cli_command {
    const char *group, *verb; /* verb "": the group is the command */
    const char *arguments;
    uint64_t options; /* bits of enum cli_option, beside those that go with every command */
    result (*run)(struct cli *cli);
    const char *help;
};
extern const struct cli_command cli_commands[];
extern const size_t cli_command_count;

struct cli_option_row {
    const char *name, *value, *help;
};
extern const struct cli_option_row cli_options[OPT_COUNT];

/* One run of the program. */
struct cli {
    FILE *out, *err;
    struct arena arena; /* until the end */
    bool out_is_terminal;
    bool color;    /* of err and out: both are terminals, and NO_COLOR is not set */
    bool progress; /* err is a terminal, and nobody asked for JSON */
    /* what was asked for */
    const struct cli_command *command; /* NULL with --help alone or for a group */
    const char *group;
    const char *values[OPT_COUNT]; /* NULL: not given; "" for a switch that was */
    const char *regions[CLI_REGIONS_MAX];
    size_t region_count;
    const char *arguments[CLI_ARGUMENTS_MAX]; /* those that were given, then NULL */
    size_t argument_count;
    /* read when it is needed */
    struct config *config;
    struct gateway_refusal refusal; /* of the last gateway that was asked */
    /* the exit status of a verb that succeeds: 0, but for what the verb was asked about (cell status) */
    int status;
};

/* The whole program: parse, run, print. Returns the exit status. */
int cli_main(int argc, char **argv);
int cli_run(struct cli *cli, int argc, char **argv);
void cli_init(struct cli *cli, FILE *out, FILE *err);
void cli_done(struct cli *cli);

/* ---- parse.c ---- E_ARGUMENT */
result cli_parse(struct cli *cli, int argc, char **argv) MUST_USE;
bool cli_command_is(const struct cli_command *command, const char *group, const char *verb);
const char *cli_command_name(struct cli *cli, const struct cli_command *command); /* "record put" */
static inline bool cli_has(const struct cli *cli, enum cli_option option)
{
    return cli->values[option] != NULL;
}
/* --since, which is given: "30m" (ago), or a time. E_ARGUMENT. */
result cli_since(struct cli *cli, int64_t *ret_ms) MUST_USE;
/* E_ARGUMENT names the option that is missing. */
result cli_need(const struct cli *cli, enum cli_option option, struct str *ret) MUST_USE;

/* ---- help.c, completion.c ---- */
void cli_help(struct cli *cli);

/* ---- output.c ---- */
void cli_print_json(struct cli *cli, json_t *document); /* takes it over */
/* jansson takes UTF-8 only, and an error may quote any bytes: if they are not UTF-8, bytes beyond ASCII become "?". */
json_t *cli_json_text(struct cli *cli, const char *text);
void cli_print_error(struct cli *cli, const struct error *error);
void cli_print_warning(struct cli *cli, const struct error *error); /* likewise; the verb goes on */
enum cli_style { STYLE_GOOD, STYLE_BAD, STYLE_FAINT };
const char *cli_style(const struct cli *cli, enum cli_style style); /* "" without colours */
const char *cli_plain(const struct cli *cli);
/* A line of progress, on a terminal only, which the next one replaces; cli_progress_end clears it. */
void cli_progress(struct cli *cli, const char *format, ...) PRINTF(2, 3);
void cli_progress_end(struct cli *cli);
/* Each column as wide as its longest cell. Rows of `columns` cells; the first row is the head. */
void cli_print_table(struct cli *cli, const char *const *cells, size_t rows, size_t columns);

/* ---- safe.c: what comes from a server, a host, a cell or a customer steers no terminal ----
 * All human output of such text goes through these: what text_unit calls unsafe is shown as "\\x1b" or "\\u202e", a
 * newline as well, so that a name makes no line of its own. Tables, errors, warnings and progress do it themselves; JSON
 * stays exact. Text that is safe is returned as it is. */
const char *cli_safe(struct cli *cli, const char *text);
const char *cli_safe_in(struct arena *arena, const char *text);
const char *cli_safe_bytes(struct arena *arena, struct str text, const char *kept); /* but those of `kept` */
/* A record's bytes, as they are; on a terminal only what is safe there, newlines and tabs. False: not written. */
bool cli_write_bytes(struct cli *cli, struct str bytes);

/* ---- what verbs share ---- */
const char *cli_config_dir(const struct cli *cli);
result cli_load_config(struct cli *cli) MUST_USE; /* cli->config; once */
/* --region, $DOMICILE_REGION, or the only region; never a guess. Loads the configuration. */
result cli_region(struct cli *cli, const struct region **ret) MUST_USE;
result cli_region_named(struct cli *cli, const char *name, const struct region **ret) MUST_USE;
/* The gateway of --region, or the one at --url, as the client of --credentials or the environment. The caller frees it. */
result cli_gateway(struct cli *cli, struct gateway_session **ret) MUST_USE;
result cli_gateway_as(struct cli *cli, const char *id, const char *secret, struct gateway_session **ret)
    MUST_USE; /* as this client, if there is no --credentials */
/* A whole file, or standard input for NULL or "-". E_LIMIT beyond `max` bytes. */
result cli_read_file(struct cli *cli, const char *path, size_t max, struct str *ret) MUST_USE;
/* Runs it on a fiber of a new loop, and returns its result. */
result cli_on_loop(result (*body)(void *arg), void *arg) MUST_USE;

/* ---- verbs ---- */
#define X(group, verb, arguments, options, function, help) result function(struct cli *cli) MUST_USE;
#include "cli/commands.def"
#undef X
