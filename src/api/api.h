#pragma once
/* The API of a gateway: each resource is a file of this folder; routes.def is the table, and status_routes.def the
 * one of what operators ask. */
#include "control/control.h"
#include "gateway/gateway.h"
#include "http/route.h"

struct api {
    struct gateway *gateway;
    const struct control *control;
    struct http_router *router, *status_router;
};

/* All of it outlives the api. */
void api_init(struct api *api, struct gateway *gateway, const struct control *control);
void api_done(struct api *api);

/* Serves one request: http_server_options.on_request, with the api as context. */
void api_serve(struct http_request *request, void *api);
void api_serve_status(struct http_request *request, void *api); /* likewise, at a status address */
/* http_server_options.body_first: a request for a token comes from anybody, and is in its body. */
size_t api_body_first(const struct http_request *request, void *api);
