/* The refusal of a gateway, as an error of this program. */
#include "client/gateway_session.h"

#include <string.h>

static enum error_code code_of(long status, struct str slug)
{
    enum error_code same_status = E_UNAVAILABLE;
    for (int code = E_OK + 1; code < E_COUNT; code++) {
        if (str_is(slug, error_slug((enum error_code)code)))
            return (enum error_code)code;
        if (same_status == E_UNAVAILABLE && error_http_status((enum error_code)code) == status)
            same_status = (enum error_code)code;
    }
    return same_status; /* a proxy's page, or a newer gateway's code */
}

static const char *hint_of(const json_t *problem, struct arena *arena, enum error_code code, long status)
{
    const char *home = json_string_value(json_object_get(problem, "home_endpoint"));
    const char *region = json_string_value(json_object_get(problem, "home_region"));
    if (code == E_WRONG_REGION && home != NULL)
        return arena_printf(arena, "Run the command again with --region %s: the home is %s.",
                            region != NULL ? region : "REGION", home);
    if (code == E_UNAUTHENTICATED || code == E_CLIENT)
        return "Check the client's id and secret, and the region: a customer's client is known only in its "
               "home region.";
    if (code == E_POLICY)
        return "Run domicile policy explain to see why.";
    return status >= 500
               ? "Try again; if the problem continues, look for the request's id in the gateway's log."
               : NULL;
}

/* RFC 6749 5.2: the token endpoint has errors of its own form. */
static result oauth_error(const struct gateway_refusal *refusal, struct arena *arena, long status)
{
    const char *error = json_string_value(json_object_get(refusal->problem, "error"));
    const char *description = json_string_value(json_object_get(refusal->problem, "error_description"));
    if (error == NULL || description == NULL)
        return FAIL(code_of(status, (struct str){ 0 }),
                    "Check what answers at the endpoint: it may not be a gateway.",
                    "the gateway answered %ld without a reason", status);
    enum error_code code = strcmp(error, "invalid_client") == 0 ? E_CLIENT : E_ARGUMENT;
    return FAIL(code, hint_of(refusal->problem, arena, code, status), "%s", description);
}

void gateway_refusal_done(struct gateway_refusal *refusal)
{
    json_decref(refusal->problem);
    *refusal = (struct gateway_refusal){ 0 };
}

result gateway_refused(struct gateway_refusal *refusal, struct arena *arena, long status, struct str body)
{
    static const struct str prefix = { "urn:domicile:error:", sizeof "urn:domicile:error:" - 1 };
    json_t *problem = NULL;
    gateway_refusal_done(refusal);
    if (!failed(json_parse(body, JSON_DEPTH_MAX, &problem)))
        refusal->problem = problem;
    struct str type = json_member_str(refusal->problem, "type");
    if (!str_starts(type, prefix))
        return oauth_error(refusal, arena, status);
    struct str slug = { type.ptr + prefix.len, type.len - prefix.len };
    enum error_code code = code_of(status, slug);
    const char *detail = json_string_value(json_object_get(refusal->problem, "detail"));
    const char *instance = json_string_value(json_object_get(refusal->problem, "instance"));
    refusal->said = detail == NULL ? error_title(code) : arena_cstr(arena, str_from(detail));
    if (status >= 500 && instance != NULL)
        refusal->said = arena_printf(arena, "%s (%s)", refusal->said, instance);
    return FAIL(code, hint_of(refusal->problem, arena, code, status), "%s", refusal->said);
}
