/* From a request to its resource's function, by the table of routes. */
#include "api/api.h"

#include "api/call.h"
#include "auth/credentials.h"
#include "base/secret.h"

struct route_target {
    result (*serve)(struct api_call *call);
};

enum {
#define X(method, pattern, function) ROUTE_##function,
#include "api/routes.def"
#undef X
    ROUTE_COUNT
};

static const struct route_target targets[ROUTE_COUNT] = {
#define X(method, pattern, function) [ROUTE_##function] = { function },
#include "api/routes.def"
#undef X
};

static const struct http_route routes[ROUTE_COUNT] = {
#define X(method, pattern, function) [ROUTE_##function] = { method, pattern, &targets[ROUTE_##function] },
#include "api/routes.def"
#undef X
};

enum {
#define X(method, pattern, function) STATUS_ROUTE_##function,
#include "api/status_routes.def"
#undef X
    STATUS_ROUTE_COUNT
};

static const struct route_target status_targets[STATUS_ROUTE_COUNT] = {
#define X(method, pattern, function) [STATUS_ROUTE_##function] = { function },
#include "api/status_routes.def"
#undef X
};

static const struct http_route status_routes[STATUS_ROUTE_COUNT] = {
#define X(method, pattern, function)                                                                         \
    [STATUS_ROUTE_##function] = { method, pattern, &status_targets[STATUS_ROUTE_##function] },
#include "api/status_routes.def"
#undef X
};

void api_init(struct api *api, struct gateway *gateway, const struct control *control)
{
    *api = (struct api){ gateway, control, http_router_new(routes, ROUTE_COUNT),
                         http_router_new(status_routes, STATUS_ROUTE_COUNT) };
}

void api_done(struct api *api)
{
    http_router_free(api->router);
    http_router_free(api->status_router);
}

static result serve(const struct http_router *router, struct api_call *call)
{
    result r = http_route(router, call->request, &call->match);
    call->extra.allow = call->match.allow;
    TRY(r);
    const struct route_target *target = call->match.route->target;
    return target->serve(call);
}

size_t api_body_first(const struct http_request *request, void *context)
{
    return str_eq(request->path, STR("/oauth/token")) ? TOKEN_FORM_MAX : 0;
}

/* The answer's own reference is gone by now: this one is the last. */
static void forget_secret(struct api_call *call)
{
    if (call->secret == NULL)
        return;
    secret_wipe((char *)(uintptr_t)json_string_value(call->secret), json_string_length(call->secret));
    json_decref(call->secret);
}

static void serve_by(const struct api *api, const struct http_router *router, struct http_request *request)
{
    struct gateway *gateway = api->gateway;
    struct api_call call = { .request = request,
                             .gateway = gateway,
                             .control = api->control,
                             .snapshot = snapshot_hold(gateway->snapshot),
                             .extra = { .region = gateway->region } };
    result r = serve(router, &call);
    if (failed(r)) {
        http_problem(request, &r.error, &call.extra);
        api_trace_refusal(&call, r.error.code);
    }
    json_decref(call.members);
    forget_secret(&call);
    snapshot_drop(call.snapshot);
}

void api_serve(struct http_request *request, void *context)
{
    const struct api *api = context;
    serve_by(api, api->router, request);
}

void api_serve_status(struct http_request *request, void *context)
{
    const struct api *api = context;
    serve_by(api, api->status_router, request);
}
