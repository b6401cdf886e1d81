/* POST /oauth/token: client credentials (RFC 6749 4.4). Errors are those of RFC 6749 5.2, in its own JSON. */
#include "api/call.h"
#include "auth/credentials.h"
#include "base/clock.h"
#include "gateway/clients.h"

/* Who asks for a token, whether or not it gets one. */
struct asking {
    char id[64];          /* as it was sent; empty if it is no id */
    struct client client; /* as the cell knows it; without an id if it does not */
};

static result say_error(struct api_call *call, int status, const char *code, const char *description)
{
    json_t *json = json_object();
    json_object_set_new(json, "error", json_string(code));
    json_object_set_new(json, "error_description", json_string(description));
    char *text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    must(text != NULL);
    const struct http_header headers[] = { { STR("content-type"), STR("application/json") },
                                           { STR("cache-control"), STR("no-store") },
                                           { STR("www-authenticate"), STR("Basic realm=\"domicile\"") } };
    http_respond(call->request, status, headers, status == 401 ? 3 : 2, str_from(text));
    free(text);
    return OK;
}

static result refuse_client(struct api_call *call, const struct asking *asking)
{
    call->gateway->counters.clients_refused++;
    api_trace_client_refused(call, str_from(asking->id),
                             asking->client.id[0] != '\0' ? &asking->client : NULL);
    return say_error(call, 401, "invalid_client",
                     "the client is not known, is disabled, or its secret is wrong");
}

static result read_form(struct api_call *call, struct token_form **ret)
{
    if (!api_media_type_is(http_header(call->request, "content-type"), "application/x-www-form-urlencoded"))
        return FAIL(E_MEDIA_TYPE, "Send a Content-Type of application/x-www-form-urlencoded.",
                    "the body is not a form");
    struct str body;
    TRY(http_body_read_all(call->request, TOKEN_FORM_MAX, &body));
    *ret = arena_new(&call->request->arena, struct token_form);
    return token_form_parse(body, *ret);
}

static result issue(struct api_call *call, const struct client *client)
{
    struct principal principal = { .role = client->role };
    memcpy(principal.client, client->id, sizeof principal.client);
    memcpy(principal.customer, client->customer, sizeof principal.customer);
    struct str token;
    TRY(token_sign(call->snapshot->signer, &principal, clock_wall_ms(), TOKEN_LIFETIME_MAX_S,
                   &call->request->arena, &token));
    call->gateway->counters.tokens_issued++;
    api_trace_token(call, client);
    json_t *answer = json_object();
    json_object_set_new(answer, "access_token", api_secret_json(call, token));
    json_object_set_new(answer, "token_type", json_string("Bearer"));
    json_object_set_new(answer, "expires_in", json_integer(TOKEN_LIFETIME_MAX_S));
    api_answer_json(call, 200, answer);
    secret_wipe((char *)(uintptr_t)token.ptr, token.len);
    return OK;
}

static result authenticate(struct api_call *call, struct asking *asking)
{
    struct basic_credentials basic;
    TRY(basic_parse(http_header(call->request, "authorization"), &basic));
    struct str id = { basic.id, basic.id_len };
    if (str_is_id(id))
        memcpy(asking->id, id.ptr, id.len);
    result r = clients_authenticate(call->gateway, id, (struct str){ basic.secret, basic.secret_len },
                                    &asking->client);
    basic_wipe(&basic);
    return r;
}

result oauth_token(struct api_call *call)
{
    struct token_form *form = NULL;
    result r = read_form(call, &form);
    if (r.error.code == E_BODY || r.error.code == E_MEDIA_TYPE)
        return say_error(call, 400, "invalid_request", r.error.what);
    TRY(r);
    if (!str_is(form->grant_type, "client_credentials"))
        return say_error(call, 400, "unsupported_grant_type", "the only grant type is client_credentials");
    if (form->scope.ptr != NULL)
        return say_error(call, 400, "invalid_scope",
                         "scopes are not supported: the role of the client defines its rights");
    struct asking asking = { 0 };
    r = authenticate(call, &asking);
    if (r.error.code == E_CLIENT)
        return refuse_client(call, &asking);
    TRY(r);
    return issue(call, &asking.client);
}

/* POST /oauth/claim: a customer's first client gets its secret, once. The claim is the password of Basic. */
static result claim(struct api_call *call, struct asking *asking, char secret[CLIENT_SECRET_SIZE])
{
    struct basic_credentials basic;
    TRY(basic_parse(http_header(call->request, "authorization"), &basic));
    struct str id = { basic.id, basic.id_len };
    if (str_is_id(id))
        memcpy(asking->id, id.ptr, id.len);
    result r = clients_claim(call->gateway, id, (struct str){ basic.secret, basic.secret_len },
                             str_from(call->request->id), secret, &asking->client);
    basic_wipe(&basic);
    return r;
}

result oauth_claim(struct api_call *call)
{
    char secret[CLIENT_SECRET_SIZE] = "";
    struct asking asking = { 0 };
    result r = claim(call, &asking, secret);
    if (r.error.code == E_CLIENT)
        return refuse_client(call, &asking);
    TRY(r);
    json_t *answer = json_object();
    json_object_set_new(answer, "client_id", json_string(asking.client.id));
    json_object_set_new(answer, "client_secret", api_secret_json(call, str_from(secret)));
    json_object_set_new(answer, "role", json_string(role_word(asking.client.role)));
    json_object_set_new(answer, "customer", json_string(asking.client.customer));
    secret_wipe(secret, sizeof secret);
    api_answer_json(call, 200, answer);
    return OK;
}
