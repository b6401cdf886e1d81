/* Paths and queries: whatever is accepted is what it claims to be. */
#include "http/route.h"

#include <string.h>

static const struct http_route routes[] = {
    { METHOD_GET, "/", NULL },
    { METHOD_GET, "/v1/customers/{id}", NULL },
    { METHOD_POST, "/v1/customers/{id}/records/{class}", NULL },
    { METHOD_PUT, "/v1/customers/{id}/records/{class}/{key}", NULL },
};

static void check_match(const struct http_match *match)
{
    for (size_t i = 0; i < match->count; i++) {
        struct str value = match->parameters[i].value;
        if (strcmp(match->parameters[i].name, "key") == 0)
            must(value.len >= 1 && value.len <= HTTP_KEY_MAX && str_is_utf8(value) &&
                 memchr(value.ptr, '\0', value.len) == NULL && !str_is(value, ".."));
        else
            must(str_is_id(value));
        must(value.ptr[value.len] == '\0');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static struct http_router *router;
    if (router == NULL)
        router = http_router_new(routes, COUNT(routes));
    if (length < 2 || length > 4096)
        return 0;
    struct http_request request = { .method = bytes[0] % (METHOD_OTHER + 1) };
    struct http_match match = { 0 };
    struct str path = { (const char *)bytes + 1, length - 1 }, value;
    if (path.ptr[0] != '/')
        return 0;
    const char *question = memchr(path.ptr, '?', path.len);
    if (question != NULL) {
        request.query = (struct str){ question + 1, path.len - (size_t)(question - path.ptr) - 1 };
        path.len -= request.query.len + 1;
    }
    request.path = path;
    arena_init(&request.arena);
    if (!failed(http_route(router, &request, &match)))
        check_match(&match);
    if (!failed(http_query(&request, "after", &value)))
        must(str_is_utf8(value));
    arena_done(&request.arena);
    return 0;
}
