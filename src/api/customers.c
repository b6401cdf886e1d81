/* Customers: onboarding is a promise in two places, the directory and the cell, so it is a small state machine that can
 * be asked for again until it is done: onboarding in the directory, then in the cell, then active in the directory. */
#include "api/call.h"
#include "base/clock.h"
#include "gateway/clients.h"
#include "records/call.h"

#include <stdio.h>

enum { SERVICES_MAX = 64 };

/* ---- the services that leave the region ---- */

static json_t *services_json(const struct api_call *call)
{
    const struct service *leaving[SERVICES_MAX];
    size_t count =
        policy_services_leaving(call->snapshot->config, call->snapshot->region, leaving, SERVICES_MAX);
    json_t *list = json_array();
    for (size_t i = 0; i < count && i < SERVICES_MAX; i++) {
        json_t *service = json_object();
        json_object_set_new(service, "name", json_string(leaving[i]->name.ptr));
        json_object_set_new(service, "title", json_string(leaving[i]->title));
        json_object_set_new(service, "reason", json_string(leaving[i]->reason));
        json_object_set_new(service, "where", json_string(leaving[i]->where));
        json_array_append_new(list, service);
    }
    return list;
}

static bool names_exactly(const json_t *acknowledged, const json_t *services)
{
    if (json_array_size(acknowledged) != json_array_size(services))
        return false;
    size_t i;
    json_t *service;
    json_array_foreach(services, i, service)
    {
        const char *name = json_string_value(json_object_get(service, "name"));
        size_t found = 0;
        for (size_t j = 0; j < json_array_size(acknowledged); j++) {
            const char *given = json_string_value(json_array_get(acknowledged, j));
            found += given != NULL && strcmp(given, name) == 0;
        }
        if (found != 1)
            return false;
    }
    return true;
}

/* A customer must know which services cannot stay in the region: the refusal has the list, and the promise its version. */
static result check_acknowledged(struct api_call *call, const json_t *body)
{
    uint32_t current = call->snapshot->config->services_version;
    const json_t *version = json_object_get(body, "services_version");
    json_t *services = services_json(call);
    bool same_version = version == NULL || json_integer_value(version) == current;
    if (same_version && names_exactly(json_object_get(body, "acknowledged_services"), services)) {
        json_decref(services);
        return OK;
    }
    json_t *members = json_object();
    json_object_set_new(members, "services", services);
    json_object_set_new(members, "services_version", json_integer(current));
    call->members = members;
    call->extra.members = members;
    return FAIL(E_ACKNOWLEDGEMENT, "Name exactly the services of the list in \"acknowledged_services\".",
                "%zu services cannot be kept in the region \"%s\"", json_array_size(services),
                call->gateway->region);
}

/* ---- a customer's page ---- */

/* Waits, if the list of the customer's version has to be asked for. The caller owns *ret. */
static result customer_json(const struct api_call *call, const struct directory_entry *entry, json_t **ret)
{
    struct str document;
    json_t *acknowledged = NULL;
    TRY(directory_replica_services(call->gateway->replica, entry->services_version, &document));
    TRY(policy_services_acknowledged(document, entry->region, &acknowledged));
    json_t *json = json_object();
    json_object_set_new(json, "id", json_stringn(entry->id.ptr, entry->id.len));
    json_object_set_new(json, "region", json_stringn(entry->region.ptr, entry->region.len));
    json_object_set_new(json, "cell", json_stringn(entry->cell.ptr, entry->cell.len));
    json_object_set_new(json, "state", json_string(customer_state_name(entry->state)));
    json_object_set_new(json, "endpoint", json_string(call->snapshot->region->endpoint));
    json_object_set_new(json, "services_version", json_integer(entry->services_version));
    json_object_set_new(json, "acknowledged_services", acknowledged);
    json_object_set_new(json, "current_services_version",
                        json_integer(call->snapshot->config->services_version));
    json_object_set_new(json, "services_leaving_region", services_json(call));
    *ret = json;
    return OK;
}

result customer_show(struct api_call *call)
{
    TRY(api_admit(call, ACTION_SHOW_CUSTOMER, (struct str){ 0 }));
    json_t *answer = NULL;
    TRY(customer_json(call, &call->customer, &answer));
    api_answer_json(call, 200, answer);
    return OK;
}

