#pragma once
/* The record of a verb's commands on hosts. */
#include "cli/cli.h"
#include "hosts/host_log.h"

/* `looker`: the name of read-only commands in the record. If such a command cannot be recorded, standard error says so, once,
 * and the verb goes on. The configuration must be loaded. */
struct host_log *cli_host_log(struct cli *cli, const char *looker);
