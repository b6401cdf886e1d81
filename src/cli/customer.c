/* customer ..., token. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text == NULL ? "-" : text;
}

/* A member, safe to print. */
static const char *shown(struct cli *cli, const json_t *object, const char *name)
{
    return cli_safe(cli, text_of(object, name));
}

static void print_services(struct cli *cli, FILE *out, const json_t *services)
{
    size_t i;
    json_t *service;
    json_array_foreach(services, i, service)
        fprintf(out, "  %s (%s), to %s\n      %s\n", shown(cli, service, "name"),
                shown(cli, service, "title"), shown(cli, service, "where"), shown(cli, service, "reason"));
}

static const char *names_of(struct cli *cli, const json_t *list)
{
    const char *names = "";
    size_t i;
    json_t *name;
    json_array_foreach(list, i, name) names =
        arena_printf(&cli->arena, "%s%s%s", names, i == 0 ? "" : ", ", json_string_value(name));
    return i == 0 ? "none" : names;
}

static void print_customer(struct cli *cli, json_t *customer)
{
    if (cli_has(cli, OPT_JSON)) {
        cli_print_json(cli, customer);
        return;
    }
    const json_t *services = json_object_get(customer, "services_leaving_region");
    fprintf(cli->out, "%s\n  lives in   %s, cell %s\n  endpoint   %s\n  state      %s\n",
            shown(cli, customer, "id"), shown(cli, customer, "region"), shown(cli, customer, "cell"),
            shown(cli, customer, "endpoint"), shown(cli, customer, "state"));
    fprintf(cli->out, "  services   version %lld acknowledged, version %lld is current\n",
            (long long)json_integer_value(json_object_get(customer, "services_version")),
            (long long)json_integer_value(json_object_get(customer, "current_services_version")));
    fprintf(cli->out, "             acknowledged: %s\n",
            cli_safe(cli, names_of(cli, json_object_get(customer, "acknowledged_services"))));
    fprintf(cli->out, "%s\n",
            json_array_size(services) == 0 ? "No service leaves the region."
                                           : "Services that leave the region:");
    print_services(cli, cli->out, services);
    const json_t *claim = json_object_get(customer, "claim");
    if (json_is_object(claim))
        fprintf(cli->out,
                "Its first client is %s. Who has the claim runs, until %s:\n"
                "  domicile client claim %s --claim-file FILE\n",
                shown(cli, claim, "client_id"), shown(cli, claim, "expires_at"),
                shown(cli, claim, "client_id"));
    json_decref(customer);
}

result cli_customer_show(struct cli *cli)
{
    struct gateway_session *session = NULL;
    json_t *customer = NULL;
    TRY(cli_gateway(cli, &session));
    const struct gateway_ask ask = { .method = "GET",
                                     .path = gateway_path(&cli->arena, cli->arguments[0], NULL) };
    result r = gateway_ask_json(session, &ask, &customer);
    if (!failed(r))
        print_customer(cli, customer);
    gateway_session_free(session);
    return r;
}

/* ---- add ---- */

static json_t *split(const char *list)
{
    json_t *names = json_array();
    struct str rest = str_from(list), name;
    while (rest.len > 0 && str_cut(&rest, ',', &name)) {
        name = str_trim(name);
        if (name.len > 0)
            json_array_append_new(
                names,
                json_stringn(name.ptr, name.len)); /* drops invalid UTF-8, which is the name of no service */
    }
    return names;
}

/* The customer must accept each service, so show the services, and the option for it. */
static result explain_acknowledgement(struct cli *cli, const result refusal)
{
    const json_t *services = json_object_get(cli->refusal.problem, "services");
    const char *names = "";
    size_t i;
    json_t *service;
    json_array_foreach(services, i, service) names =
        arena_printf(&cli->arena, "%s%s%s", names, i == 0 ? "" : ",", text_of(service, "name"));
    if (!cli_has(cli, OPT_JSON)) {
        fputs("These services leave the region:\n", cli->err);
        print_services(cli, cli->err, services);
    }
    result r = refusal;
    r.error.hint = arena_printf(&cli->arena,
                                "If the customer acknowledges all of them, add --acknowledge \"%s\".", names);
    return r;
}

static result add(struct cli *cli, struct gateway_session *session, json_t **ret)
{
    const struct region *region = NULL;
    TRY(cli_region(cli, &region));
    json_t *document =
        json_pack("{s:s?,s:s,s:o}", "id", str_is_id(str_from(cli->arguments[0])) ? cli->arguments[0] : "",
                  "region", region->name.ptr, "acknowledged_services",
                  split(cli_has(cli, OPT_ACKNOWLEDGE) ? cli->values[OPT_ACKNOWLEDGE] : ""));
    if (cli_has(cli, OPT_CLAIM))
        json_object_set_new(document, "claim", json_string(cli->values[OPT_CLAIM]));
    char *text = json_dumps(document, JSON_COMPACT);
    json_decref(document);
    must(text != NULL);
    const struct gateway_ask ask = {
        .method = "POST", .path = "/v1/customers", .type = "application/json", .body = str_from(text)
    };
    result r = gateway_ask_json(session, &ask, ret);
    free(text);
    return r;
}

result cli_customer_add(struct cli *cli)
{
    struct gateway_session *session = NULL;
    json_t *customer = NULL;
    TRY(cli_gateway(cli, &session));
    result r = add(cli, session, &customer);
    if (!failed(r))
        print_customer(cli, customer);
    else if (r.error.code == E_ACKNOWLEDGEMENT)
        r = explain_acknowledgement(cli, r);
    gateway_session_free(session);
    return r;
}

/* ---- token ---- */

result cli_token(struct cli *cli)
{
    struct gateway_session *session = NULL;
    const char *token = NULL;
    TRY(cli_gateway(cli, &session));
    result r = gateway_token(session, &token);
    if (!failed(r) && cli_has(cli, OPT_JSON))
        cli_print_json(cli, json_pack("{s:s}", "access_token", token));
    else if (!failed(r))
        fprintf(cli->out, "%s\n", cli_safe(cli, token));
    gateway_session_free(session);
    return r;
}
