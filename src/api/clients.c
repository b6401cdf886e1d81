#include "api/clients.h"

#include "base/clock.h"
#include "loop/fiber.h"
#include "records/call.h"

#include <stdio.h>

/* ---- looking up, for tokens ---- */

static bool copy_id(char *to, size_t size, struct str from)
{
    if (from.len >= size)
        return false;
    if (from.len > 0)
        memcpy(to, from.ptr, from.len);
    to[from.len] = '\0';
    return true;
}

static result client_from_row(const struct pg_reply *reply, struct str id, struct client *ret)
{
    struct client client = { .role = role_from(pg_reply_str(reply, 0, 1)),
                             .disabled = pg_reply_number(reply, 0, 3) != 0 };
    if (!copy_id(client.id, sizeof client.id, id) ||
        !copy_id(client.customer, sizeof client.customer, pg_reply_str(reply, 0, 0)) ||
        !copy_id(client.secret_hash, sizeof client.secret_hash, pg_reply_str(reply, 0, 2)) ||
        !role_is_grantable(client.role))
        return FAIL(E_SCHEMA, NULL, "the cell holds a malformed client");
    *ret = client;
    return OK;
}

static result find_in_cell(struct record_cell *cell, struct str id, struct client *ret, bool *ret_found)
{
    const struct pg_value params[] = { pg_text(id) };
    struct pg_reply reply = PG_REPLY_INIT;
    result r = pg_pool_call(cell->pool, STATEMENT_CLIENT_GET, 0, params, 1, &reply);
    *ret_found = !failed(r) && pg_reply_rows(&reply) == 1;
    if (*ret_found)
        r = client_from_row(&reply, id, ret);
    pg_reply_done(&reply);
    return r;
}

/* If a cell does not answer, only its own clients cannot be found; a client that is found in no cell may be in that
 * one. */
static result clients_find(void *context, struct str id, struct client *ret, bool *ret_found)
{
    struct gateway *gateway = context;
    result outcome = OK;
    *ret_found = false;
    for (size_t i = 0; i < gateway->store.cell_count && !*ret_found; i++) {
        result r = find_in_cell(&gateway->store.cells[i], id, ret, ret_found);
        TRY(fiber_check());
        if (failed(r) && !failed(outcome))
            outcome = r;
    }
    return *ret_found ? OK : outcome;
}

struct client_store clients_store(struct gateway *gateway)
{
    return (struct client_store){ .find = clients_find, .context = gateway };
}

/* ---- making ---- */

static result read_role(struct api_call *call, enum role *ret)
{
    static const char *const members[] = { "role", NULL };
    json_t *body;
    TRY(api_read_json(call, members, &body));
    enum role role = role_from(json_member_str(body, "role"));
    json_decref(body);
    if (role_kind(role) != ROLE_OF_CUSTOMER)
        return FAIL(E_ARGUMENT, "Send \"customer-admin\" or \"customer-app\" as the role.",
                    "the \"role\" is not a customer role");
    *ret = role;
    return OK;
}

static result store(struct api_call *call, const char *id, enum role role, const char *secret_hash)
{
    struct record_shelf shelf = api_shelf(call);
    struct pg_value params[10] = { pg_text(shelf.store->region),
                                   pg_int8(shelf.epoch),
                                   pg_text(str_from(id)),
                                   pg_text(shelf.customer),
                                   pg_text(str_from(role_word(role))),
                                   pg_text(str_from(secret_hash)) };
    record_actor_params(&shelf, params + 6);
    struct pg_reply reply = PG_REPLY_INIT;
    result r = record_call(&shelf, STATEMENT_CLIENT_ADD, (struct str){ 0 }, params, 10, &reply);
    if (!failed(r) && !str_is(pg_reply_str(&reply, 0, 0), "created"))
        r = record_outcome_error(&shelf, pg_reply_str(&reply, 0, 0));
    pg_reply_done(&reply);
    return r;
}

static result make(struct api_call *call, enum role role, const char *secret)
{
    char id[CLIENT_ID_SIZE], hash[SCRYPT_TEXT_SIZE];
    client_id_new(id);
    TRY(client_hash_secret(&call->gateway->gate, str_from(secret), hash));
    TRY(store(call, id, role, hash));
    json_t *answer = json_object();
    json_object_set_new(answer, "client_id", json_string(id));
    json_object_set_new(answer, "client_secret", api_secret_json(call, str_from(secret)));
    json_object_set_new(answer, "role", json_string(role_word(role)));
    api_answer_created(
        call, answer,
        arena_printf(&call->request->arena, "/v1/customers/%.*s/clients/%s", STR_ARG(call->customer.id), id));
    return OK;
}

