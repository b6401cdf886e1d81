/* client ...: OAuth clients. Clients of the vendor's staff are created in the region's cell, as domicile_admin, since the first
 * one has no API to ask. Clients of a customer are created through the API, where the policy decides. */
#include "auth/client.h"

#include "base/clock.h"
#include "cli/cell.h"
#include "seal/key_file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { ACTOR_PARAMS = 4 };
static void set_actor(struct pg_value *params)
{
    params[0] = pg_text(STR("domicile-admin"));
    params[1] = pg_text(str_from(role_word(ROLE_SYSTEM)));
    params[2] = pg_text(STR("cell-administrator")); /* in place of a rule: no policy is asked */
    params[3] = pg_text(STR("command-line"));
}

/* ---- in the cell ---- */

struct staff_client {
    const struct region *region;
    const char *id, *role, *secret_hash;
    json_t *list;
};

static result connect_region(const struct region *region, struct cell_facts *ret_facts, struct pg_conn **ret)
{
    const struct cell *cell = &region->cells[0]; /* a gateway looks for its clients in all cells */
    TRY(cell_ask(cell, ret_facts));
    if (ret_facts->stamp[0] == '\0')
        return FAIL(E_SCHEMA, "Run domicile cell migrate first.", "the cell \"%s/%s\" has no schema",
                    region->name.ptr, cell->name.ptr);
    return cell_connect(cell, ret);
}

/* Runs a function of the schema that returns one outcome. */
static result ask_outcome(const struct region *region, const char *sql, struct pg_value *params, size_t count,
                          const char *wanted, const char *id)
{
    struct cell_facts facts = { 0 };
    struct pg_conn *conn = NULL;
    TRY(connect_region(region, &facts, &conn));
    params[0] = pg_text(region->name);
    params[1] = pg_int8(facts.epoch);
    set_actor(params + count - ACTOR_PARAMS);
    struct pg_reply reply = PG_REPLY_INIT;
    result r = pg_exec(conn, sql, params, count, &reply);
    struct str outcome = failed(r) ? (struct str){ 0 } : pg_reply_str(&reply, 0, 0);
    if (!failed(r) && str_is(outcome, "exists"))
        r = FAIL(E_CONFLICT, "Choose another id.", "the client \"%s\" already exists in \"%s\"", id,
                 region->name.ptr);
    else if (!failed(r) && str_is(outcome, "absent"))
        r = FAIL(E_NOT_FOUND, "Run domicile client list: it shows the clients.",
                 "there is no client \"%s\" of the staff in \"%s\", or it is disabled", id, region->name.ptr);
    else if (!failed(r) && str_is(outcome, "region"))
        r = FAIL(E_REGION_STAMP, "Correct the cell's address in the region's file.",
                 "the cell of \"%s\" is stamped with another region", region->name.ptr);
    else if (!failed(r) && !str_is(outcome, wanted))
        r = FAIL(E_SCHEMA, "Run domicile cell migrate, or install a newer domicile.",
                 "the cell of \"%s\" answered \"%.*s\"", region->name.ptr, STR_ARG(outcome));
    pg_reply_done(&reply);
    pg_close(conn);
    return r;
}

static result staff_add(void *arg)
{
    const struct staff_client *client = arg;
    struct pg_value params[10] = { [2] = pg_text(str_from(client->id)),
                                   [3] = pg_null(),
                                   [4] = pg_text(str_from(client->role)),
                                   [5] = pg_text(str_from(client->secret_hash)) };
    return ask_outcome(client->region,
                       "SELECT outcome FROM domicile.client_add($1,$2,$3,$4,$5,$6,$7,$8,$9,$10)", params, 10,
                       "created", client->id);
}

static result staff_remove(void *arg)
{
    const struct staff_client *client = arg;
    struct pg_value params[8] = { [2] = pg_null(), [3] = pg_text(str_from(client->id)) };
    return ask_outcome(client->region, "SELECT outcome FROM domicile.client_disable($1,$2,$3,$4,$5,$6,$7,$8)",
                       params, 8, "disabled", client->id);
}

static json_t *time_json(const struct pg_reply *reply, size_t row, int column)
{
    if (pg_reply_is_null(reply, row, column))
        return json_null();
    char text[CLOCK_TEXT_SIZE];
    clock_format(pg_reply_unix_ms(reply, row, column), text);
    return json_string(text);
}

static result list_pages(struct pg_conn *conn, json_t *list)
{
    enum { PAGE = 1000 };
    char after[64] = "";
    for (size_t rows = PAGE; rows == PAGE;) {
        const struct pg_value params[] = { pg_null(), pg_text(str_from(after)), pg_int4(PAGE) };
        struct pg_reply reply = PG_REPLY_INIT;
        TRY(pg_exec(conn, "SELECT id, role, created_at, disabled_at FROM domicile.client_page($1,$2,$3)",
                    params, 3, &reply));
        rows = pg_reply_rows(&reply);
        for (size_t i = 0; i < rows; i++) {
            struct str id = pg_reply_str(&reply, i, 0), role = pg_reply_str(&reply, i, 1);
            json_array_append_new(list, json_pack("{s:s%,s:s%,s:o,s:o}", "client_id", id.ptr, id.len, "role",
                                                  role.ptr, role.len, "created_at", time_json(&reply, i, 2),
                                                  "disabled_at", time_json(&reply, i, 3)));
            snprintf(after, sizeof after, "%.*s", STR_ARG(id));
        }
        pg_reply_done(&reply);
    }
    return OK;
}

