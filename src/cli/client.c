/* client ...: OAuth clients. Clients of the vendor's staff are created in the region's cell, as domicile_admin and by whoever
 * may read the region's root key, which binds them: the first one has no API to ask. Clients of a customer are created through
 * the API, where the policy decides. */
#include "auth/client.h"

#include "cli/client_secret.h"
#include "cli/client_staff.h"

#include <string.h>

/* ---- through the API ---- */

static result ask_api(struct cli *cli, const struct gateway_ask *ask, json_t **ret)
{
    struct gateway_session *session = NULL;
    TRY(cli_gateway(cli, &session));
    result r = gateway_ask_json(session, ask, ret);
    gateway_session_free(session);
    return r;
}

static result customer_client_add(struct cli *cli, const char *role, char *secret, size_t size,
                                  const char **ret_id)
{
    char body[128];
    if (cli_has(cli, OPT_ID))
        return FAIL(E_ARGUMENT, "Omit --id.", "the gateway chooses the id of a customer's client");
    snprintf(body, sizeof body, "{\"role\":\"%s\"}", role); /* a word of ours: see read_role */
    const struct gateway_ask ask = { .method = "POST",
                                     .path = gateway_path(&cli->arena, cli->values[OPT_CUSTOMER], "clients",
                                                          NULL),
                                     .type = "application/json",
                                     .body = str_from(body) };
    json_t *answer = NULL;
    TRY(ask_api(cli, &ask, &answer));
    const char *id = json_string_value(json_object_get(answer, "client_id"));
    const char *given = json_string_value(json_object_get(answer, "client_secret"));
    bool whole = id != NULL && given != NULL && strlen(given) < size;
    if (whole) {
        strncpy(secret, given, size);
        *ret_id = arena_cstr(&cli->arena, str_from(id));
    }
    json_decref(answer);
    return whole ? OK
                 : FAIL(E_UNAVAILABLE, "Check which server answers at the endpoint.",
                        "the gateway's answer has no client id");
}

/* ---- add ---- */

static result read_role(struct cli *cli, enum role_kind wanted, const char **ret)
{
    struct str word;
    TRY(cli_need(cli, OPT_ROLE, &word));
    enum role role = role_from(word);
    if (role_kind(role) != wanted)
        return FAIL(
            E_ARGUMENT,
            "Use onboarding, sysadmin, security or compliance for staff; with --customer, customer-admin or "
            "customer-app.",
            "\"%s\" is not a role of %s", word.ptr,
            wanted == ROLE_STAFF ? "the vendor's staff" : "a customer");
    *ret = role_word(role);
    return OK;
}

static result add_to_regions(struct cli *cli, struct staff_client *client)
{
    if (cli->region_count == 0) {
        TRY(cli_region(cli, &client->region));
        return cli_on_loop(staff_client_write, client);
    }
    const struct region *regions[CLI_REGIONS_MAX] = { 0 };
    for (size_t i = 0; i < cli->region_count; i++) /* all regions are checked before the first is changed */
        TRY(cli_region_named(cli, cli->regions[i], &regions[i]));
    for (size_t i = 0; i < cli->region_count; i++) {
        client->region = regions[i];
        TRY(cli_on_loop(staff_client_write, client));
    }
    return OK;
}

static result staff_client_add(struct cli *cli, const char *role, char *secret, const char **ret_id)
{
    char id[CLIENT_ID_SIZE];
    client_id_new(id);
    client_secret_new(secret);
    *ret_id = cli_has(cli, OPT_ID) ? cli->values[OPT_ID] : arena_cstr(&cli->arena, str_from(id));
    if (!str_is_id(str_from(*ret_id)))
        return FAIL(E_ARGUMENT,
                    "Use 2 to 63 of the characters a-z, 0-9 and \"-\", beginning with a letter or digit.",
                    "\"%s\" is not a client's id", *ret_id);
    struct staff_client staff = { .client.role = role_from(str_from(role)), .secret = secret };
    snprintf(staff.client.id, sizeof staff.client.id, "%s", *ret_id);
    return add_to_regions(cli, &staff);
}

