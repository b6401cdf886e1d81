#pragma once
/* The record of what a verb asks hosts for, and of what it lets them do. */
#include "cli/cli.h"
#include "hosts/host_log.h"

/* `looker`: how the record calls what only looks. Where that cannot be recorded, standard error says so, once, and the
 * verb goes on. The configuration is loaded. */
struct host_log *cli_host_log(struct cli *cli, const char *looker);
