#pragma once
/* The secret of a new client: shown once, or in a new file. */
#include "cli/cli.h"

/* Creates the file of --secret-file, if there is one: no client without a place for its secret. E_CONFLICT, E_IO. */
result client_secret_reserve(struct cli *cli) MUST_USE;
/* `made` is how making the client went: if it failed, the file goes again; else the secret is written or printed. */
result client_secret_show(struct cli *cli, result made, const char *id, const char *secret, const char *role)
    MUST_USE;