static result staff_list(void *arg)
{
    const struct staff_client *client = arg;
    struct cell_facts facts = { 0 };
    struct pg_conn *conn = NULL;
    TRY(connect_region(client->region, &facts, &conn));
    result r = list_pages(conn, client->list);
    pg_close(conn);
    return r;
}

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
        return cli_on_loop(staff_add, client);
    }
    const struct region *regions[CLI_REGIONS_MAX] = { 0 };
    for (size_t i = 0; i < cli->region_count; i++) /* all regions are checked before the first is changed */
        TRY(cli_region_named(cli, cli->regions[i], &regions[i]));
    for (size_t i = 0; i < cli->region_count; i++) {
        client->region = regions[i];
        TRY(cli_on_loop(staff_add, client));
    }
    return OK;
}

static result staff_client_add(struct cli *cli, const char *role, char *secret, const char **ret_id)
{
    char id[CLIENT_ID_SIZE], hash[SCRYPT_TEXT_SIZE];
    client_id_new(id);
    client_secret_new(secret);
    *ret_id = cli_has(cli, OPT_ID) ? cli->values[OPT_ID] : arena_cstr(&cli->arena, str_from(id));
    if (!str_is_id(str_from(*ret_id)))
        return FAIL(E_ARGUMENT,
                    "Use 2 to 63 of the characters a-z, 0-9 and \"-\", beginning with a letter or digit.",
                    "\"%s\" is not a client's id", *ret_id);
    TRY(scrypt_hash(str_from(secret), SCRYPT_COST_DEFAULT, hash));
    struct staff_client client = { .id = *ret_id, .role = role, .secret_hash = hash };
    return add_to_regions(cli, &client);
}

static void print_client(struct cli *cli, const char *id, const char *secret, const char *role)
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

static result add_client(struct cli *cli, char secret[CLIENT_SECRET_SIZE])
{
    const char *role = NULL, *id = NULL;
    bool of_customer = cli_has(cli, OPT_CUSTOMER);
    TRY(read_role(cli, of_customer ? ROLE_OF_CUSTOMER : ROLE_STAFF, &role));
    if (cli_has(cli, OPT_SECRET_FILE))
        TRY(key_file_create(cli->values[OPT_SECRET_FILE], 0600, STR("")));
    result r = of_customer ? customer_client_add(cli, role, secret, CLIENT_SECRET_SIZE, &id)
                           : staff_client_add(cli, role, secret, &id);
    if (cli_has(cli, OPT_SECRET_FILE)) {
        if (failed(r))
            unlink(cli->values[OPT_SECRET_FILE]);
        else
            r = write_secret(cli, secret);
    }
    if (!failed(r))
        print_client(cli, id, secret, role);
    return r;
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
    enum { COLUMNS = 4 };
    if (cli_has(cli, OPT_JSON)) {
        cli_print_json(cli, json_pack("{s:o}", "clients", clients));
        return;
    }
    size_t rows = json_array_size(clients) + 1;
    const char **cells = arena_array(&cli->arena, const char *, rows *COLUMNS);
    const char *const head[COLUMNS] = { "CLIENT", "ROLE", "CREATED", "DISABLED" };
    memcpy(cells, head, sizeof head);
    for (size_t i = 1; i < rows; i++) {
        const json_t *client = json_array_get(clients, i - 1);
        cells[i * COLUMNS] = text_of(client, "client_id");
        cells[i * COLUMNS + 1] = text_of(client, "role");
        cells[i * COLUMNS + 2] = text_of(client, "created_at");
        cells[i * COLUMNS + 3] = text_of(client, "disabled_at");
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
    result r = cli_on_loop(staff_list, &client);
    if (failed(r))
        json_decref(client.list);
    else
        print_clients(cli, client.list);
    return r;
}

result cli_client_remove(struct cli *cli)
{
    struct staff_client client = { .id = cli->arguments[0] };
    if (cli_has(cli, OPT_CUSTOMER)) {
        const struct gateway_ask ask = { .method = "DELETE",
                                         .path = gateway_path(&cli->arena, cli->values[OPT_CUSTOMER],
                                                              "clients", client.id, NULL) };
        json_t *answer = NULL;
        TRY(ask_api(cli, &ask, &answer));
        json_decref(answer);
    } else {
        TRY(cli_region(cli, &client.region));
        TRY(cli_on_loop(staff_remove, &client));
    }
    if (cli_has(cli, OPT_JSON))
        cli_print_json(cli, json_pack("{s:s,s:b}", "client_id", client.id, "disabled", 1));
    else
        fprintf(cli->out, "%s is disabled; its tokens are valid until they expire\n", client.id);
    return OK;
}
