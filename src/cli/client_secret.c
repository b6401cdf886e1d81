#include "cli/client_secret.h"

#include "seal/key_file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void print(struct cli *cli, const char *id, const char *secret, const char *role)
{
    const char *path = cli->values[OPT_SECRET_FILE];
    if (cli_has(cli, OPT_JSON)) {
        json_t *json = json_pack("{s:s,s:s}", "client_id", id, "role", role);
        json_object_set_new(json, path != NULL ? "secret_file" : "client_secret",
                            json_string(path != NULL ? path : secret));
        cli_print_json(cli, json);
        return;
    }
    fprintf(cli->out, "client_id      %s\nclient_secret  %s%s\n", cli_safe(cli, id),
            path != NULL ? "in " : "", cli_safe(cli, path != NULL ? path : secret));
    if (path == NULL)
        fputs("The secret is shown only once.\n", cli->err);
}

/* The file is created before the client: no client without a stored secret. */
static result write_secret(struct cli *cli, const char *secret)
{
    const char *path = cli->values[OPT_SECRET_FILE];
    FILE *file = fopen(path, "we");
    bool written =
        file != NULL && fprintf(file, "%s\n", secret) > 0 && fflush(file) == 0 && fsync(fileno(file)) == 0;
    if (file != NULL)
        written = fclose(file) == 0 && written;
    return written ? OK
                   : FAIL(E_IO, "Check the file's disk, remove the client and create another one.",
                          "the secret cannot be written to \"%s\": %s", path, strerror(errno));
}

result client_secret_reserve(struct cli *cli)
{
    return cli_has(cli, OPT_SECRET_FILE) ? key_file_create(cli->values[OPT_SECRET_FILE], 0600, STR("")) : OK;
}

result client_secret_show(struct cli *cli, result made, const char *id, const char *secret, const char *role)
{
    if (cli_has(cli, OPT_SECRET_FILE)) {
        if (failed(made))
            unlink(cli->values[OPT_SECRET_FILE]);
        else
            made = write_secret(cli, secret);
    }
    if (!failed(made))
        print(cli, id, secret, role);
    return made;
}
