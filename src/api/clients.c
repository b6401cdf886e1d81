#include "api/call.h"

#include "base/clock.h"
#include "gateway/clients.h"
#include "loop/fiber.h"
#include "records/call.h"

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

static result make(struct api_call *call, enum role role, const char *secret)
{
    struct record_shelf shelf = api_shelf(call);
    struct client client = { .role = role };
    client_id_new(client.id);
    memcpy(client.customer, shelf.customer.ptr, shelf.customer.len);
    client_verifier_set(&call->gateway->client_keys, &client, str_from(secret));
    TRY(clients_write(call->gateway, &shelf, CLIENT_ADD, &client, NULL));
    json_t *answer = json_object();
    json_object_set_new(answer, "client_id", json_string(client.id));
    json_object_set_new(answer, "client_secret", api_secret_json(call, str_from(secret)));
    json_object_set_new(answer, "role", json_string(role_word(role)));
    api_answer_created(call, answer,
                       arena_printf(&call->request->arena, "/v1/customers/%.*s/clients/%s",
                                    STR_ARG(call->customer.id), client.id));
    return OK;
}

/* Whatever the policy says: who can make a customer's client can read with it. */
static result refuse_staff(const struct api_call *call)
{
    return role_kind(call->principal.role) == ROLE_OF_CUSTOMER
               ? OK
               : FAIL(E_FORBIDDEN, "Let a customer-admin of the customer create it.",
                      "the vendor's staff creates no clients of customers");
}

result client_add(struct api_call *call)
{
    TRY(api_admit(call, ACTION_MANAGE_CLIENTS, (struct str){ 0 }));
    TRY(refuse_staff(call));
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

static json_t *text_json(const struct pg_reply *reply, size_t row, int column)
{
    struct str text = pg_reply_str(reply, row, column);
    return pg_reply_is_null(reply, row, column) ? json_null() : json_stringn(text.ptr, text.len);
}

static json_t *client_json(const struct pg_reply *reply, size_t row)
{
    struct str id = pg_reply_str(reply, row, 0), role = pg_reply_str(reply, row, 1);
    json_t *client = json_object();
    json_object_set_new(client, "client_id", json_stringn(id.ptr, id.len));
    json_object_set_new(client, "role", json_stringn(role.ptr, role.len));
    json_object_set_new(client, "created_at", time_json(reply, row, 2));
    json_object_set_new(client, "disabled_at", time_json(reply, row, 3));
    json_object_set_new(client, "created_by", text_json(reply, row, 4));
    json_object_set_new(client, "created_by_role", text_json(reply, row, 5));
    json_object_set_new(client, "claimed", json_boolean(pg_reply_number(reply, row, 6) != 0));
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
    TRY(api_admit(call, ACTION_DISABLE_CLIENTS, (struct str){ 0 }));
    struct record_shelf shelf = api_shelf(call);
    struct str after;
    size_t limit = 0;
    TRY(read_after(call, &after));
    TRY(api_query_limit(call, &limit));
    size_t alarms; /* who looks at them wants to know at once whether they hold */
    TRY(clients_check(call->gateway, call->cell, shelf.epoch, shelf.customer, &alarms));
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
    TRY(api_admit(call, ACTION_DISABLE_CLIENTS, (struct str){ 0 }));
    struct record_shelf shelf = api_shelf(call);
    struct str id = http_parameter(&call->match, "client");
    struct client client = { 0 };
    if (!str_is_id(id))
        return FAIL(E_NOT_FOUND, NULL, "the customer has no such client, or the client is already disabled");
    memcpy(client.id, id.ptr, id.len);
    TRY(clients_write(call->gateway, &shelf, CLIENT_DISABLE, &client, NULL));
    http_respond(call->request, 204, NULL, 0, (struct str){ 0 });
    return OK;
}
