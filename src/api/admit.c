#include "api/call.h"
#include "auth/credentials.h"
#include "base/clock.h"
#include "gateway/clients_confirm.h"

/* RFC 6750 3: no error code when the request tried no authentication at all. */
static result unauthenticated(struct api_call *call, result why)
{
    call->gateway->counters.tokens_refused++;
    call->extra.authenticate =
        http_header(call->request, "authorization").ptr == NULL ? "Bearer"
        : why.error.code == E_TOKEN_EXPIRED
            ? "Bearer error=\"invalid_token\", error_description=\"the token has expired\""
            : "Bearer error=\"invalid_token\"";
    return why;
}

result api_send_home(struct api_call *call, struct str name)
{
    const struct region *home = config_find_region(call->snapshot->config, name);
    if (home == NULL) {
        call->extra.policy_rule = "home-unknown";
        return FAIL(E_REGION_UNKNOWN, "Declare the region, or correct the directory.",
                    "the directory names a region that is not configured");
    }
    call->gateway->counters.wrong_region++;
    call->extra.home_region = home->name.ptr;
    call->extra.home_endpoint = home->endpoint;
    call->extra.policy_rule = "home-region";
    return FAIL(E_WRONG_REGION, "Send the request to the home endpoint.", "the home region is \"%s\" at %s",
                home->name.ptr, home->endpoint);
}

result api_authenticate(struct api_call *call)
{
    struct gateway *gateway = call->gateway;
    struct str token;
    result r = http_header_count(call->request, "authorization") > 1
                   ? FAIL(E_UNAUTHENTICATED, "Send one Authorization header.",
                          "the request has more than one Authorization header")
                   : bearer_parse(http_header(call->request, "authorization"), &token);
    if (!failed(r))
        r = token_cache_verify(gateway->token_cache, call->snapshot->token_keys, token, clock_wall_ms(),
                               &call->principal);
    if (failed(r))
        return unauthenticated(call, r);
    if (strcmp(call->principal.region, gateway->region) != 0)
        return api_send_home(call, str_from(call->principal.region));
    r = clients_confirm(gateway, &call->principal);
    return r.error.code == E_UNAUTHENTICATED ? unauthenticated(call, r) : r;
}

result api_decide(struct api_call *call, enum action action, struct str class)
{
    const struct config *config = call->snapshot->config;
    const struct region *here = call->snapshot->region;
    call->class = class.ptr == NULL ? NULL : config_find_class(config, class);
    if (class.ptr != NULL && call->class == NULL) {
        call->extra.policy_rule = "class-unknown";
        return FAIL(E_CLASS_UNKNOWN, "Use a class of the data register, or add the class to the policy.",
                    "the class \"%.*s\" is not in the data register", STR_ARG(class));
    }
    const struct policy_question question = { .role = call->principal.role,
                                              .action = action,
                                              .home = here,
                                              .class = call->class,
                                              .place = { .region = here } };
    result r = policy_require(config, &question, &call->decision);
    if (failed(r)) {
        call->gateway->counters.policy_denials++;
        call->extra.policy_rule = call->decision.rule.ptr;
    }
    return r;
}

static result find_customer(struct api_call *call, struct str id)
{
    result r = directory_lookup(call->gateway->replica, id, &call->customer);
    if (r.error.code == E_CUSTOMER_UNKNOWN) {
        call->gateway->counters.customers_unknown++;
        call->extra.policy_rule = "customer-unknown";
    }
    TRY(r);
    if (!str_is(call->customer.region, call->gateway->region))
        return api_send_home(call, call->customer.region);
    if (call->customer.state != CUSTOMER_ACTIVE) {
        call->extra.policy_rule = "customer-state";
        call->extra.retry_after_s = 5;
        return FAIL(E_CUSTOMER_MOVING, "Try again later.", "the customer is in the state \"%s\"",
                    customer_state_name(call->customer.state));
    }
    call->cell = record_store_cell(&call->gateway->store, call->customer.cell);
    if (call->cell == NULL) {
        call->extra.policy_rule = "cell-unknown";
        return FAIL(E_REGION_UNKNOWN, "Declare the cell, or correct the directory.",
                    "the directory names a cell that is not configured");
    }
    return OK;
}

result api_admit(struct api_call *call, enum action action, struct str class)
{
    TRY(api_authenticate(call));
    struct str id = http_parameter(&call->match, "id");
    if (role_kind(call->principal.role) == ROLE_OF_CUSTOMER && !str_is(id, call->principal.customer)) {
        call->extra.policy_rule = "own-customer";
        return FAIL(E_FORBIDDEN, "Use the customer that the client belongs to.",
                    "the client may not access this customer");
    }
    TRY(api_decide(call, action, class));
    return find_customer(call, id);
}

struct record_shelf api_shelf(const struct api_call *call)
{
    return (struct record_shelf){ .store = &call->gateway->store,
                                  .cell = call->cell,
                                  .epoch = call->customer.epoch,
                                  .customer = call->customer.id,
                                  .class = call->class == NULL ? (struct str){ 0 } : call->class->name,
                                  .sealed = call->class != NULL && call->class->sealed,
                                  .audit_reads = call->class != NULL && call->class->audit_reads,
                                  .actor = { .client = str_from(call->principal.client),
                                             .role = str_from(role_word(call->principal.role)),
                                             .rule = call->decision.rule,
                                             .request = str_from(call->request->id) } };
}

result api_admit_shelf(struct api_call *call, enum action action, struct record_shelf *ret)
{
    TRY(api_admit(call, action, http_parameter(&call->match, "class")));
    *ret = api_shelf(call);
    return OK;
}
