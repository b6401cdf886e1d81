/* The program from its arguments to its exit status, and functions that verbs share. */
#include "cli/cli.h"

#include "loop/fiber.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void cli_init(struct cli *cli, FILE *out, FILE *err)
{
    *cli = (struct cli){ .out = out, .err = err };
    arena_init(&cli->arena);
}

void cli_done(struct cli *cli)
{
    config_free(cli->config);
    gateway_refusal_done(&cli->refusal);
    arena_done(&cli->arena);
}

static result say(struct cli *cli, int argc, char **argv)
{
    TRY(cli_parse(cli, argc, argv));
    if (cli_has(cli, OPT_HELP)) {
        cli_help(cli);
        return OK;
    }
    cli->progress = cli->progress && !cli_has(cli, OPT_JSON);
    return cli->command->run(cli);
}

int cli_run(struct cli *cli, int argc, char **argv)
{
    result r = say(cli, argc, argv);
    if (fflush(cli->out) != 0 && !failed(r))
        r = FAIL(E_IO,
                 "Check where the output goes: perhaps the disk is full, or the reading program has ended.",
                 "the output cannot be written: %s", strerror(errno));
    if (failed(r))
        cli_print_error(cli, &r.error);
    return failed(r) ? error_exit_status(r.error.code) : cli->status;
}

int cli_main(int argc, char **argv)
{
    struct cli cli;
    signal(SIGPIPE, SIG_IGN);
    cli_init(&cli, stdout, stderr);
    const char *no_color = getenv("NO_COLOR");
    cli.progress = isatty(STDERR_FILENO) == 1;
    cli.out_is_terminal = isatty(STDOUT_FILENO) == 1;
    cli.color = cli.progress && cli.out_is_terminal && (no_color == NULL || no_color[0] == '\0');
    int status = cli_run(&cli, argc, argv);
    cli_done(&cli);
    return status;
}

/* ---- what verbs share ---- */

const char *cli_config_dir(const struct cli *cli)
{
    const char *environment = getenv("DOMICILE_CONFIG");
    if (cli_has(cli, OPT_CONFIG))
        return cli->values[OPT_CONFIG];
    return environment != NULL && environment[0] != '\0' ? environment : "/etc/domicile";
}

result cli_load_config(struct cli *cli)
{
    return cli->config != NULL ? OK : config_load(cli_config_dir(cli), &cli->config, NULL);
}

static const char *region_names(struct cli *cli)
{
    const char *names = "";
    for (size_t i = 0; i < cli->config->region_count; i++)
        names =
            arena_printf(&cli->arena, "%s%s%s", names, i == 0 ? "" : ", ", cli->config->regions[i].name.ptr);
    return names;
}

result cli_region_named(struct cli *cli, const char *name, const struct region **ret)
{
    TRY(cli_load_config(cli));
    const struct region *region = config_find_region(cli->config, str_from(name));
    if (region == NULL)
        return FAIL(E_REGION_UNKNOWN, "Run domicile region list: it shows the regions.",
                    "there is no region \"%s\"; there are: %s", name, region_names(cli));
    *ret = region;
    return OK;
}

result cli_region(struct cli *cli, const struct region **ret)
{
    const char *environment = getenv("DOMICILE_REGION");
    if (cli->region_count > 1)
        return FAIL(E_ARGUMENT, "Run the command once for each region.", "the command takes one region only");
    if (cli->region_count == 1)
        return cli_region_named(cli, cli->regions[0], ret);
    if (environment != NULL && environment[0] != '\0')
        return cli_region_named(cli, environment, ret);
    TRY(cli_load_config(cli));
    if (cli->config->region_count != 1)
        return FAIL(E_ARGUMENT, "Give --region or set $DOMICILE_REGION: there is no default region.",
                    "there are several regions: %s", region_names(cli));
    *ret = &cli->config->regions[0];
    return OK;
}

result cli_gateway_as(struct cli *cli, const char *id, const char *secret, struct gateway_session **ret)
{
    const struct region *region = NULL;
    TRY(cli_region(cli, &region));
    const struct gateway_session_options options = {
        .arena = &cli->arena,
        .refusal = &cli->refusal,
        .url = cli_has(cli, OPT_URL) ? cli->values[OPT_URL] : region->endpoint,
        .ca = region->tls.ca,
        .credentials = cli->values[OPT_CREDENTIALS],
        .client_id = id,
        .client_secret = secret,
    };
    return gateway_session_new(&options, ret);
}

result cli_gateway(struct cli *cli, struct gateway_session **ret)
{
    return cli_gateway_as(cli, getenv("DOMICILE_CLIENT_ID"), getenv("DOMICILE_CLIENT_SECRET"), ret);
}

static result read_all(struct cli *cli, FILE *file, const char *name, size_t max, struct str *ret)
{
    size_t capacity = 0, len = 0, got;
    char *text = NULL;
    do {
        if (len == capacity) {
            size_t larger = capacity == 0 ? 64 * 1024 : capacity * 2;
            char *copy = arena_alloc(&cli->arena, larger);
            if (len > 0)
                memcpy(copy, text, len);
            text = copy;
            capacity = larger;
        }
        got = fread(text + len, 1, capacity - len, file);
        len += got;
        if (len > max)
            return FAIL(E_LIMIT, "Use a smaller input; the region's file has the limit of records.",
                        "\"%s\" has more than %zu bytes", name, max);
    } while (got > 0);
    if (ferror(file))
        return FAIL(E_IO, "Check the file and its disk.", "\"%s\" cannot be read: %s", name, strerror(errno));
    *ret = (struct str){ text, len };
    return OK;
}

result cli_read_file(struct cli *cli, const char *path, size_t max, struct str *ret)
{
    if (path == NULL || strcmp(path, "-") == 0)
        return read_all(cli, stdin, "standard input", max, ret);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return FAIL(E_IO, "Check the file's name and permissions.", "\"%s\" cannot be read: %s", path,
                    strerror(errno));
    result r = read_all(cli, file, path, max, ret);
    fclose(file);
    return r;
}

struct looped {
    result (*body)(void *arg);
    void *arg;
    result outcome;
};

static void run_body(void *arg)
{
    struct looped *looped = arg;
    looped->outcome = looped->body(looped->arg);
}

result cli_on_loop(result (*body)(void *arg), void *arg)
{
    struct looped looped = { .body = body, .arg = arg };
    TRY(loop_run(run_body, &looped));
    return looped.outcome;
}