/* ---- onboarding ---- */

static result check_types(const json_t *body)
{
    const json_t *services = json_object_get(body, "acknowledged_services");
    const json_t *version = json_object_get(body, "services_version");
    bool fits =
        (services == NULL || json_is_array(services)) && (version == NULL || json_is_integer(version));
    const json_t *claim = json_object_get(body, "claim");
    if (claim != NULL && !client_claim_is_digest(json_member_str(body, "claim")))
        return FAIL(E_ARGUMENT, "Send the digest that domicile client prepare prints: 64 of 0-9 and a-f.",
                    "\"claim\" is not a SHA-256");
    for (size_t i = 0; i < json_array_size(services) && fits; i++)
        fits = json_is_string(json_array_get(services, i));
    return fits ? OK
                : FAIL(E_ARGUMENT, "Send a list of names and a number.",
                       "\"acknowledged_services\" or \"services_version\" has the wrong type");
}

static result read_choice(struct api_call *call, const json_t *body, struct str *ret_id)
{
    TRY(check_types(body));
    *ret_id = json_member_str(body, "id");
    if (!str_is_id(*ret_id))
        return FAIL(E_ID, "Use 2 to 63 of a-z, 0-9 and \"-\", and not \"-\" first.",
                    "the \"id\" is not an identifier");
    struct str region = json_member_str(body, "region");
    if (config_find_region(call->snapshot->config, region) == NULL) {
        call->extra.policy_rule = "home-unknown";
        return FAIL(E_REGION_UNKNOWN, "See the list of regions: GET /v1/regions.",
                    "the region \"%.*s\" is not known", (int)(region.len < 64 ? region.len : 64),
                    region.ptr == NULL ? "" : region.ptr);
    }
    return str_is(region, call->gateway->region) ? OK : api_send_home(call, region);
}

/* Cells of a region are alike; ids spread evenly over them. */
static struct record_cell *choose_cell(struct record_store *store, struct str id)
{
    return &store->cells[str_hash(STR_HASH_INIT, id) % store->cell_count];
}

/* The entry as the directory has it now: made by this call, or by an earlier one that asked for the same. One that an
 * earlier call left unfinished goes on under what was acknowledged now. */
static result directory_reserve(struct api_call *call, struct str id, struct directory_entry *ret)
{
    struct gateway *gateway = call->gateway;
    uint32_t services_version = call->snapshot->config->services_version;
    for (int attempt = 0; attempt < 3; attempt++) {
        result r = directory_get(gateway->directory, &call->request->arena, id, ret);
        if (!failed(r)) {
            bool ours = str_is(ret->region, gateway->region),
                 same = ret->services_version == services_version;
            if (ours && same && (ret->state == CUSTOMER_ONBOARDING || ret->state == CUSTOMER_ACTIVE))
                return OK;
            if (ours && ret->state == CUSTOMER_ONBOARDING) {
                ret->services_version = services_version;
                r = directory_swap(gateway->directory, ret, ret->version, &ret->version);
                if (r.error.code != E_STALE)
                    return r;
                continue;
            }
            return FAIL(E_CONFLICT, "Choose another id.", "the customer \"%.*s\" already exists",
                        STR_ARG(id));
        }
        if (r.error.code != E_CUSTOMER_UNKNOWN)
            return r;
        struct record_cell *cell = choose_cell(&gateway->store, id);
        if (cell->epoch == 0)
            return FAIL(E_UNAVAILABLE, "Try again later.", "the cell \"%s\" has not been connected yet",
                        cell->name);
        *ret = (struct directory_entry){ .id = id,
                                         .region = str_from(gateway->region),
                                         .cell = str_from(cell->name),
                                         .epoch = (uint32_t)cell->epoch,
                                         .services_version = services_version,
                                         .state = CUSTOMER_ONBOARDING };
        r = directory_swap(gateway->directory, ret, 0, &ret->version);
        if (r.error.code != E_STALE)
            return r;
    }
    return FAIL(E_CONFLICT, "Try again.", "the customer \"%.*s\" is being changed by another request",
                STR_ARG(id));
}

