#include "cli/host_log.h"

static void unrecorded(void *context, const struct error *why)
{
    struct cli *cli = context;
    cli_progress_end(cli);
    cli_print_warning(cli, why);
}

struct host_log *cli_host_log(struct cli *cli, const char *looker)
{
    const struct host_log_options options = { cli->config->state_path, looker, unrecorded, cli };
    return host_log_new(&options);
}