result client_add(struct api_call *call)
{
    TRY(api_admit(call, ACTION_MANAGE_CLIENTS, (struct str){ 0 }));
    enum role role = ROLE_UNKNOWN;
    TRY(read_role(call, &role));
    char secret[CLIENT_SECRET_SIZE];
    client_secret_new(secret);
    result r = make(call, role, secret);
    secret_wipe(secret, sizeof secret);
    return r;
}

/* ---- listing, disabling ---- */

static json_t *time_json(const struct pg_reply *reply, size_t row, int column)
{
    if (pg_reply_is_null(reply, row, column))
        return json_null();
    char text[CLOCK_TEXT_SIZE];
    clock_format(pg_reply_unix_ms(reply, row, column), text);
    return json_string(text);
}

static json_t *client_json(const struct pg_reply *reply, size_t row)
{
    struct str id = pg_reply_str(reply, row, 0), role = pg_reply_str(reply, row, 1);
    json_t *client = json_object();
    json_object_set_new(client, "client_id", json_stringn(id.ptr, id.len));
    json_object_set_new(client, "role", json_stringn(role.ptr, role.len));
    json_object_set_new(client, "created_at", time_json(reply, row, 2));
    json_object_set_new(client, "disabled_at", time_json(reply, row, 3));
    return client;
}

static result read_after(struct api_call *call, struct str *ret)
{
    TRY(http_query(call->request, "after", ret));
    if (ret->ptr == NULL)
        *ret = (struct str){ "", 0 };
    else if (!str_is_id(*ret))
        return FAIL(E_ARGUMENT, "Send the \"next\" of the previous page.",
                    "the parameter \"after\" is not a client id");
    return OK;
}

result client_list(struct api_call *call)
{
    TRY(api_admit(call, ACTION_MANAGE_CLIENTS, (struct str){ 0 }));
    struct record_shelf shelf = api_shelf(call);
    struct str after;
    size_t limit = 0;
    TRY(read_after(call, &after));
    TRY(api_query_limit(call, &limit));
    const struct pg_value params[] = { pg_text(shelf.customer), pg_text(after), pg_int4((int32_t)limit) };
    struct pg_reply reply = PG_REPLY_INIT;
    result r = record_call(&shelf, STATEMENT_CLIENT_PAGE, (struct str){ 0 }, params, 3, &reply);
    if (!failed(r)) {
        json_t *clients = json_array(), *answer = json_object();
        size_t rows = pg_reply_rows(&reply);
        for (size_t i = 0; i < rows; i++)
            json_array_append_new(clients, client_json(&reply, i));
        struct str last = rows == limit ? pg_reply_str(&reply, rows - 1, 0) : (struct str){ 0 };
        json_object_set_new(answer, "clients", clients);
        json_object_set_new(answer, "next", rows == limit ? json_stringn(last.ptr, last.len) : json_null());
        api_answer_json(call, 200, answer);
    }
    pg_reply_done(&reply);
    return r;
}

result client_disable(struct api_call *call)
{
    TRY(api_admit(call, ACTION_MANAGE_CLIENTS, (struct str){ 0 }));
    struct record_shelf shelf = api_shelf(call);
    struct pg_value params[8] = { pg_text(shelf.store->region), pg_int8(shelf.epoch), pg_text(shelf.customer),
                                  pg_text(http_parameter(&call->match, "client")) };
    record_actor_params(&shelf, params + 4);
    struct pg_reply reply = PG_REPLY_INIT;
    result r = record_call(&shelf, STATEMENT_CLIENT_DISABLE, (struct str){ 0 }, params, 8, &reply);
    if (!failed(r)) {
        struct str outcome = pg_reply_str(&reply, 0, 0);
        if (str_is(outcome, "absent"))
            r = FAIL(E_NOT_FOUND, NULL, "the customer has no such client, or the client is already disabled");
        else if (!str_is(outcome, "disabled"))
            r = record_outcome_error(&shelf, outcome);
    }
    pg_reply_done(&reply);
    TRY(r);
    http_respond(call->request, 204, NULL, 0, (struct str){ 0 });
    return OK;
}