static result cell_enter(struct api_call *call, const struct directory_entry *entry)
{
    call->customer = *entry;
    call->cell = record_store_cell(&call->gateway->store, entry->cell);
    if (call->cell == NULL)
        return FAIL(E_REGION_UNKNOWN, "Declare the cell, or correct the directory.",
                    "the directory names a cell that is not configured");
    struct record_shelf shelf = api_shelf(call);
    struct pg_value params[8] = { pg_text(shelf.store->region), pg_int8(shelf.epoch), pg_text(entry->id),
                                  pg_int4((int32_t)entry->services_version) };
    record_actor_params(&shelf, params + 4);
    struct pg_reply reply = PG_REPLY_INIT;
    result r = record_call(&shelf, STATEMENT_CUSTOMER_ADD, (struct str){ 0 }, params, 8, &reply);
    if (!failed(r)) {
        struct str outcome = pg_reply_str(&reply, 0, 0);
        if (!str_is(outcome, "created") && !str_is(outcome, "exists"))
            r = record_outcome_error(&shelf, outcome);
    }
    pg_reply_done(&reply);
    return r;
}

static result onboard(struct api_call *call, struct str id, bool *ret_created)
{
    struct directory_entry entry;
    TRY(directory_reserve(call, id, &entry));
    *ret_created = entry.state == CUSTOMER_ONBOARDING;
    if (*ret_created) {
        size_t alarms;
        TRY(cell_enter(call, &entry));
        /* Its clients, none yet, get their first proof: from now on a row without one is nobody's. */
        TRY(clients_check(call->gateway, call->cell, entry.epoch, entry.id, &alarms));
        uint64_t expected = entry.version;
        entry.state = CUSTOMER_ACTIVE;
        result r = directory_swap(call->gateway->directory, &entry, expected, &entry.version);
        if (r.error.code == E_STALE) /* the same request is being served twice: the other one was faster */
            r = directory_get(call->gateway->directory, &call->request->arena, id, &entry);
        TRY(r);
    }
    call->customer = entry;
    return directory_replica_learn(call->gateway->replica, &entry);
}

/* The customer's first client waits for whoever made the claim. */
static result make_claimable(struct api_call *call, struct str claim, json_t **ret)
{
    char digest[CLIENT_CLAIM_HEX_SIZE], until[CLOCK_TEXT_SIZE];
    struct client client;
    call->cell = record_store_cell(&call->gateway->store, call->customer.cell);
    if (call->cell == NULL)
        return FAIL(E_REGION_UNKNOWN, "Declare the cell, or correct the directory.",
                    "the directory names a cell that is not configured");
    struct record_shelf shelf = api_shelf(call);
    snprintf(digest, sizeof digest, "%.*s", STR_ARG(claim));
    TRY(clients_make_claimable(call->gateway, &shelf, digest, &client));
    clock_format(client_claim_until_s(&client) * 1000, until);
    *ret = json_pack("{s:s,s:s}", "client_id", client.id, "expires_at", until);
    return OK;
}

static result add(struct api_call *call, const json_t *body)
{
    struct str id;
    TRY(read_choice(call, body, &id));
    TRY(check_acknowledged(call, body));
    bool created;
    json_t *answer = NULL, *claim = NULL;
    TRY(onboard(call, id, &created));
    struct str asked = json_member_str(body, "claim");
    if (asked.len > 0)
        TRY(make_claimable(call, asked, &claim));
    result r = customer_json(call, &call->customer, &answer);
    if (failed(r)) {
        json_decref(claim);
        return r;
    }
    json_object_set_new(answer, "claim", claim != NULL ? claim : json_null());
    if (created)
        api_answer_created(call, answer,
                           arena_printf(&call->request->arena, "/v1/customers/%.*s", STR_ARG(id)));
    else
        api_answer_json(call, 200, answer);
    return OK;
}

result customer_add(struct api_call *call)
{
    static const char *const members[] = { "id",    "region", "acknowledged_services", "services_version",
                                           "claim", NULL };
    TRY(api_authenticate(call));
    TRY(api_decide(call, ACTION_ONBOARD, (struct str){ 0 }));
    json_t *body;
    TRY(api_read_json(call, members, &body));
    result r = add(call, body);
    json_decref(body);
    return r;
}