static result add_client(struct cli *cli, char secret[CLIENT_SECRET_SIZE])
{
    const char *role = NULL, *id = NULL;
    bool of_customer = cli_has(cli, OPT_CUSTOMER);
    TRY(read_role(cli, of_customer ? ROLE_OF_CUSTOMER : ROLE_STAFF, &role));
    TRY(client_secret_reserve(cli));
    result r = of_customer ? customer_client_add(cli, role, secret, CLIENT_SECRET_SIZE, &id)
                           : staff_client_add(cli, role, secret, &id);
    return client_secret_show(cli, r, id, secret, role);
}

result cli_client_add(struct cli *cli)
{
    char secret[CLIENT_SECRET_SIZE] = "";
    result r = add_client(cli, secret);
    secret_wipe(secret, sizeof secret);
    return r;
}

/* ---- list, remove ---- */

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text == NULL ? "-" : text;
}

static void print_clients(struct cli *cli, json_t *clients)
{
    enum { COLUMNS = 5 };
    if (cli_has(cli, OPT_JSON)) {
        cli_print_json(cli, json_pack("{s:o}", "clients", clients));
        return;
    }
    size_t rows = json_array_size(clients) + 1;
    const char **cells = arena_array(&cli->arena, const char *, rows *COLUMNS);
    const char *const head[COLUMNS] = { "CLIENT", "ROLE", "CREATED", "DISABLED", "BY" };
    memcpy(cells, head, sizeof head);
    for (size_t i = 1; i < rows; i++) {
        const json_t *client = json_array_get(clients, i - 1);
        cells[i * COLUMNS] = text_of(client, "client_id");
        cells[i * COLUMNS + 1] = text_of(client, "role");
        cells[i * COLUMNS + 2] = text_of(client, "created_at");
        cells[i * COLUMNS + 3] = text_of(client, "disabled_at");
        cells[i * COLUMNS + 4] = text_of(client, "created_by");
    }
    cli_print_table(cli, cells, rows, COLUMNS);
    json_decref(clients);
}

static result customer_list_pages(struct cli *cli, struct gateway_session *session, json_t *list)
{
    struct gateway_ask ask = { .method = "GET",
                               .path = gateway_path(&cli->arena, cli->values[OPT_CUSTOMER], "clients", NULL),
                               .query = "limit=1000" };
    for (bool more = true; more;) {
        json_t *page = NULL;
        TRY(gateway_ask_json(session, &ask, &page));
        const json_t *next = json_object_get(page, "next");
        json_t *clients = json_object_get(page, "clients");
        if (clients != NULL)
            json_array_extend(list, clients);
        more = json_is_string(next);
        if (more)
            ask.query = arena_printf(&cli->arena, "limit=1000&after=%s",
                                     gateway_escape(&cli->arena, json_string_value(next)));
        json_decref(page);
    }
    return OK;
}

static result customer_client_list(struct cli *cli)
{
    struct gateway_session *session = NULL;
    TRY(cli_gateway(cli, &session));
    json_t *list = json_array();
    result r = customer_list_pages(cli, session, list);
    gateway_session_free(session);
    if (failed(r))
        json_decref(list);
    else
        print_clients(cli, list);
    return r;
}

result cli_client_list(struct cli *cli)
{
    if (cli_has(cli, OPT_CUSTOMER))
        return customer_client_list(cli);
    struct staff_client client = { 0 };
    TRY(cli_region(cli, &client.region));
    client.list = json_array();
    result r = cli_on_loop(staff_client_list, &client);
    if (failed(r))
        json_decref(client.list);
    else
        print_clients(cli, client.list);
    return r;
}

result cli_client_remove(struct cli *cli)
{
    struct staff_client client = { 0 };
    const char *id = cli->arguments[0];
    if (cli_has(cli, OPT_CUSTOMER)) {
        const struct gateway_ask ask = { .method = "DELETE",
                                         .path = gateway_path(&cli->arena, cli->values[OPT_CUSTOMER],
                                                              "clients", id, NULL) };
        json_t *answer = NULL;
        TRY(ask_api(cli, &ask, &answer));
        json_decref(answer);
    } else {
        TRY(cli_region(cli, &client.region));
        snprintf(client.client.id, sizeof client.client.id, "%s", str_is_id(str_from(id)) ? id : "");
        TRY(cli_on_loop(staff_client_write, &client));
    }
    if (cli_has(cli, OPT_JSON))
        cli_print_json(cli, json_pack("{s:s,s:b}", "client_id", id, "disabled", 1));
    else
        fprintf(cli->out, "%s is disabled; its tokens are valid until they expire\n", id);
    return OK;
}
