/* client prepare, client claim: how a customer gets its first client, whose secret the vendor's staff never sees. The customer
 * makes a claim, the vendor onboards it with the claim's digest, and the customer claims the client. */
#include "auth/client.h"

#include "cli/client_secret.h"
#include "seal/key_file.h"

#include <string.h>
#include <unistd.h>

static result create(struct cli *cli, char claim[CLIENT_SECRET_SIZE])
{
    struct str path;
    char line[CLIENT_SECRET_SIZE + 1];
    TRY(cli_need(cli, OPT_CLAIM_FILE, &path));
    client_secret_new(claim);
    snprintf(line, sizeof line, "%s\n", claim);
    result r = key_file_create(path.ptr, 0600, str_from(line));
    secret_wipe(line, sizeof line);
    return r;
}

result cli_client_prepare(struct cli *cli)
{
    char claim[CLIENT_SECRET_SIZE] = "", digest[CLIENT_CLAIM_HEX_SIZE];
    result r = create(cli, claim);
    client_claim_digest((struct str){ claim, CLIENT_SECRET_SIZE - 1 }, digest);
    secret_wipe(claim, sizeof claim);
    TRY(r);
    if (cli_has(cli, OPT_JSON)) {
        cli_print_json(cli,
                       json_pack("{s:s,s:s}", "claim_file", cli->values[OPT_CLAIM_FILE], "digest", digest));
        return OK;
    }
    fprintf(cli->out, "%s\n", digest);
    fprintf(cli->err, "Give the digest to the vendor, and the file %s to nobody.\n",
            cli->values[OPT_CLAIM_FILE]);
    return OK;
}

static result read_claim(struct cli *cli, char claim[CLIENT_SECRET_MAX + 1])
{
    struct str path;
    int fd;
    TRY(cli_need(cli, OPT_CLAIM_FILE, &path));
    TRY(key_file_open(path.ptr, E_ARGUMENT, &fd));
    char bytes[CLIENT_SECRET_MAX + 2];
    ssize_t len = read(fd, bytes, sizeof bytes);
    close(fd);
    if (len > 0 && bytes[len - 1] == '\n')
        len--;
    bool fits = len > 0 && len <= CLIENT_SECRET_MAX && memchr(bytes, '\n', (size_t)len) == NULL;
    if (fits) {
        memcpy(claim, bytes, (size_t)len);
        claim[len] = '\0';
    }
    secret_wipe(bytes, sizeof bytes);
    return fits ? OK
                : FAIL(E_ARGUMENT, "Use the file that domicile client prepare created.",
                       "\"%s\" has no claim", path.ptr);
}

static result ask(struct cli *cli, const char *claim, json_t **ret)
{
    const struct gateway_ask ask = { .method = "POST", .path = "/oauth/claim", .basic = true };
    struct gateway_session *session = NULL;
    TRY(cli_gateway_as(cli, cli->arguments[0], claim, &session));
    result r = gateway_ask_json(session, &ask, ret);
    gateway_session_free(session);
    return r;
}

result cli_client_claim(struct cli *cli)
{
    char claim[CLIENT_SECRET_MAX + 1] = "";
    json_t *answer = NULL;
    TRY(read_claim(cli, claim));
    result r = client_secret_reserve(cli);
    if (!failed(r)) {
        r = ask(cli, claim, &answer);
        const char *secret = json_string_value(json_object_get(answer, "client_secret"));
        const char *role = json_string_value(json_object_get(answer, "role"));
        if (!failed(r) && (secret == NULL || role == NULL))
            r = FAIL(E_UNAVAILABLE, "Check which server answers at the endpoint.",
                     "the gateway's answer has no secret");
        r = client_secret_show(cli, r, cli->arguments[0], secret, role);
    }
    json_decref(answer);
    secret_wipe(claim, sizeof claim);
    return r;
}
