/* key ...: the files with a region's keys, and the rotation of class keys. */
#include "auth/token.h"
#include "cli/cli.h"
#include "seal/rootkey.h"

#include <string.h>
#include <unistd.h>

/* ---- files ---- */

static void print_made(struct cli *cli, const char *file, const char *name, const char *value)
{
    if (cli_has(cli, OPT_JSON))
        cli_print_json(cli, json_pack("{s:s,s:s}", "file", file, name, value));
    else
        fprintf(cli->out, "created %s (%s %s)\n", file, name, value);
}

result cli_key_init(struct cli *cli)
{
    const struct region *region = NULL;
    TRY(cli_region_named(cli, cli->arguments[0], &region));
    const char *path = region->root_key.file;
    if (path == NULL)
        return FAIL(E_CONFIG, "Create the key where that command reads it.",
                    "the root key of \"%s\" comes from a command", region->name.ptr);
    TRY(rootkey_generate_file(path));
    struct root_key key = { 0 };
    char fingerprint[ROOTKEY_FINGERPRINT_SIZE];
    TRY(rootkey_load_file(path, &key));
    rootkey_fingerprint(&key, fingerprint);
    rootkey_free(&key);
    print_made(cli, path, "fingerprint", fingerprint);
    if (!cli_has(cli, OPT_JSON))
        fputs("Keep a copy in a safe place in the same region: without this key no sealed record can be "
              "read.\n",
              cli->err);
    return OK;
}

result cli_key_token_init(struct cli *cli)
{
    const struct region *region = NULL;
    TRY(cli_region_named(cli, cli->arguments[0], &region));
    TRY(token_key_generate(region->token.private_key, region->token.public_key));
    struct token_signer *signer = NULL;
    TRY(token_signer_new(&signer, region->name, region->token.private_key));
    print_made(cli, region->token.private_key, "kid", token_signer_kid(signer));
    token_signer_free(signer);
    if (!cli_has(cli, OPT_JSON))
        fprintf(cli->err, "Copy %s to the gateways of the other regions.\n", region->token.public_key);
    return OK;
}

/* ---- rotation ---- */

static result ask_rotation(struct cli *cli, struct gateway_session *session, const char *method, json_t **ret)
{
    const struct gateway_ask ask = {
        .method = method,
        .path =
            gateway_path(&cli->arena, cli->arguments[0], "classes", cli->arguments[1], "key-rotations", NULL),
        .body = strcmp(method, "POST") == 0 ? STR("") : (struct str){ 0 },
    };
    return gateway_ask_json(session, &ask, ret);
}

static json_int_t remaining(const json_t *status)
{
    return json_integer_value(json_object_get(status, "remaining"));
}

static bool is_done(const json_t *status)
{
    const char *state = json_string_value(json_object_get(status, "state"));
    return state != NULL && strcmp(state, "done") == 0;
}

/* The count of a large class stops early. */
static const char *least(const json_t *status)
{
    const char *is = json_string_value(json_object_get(status, "remaining_is"));
    return is != NULL && strcmp(is, "at-least") == 0 ? "at least " : "";
}

static result wait_until_done(struct cli *cli, struct gateway_session *session, json_t **status)
{
    enum { FIRST_MS = 50, MOST_MS = 1000 };
    for (unsigned ms = FIRST_MS; !is_done(*status); ms = ms * 2 < MOST_MS ? ms * 2 : MOST_MS) {
        cli_progress(cli, "%s%lld records are not sealed with the new key yet", least(*status),
                     (long long)remaining(*status));
        usleep(ms * 1000);
        json_t *now = NULL;
        TRY(ask_rotation(cli, session, "GET", &now));
        json_decref(*status);
        *status = now;
    }
    cli_progress_end(cli);
    return OK;
}

static void print_status(struct cli *cli, json_t *status)
{
    if (cli_has(cli, OPT_JSON)) {
        cli_print_json(cli, status);
        return;
    }
    long long version = json_integer_value(json_object_get(status, "key_version"));
    fprintf(cli->out, "%s %s: key version %lld", cli->arguments[0], cli->arguments[1], version);
    if (is_done(status))
        fputs(", and every record is sealed with it\n", cli->out);
    else
        fprintf(cli->out, ", but %s%lld records are not sealed with it yet\n", least(status),
                (long long)remaining(status));
    json_decref(status);
}

static result rotate(struct cli *cli, struct gateway_session *session)
{
    json_t *status = NULL;
    TRY(ask_rotation(cli, session, "POST", &status));
    result r = cli_has(cli, OPT_NO_WAIT) ? OK : wait_until_done(cli, session, &status);
    if (failed(r))
        json_decref(status);
    else
        print_status(cli, status);
    return r;
}

result cli_key_rotate(struct cli *cli)
{
    struct gateway_session *session = NULL;
    TRY(cli_gateway(cli, &session));
    result r = rotate(cli, session);
    gateway_session_free(session);
    return r;
}

result cli_key_status(struct cli *cli)
{
    struct gateway_session *session = NULL;
    json_t *status = NULL;
    TRY(cli_gateway(cli, &session));
    result r = ask_rotation(cli, session, "GET", &status);
    if (!failed(r))
        print_status(cli, status);
    gateway_session_free(session);
    return r;
}
