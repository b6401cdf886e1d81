/* What of a request goes to the gateway's trace, and how much of it: of somebody who was not authenticated, only that
 * it came and the id that it claims, since a stranger writes no text into the audit log. */
#include "api/call.h"

static bool is_refusal(enum error_code code)
{
    switch (code) {
    case E_UNAUTHENTICATED:
    case E_TOKEN_EXPIRED:
    case E_FORBIDDEN:
    case E_POLICY:
    case E_CUSTOMER_UNKNOWN:
    case E_CUSTOMER_MOVING:
    case E_CLASS_UNKNOWN:
    case E_REGION_UNKNOWN:
    case E_REGION_STAMP:
    case E_WRONG_REGION:
        return true;
    default:
        return false;
    }
}

/* Where the customer is, if it is known here and is ours. */
static struct record_cell *cell_of(struct api_call *call, struct str customer)
{
    struct directory_entry entry;
    if (call->cell != NULL)
        return call->cell;
    if (!directory_replica_knows(call->gateway->replica, customer, &entry) ||
        !str_is(entry.region, call->gateway->region))
        return NULL;
    return record_store_cell(&call->gateway->store, entry.cell);
}

static struct trace_event event_of(const struct api_call *call, enum trace_kind kind, struct str outcome)
{
    const char *home = call->extra.home_region == NULL ? call->gateway->region : call->extra.home_region;
    const char *rule = call->extra.policy_rule == NULL ? "none" : call->extra.policy_rule;
    return (struct trace_event){ .kind = kind,
                                 .outcome = outcome,
                                 .actor = { .client = STR("unknown"),
                                            .role = str_from(role_word(ROLE_UNKNOWN)),
                                            .rule = str_from(rule),
                                            .request = str_from(call->request->id) },
                                 .home = str_from(home) };
}

void api_trace_refusal(struct api_call *call, enum error_code code)
{
    if (!is_refusal(code))
        return;
    struct trace_event event = event_of(call, TRACE_REFUSAL, str_from(error_slug(code)));
    if (call->principal.client[0] != '\0') {
        event.customer = http_parameter(&call->match, "id");
        event.class = http_parameter(&call->match, "class");
        event.key = http_parameter(&call->match, "key");
        event.cell = cell_of(call, event.customer);
        event.actor.client = str_from(call->principal.client);
        event.actor.role = str_from(role_word(call->principal.role));
    }
    trace_note(call->gateway->trace, &event);
}

static void add_client(struct api_call *call, struct trace_event *event, const struct client *client)
{
    event->customer = str_from(client->customer);
    event->actor.role = str_from(role_word(client->role));
    event->cell = cell_of(call, event->customer);
}

void api_trace_client_refused(struct api_call *call, struct str id, const struct client *found)
{
    struct trace_event event = event_of(call, TRACE_REFUSAL, str_from(error_slug(E_CLIENT)));
    event.key = id;
    event.actor.rule = found == NULL     ? STR("client-unknown")
                       : found->disabled ? STR("client-disabled")
                                         : STR("client-secret");
    if (found != NULL)
        add_client(call, &event, found);
    trace_note(call->gateway->trace, &event);
}

void api_trace_token(struct api_call *call, const struct client *client)
{
    struct trace_event event = event_of(call, TRACE_TOKEN, STR("given"));
    event.key = str_from(client->id);
    event.actor.client = str_from(client->id);
    add_client(call, &event, client);
    trace_note(call->gateway->trace, &event);
}
