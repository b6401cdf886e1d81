#include "http/route.h"

#include <stdlib.h>

enum { SEGMENTS_MAX = 12 };

struct segment {
    struct str literal; /* ptr is NULL: a parameter */
    const char *name;   /* of the parameter; owned */
};

struct compiled {
    const struct http_route *route;
    struct segment segments[SEGMENTS_MAX];
    size_t count;
};

struct http_router {
    size_t count;
    struct compiled routes[];
};

struct str http_parameter(const struct http_match *match, const char *name)
{
    for (size_t i = 0; i < match->count; i++)
        if (strcmp(match->parameters[i].name, name) == 0)
            return match->parameters[i].value;
    return (struct str){ 0 };
}

/* ---- the table ---- */

static void compile(struct compiled *compiled, const struct http_route *route)
{
    struct str rest = str_from(route->pattern), part;
    size_t parameters = 0;
    must(rest.len > 0 && rest.ptr[0] == '/');
    rest.ptr++;
    rest.len--;
    compiled->route = route;
    while (str_cut(&rest, '/', &part)) {
        must(compiled->count < SEGMENTS_MAX);
        struct segment *segment = &compiled->segments[compiled->count++];
        if (part.len > 0 && part.ptr[0] == '{') {
            must(part.len > 2 && part.ptr[part.len - 1] == '}' && ++parameters <= HTTP_PARAMETERS_MAX);
            segment->name = strndup(part.ptr + 1, part.len - 2);
            must(segment->name != NULL);
        } else {
            must(part.len > 0 || compiled->count == 1); /* only "/" itself has an empty one */
            segment->literal = part;
        }
    }
}

static bool same_place(const struct segment *a, const struct segment *b)
{
    if (a->literal.ptr == NULL || b->literal.ptr == NULL)
        return a->literal.ptr == b->literal.ptr;
    return str_eq(a->literal, b->literal);
}

static bool same_shape(const struct compiled *a, const struct compiled *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!same_place(&a->segments[i], &b->segments[i]))
            return false;
    return true;
}

struct http_router *http_router_new(const struct http_route *routes, size_t count)
{
    struct http_router *router = calloc(1, sizeof *router + count * sizeof router->routes[0]);
    must(router != NULL);
    router->count = count;
    for (size_t i = 0; i < count; i++) {
        must(routes[i].method < METHOD_COUNT);
        compile(&router->routes[i], &routes[i]);
        for (size_t k = 0; k < i; k++)
            must(routes[k].method != routes[i].method || !same_shape(&router->routes[k], &router->routes[i]));
    }
    return router;
}

void http_router_free(struct http_router *router)
{
    if (router == NULL)
        return;
    for (size_t i = 0; i < router->count; i++)
        for (size_t k = 0; k < router->routes[i].count; k++)
            free((char *)(uintptr_t)router->routes[i].segments[k].name);
    free(router);
}

/* ---- a request's path ---- */

static bool is_dots(struct str s)
{
    return str_eq(s, STR(".")) || str_eq(s, STR(".."));
}

static result split(struct str path, struct str *segments, size_t *ret_count)
{
    struct str rest = { path.ptr + 1, path.len - 1 }, part;
    size_t count = 0;
    while (str_cut(&rest, '/', &part)) {
        if (count == SEGMENTS_MAX)
            return FAIL(E_ROUTE, "See the API description for the list of paths.",
                        "there is no resource at this path");
        if ((part.len == 0 && path.len > 1) || is_dots(part))
            return FAIL(E_TARGET, "Send the path without such segments.",
                        "the path has an empty, \".\" or \"..\" segment");
        segments[count++] = part;
    }
    *ret_count = count;
    return OK;
}

static bool fits(const struct compiled *compiled, const struct str *segments, size_t count)
{
    if (compiled->count != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (compiled->segments[i].literal.ptr != NULL && !str_eq(compiled->segments[i].literal, segments[i]))
            return false;
    return true;
}

static const char key_hint[] = "Send 1 to 512 bytes of UTF-8 without NUL.";

result http_check_key(struct str key)
{
    struct str rest = key, part;
    if (key.ptr == NULL || key.len == 0 || key.len > HTTP_KEY_MAX)
        return FAIL(E_KEY, key_hint, "the record key has %zu bytes", key.len);
    if (!str_is_utf8(key) || memchr(key.ptr, '\0', key.len) != NULL)
        return FAIL(E_KEY, key_hint, "the record key is not UTF-8, or has a NUL");
    while (str_cut(&rest, '/', &part))
        if (is_dots(part))
            return FAIL(E_KEY, "Leave out \".\" and \"..\".",
                        "the record key has a \".\" or \"..\" between slashes");
    return OK;
}

static result decode_key(struct arena *arena, struct str raw, struct str *ret)
{
    size_t length = 0;
    if (raw.len > 3 * (size_t)HTTP_KEY_MAX)
        return FAIL(E_KEY, key_hint, "the record key is longer than %d bytes", HTTP_KEY_MAX);
    char *decoded = arena_alloc(arena, raw.len + 1);
    if (!str_percent_decode(raw, decoded, raw.len + 1, &length))
        return FAIL(E_KEY, "Percent-encode the key as in RFC 3986.",
                    "the record key has a malformed percent escape");
    struct str key = { decoded, length };
    TRY(http_check_key(key));
    decoded[length] = '\0';
    *ret = key;
    return OK;
}

/* An identifier needs no escapes, so that none of its bytes can hide in one. */
static result decode_id(struct arena *arena, const char *name, struct str raw, struct str *ret)
{
    if (!str_is_id(raw))
        return FAIL(E_ID, "Use 2 to 63 of a-z, 0-9 and '-', and not '-' first.",
                    "the \"%s\" is not an identifier", name);
    *ret = arena_str(arena, raw);
    return OK;
}

static result decode(const struct compiled *compiled, const struct str *segments, struct arena *arena,
                     struct http_match *ret)
{
    struct http_match match = { .route = compiled->route };
    for (size_t i = 0; i < compiled->count; i++) {
        const char *name = compiled->segments[i].name;
        if (name == NULL)
            continue;
        struct str value;
        if (strcmp(name, "key") == 0)
            TRY(decode_key(arena, segments[i], &value));
        else
            TRY(decode_id(arena, name, segments[i], &value));
        match.parameters[match.count].name = name;
        match.parameters[match.count++].value = value;
    }
    *ret = match;
    return OK;
}

static bool serves(enum http_method route, enum http_method request)
{
    return route == request || (route == METHOD_GET && request == METHOD_HEAD);
}

/* "GET, HEAD, PUT": what the routes of this path serve. */
static char *allowed(const struct http_router *router, const struct str *segments, size_t count,
                     struct arena *arena)
{
    char *list = arena_alloc(arena, 128);
    size_t length = 0;
    for (int method = 0; method < METHOD_COUNT; method++) {
        bool is_served = false;
        for (size_t i = 0; i < router->count && !is_served; i++)
            is_served = fits(&router->routes[i], segments, count) &&
                        serves(router->routes[i].route->method, (enum http_method)method);
        if (!is_served)
            continue;
        struct str name = str_from(http_method_name((enum http_method)method));
        memcpy(list + length, ", ", 2);
        length += length > 0 ? 2 : 0;
        memcpy(list + length, name.ptr, name.len);
        length += name.len;
    }
    list[length] = '\0';
    return list;
}

result http_route(const struct http_router *router, struct http_request *request, struct http_match *ret)
{
    struct str segments[SEGMENTS_MAX];
    size_t count = 0;
    bool other_method = false;
    const struct compiled *by_get = NULL;
    TRY(split(request->path, segments, &count));
    for (size_t i = 0; i < router->count; i++) {
        const struct compiled *compiled = &router->routes[i];
        if (!fits(compiled, segments, count))
            continue;
        other_method = true;
        if (compiled->route->method == request->method)
            return decode(compiled, segments, &request->arena, ret);
        if (by_get == NULL && serves(compiled->route->method, request->method))
            by_get = compiled;
    }
    if (by_get != NULL)
        return decode(by_get, segments, &request->arena, ret);
    if (!other_method)
        return FAIL(E_ROUTE, "See the API description for the list of paths.",
                    "there is no resource at this path");
    *ret = (struct http_match){ .allow = allowed(router, segments, count, &request->arena) };
    return FAIL(E_METHOD, "Use one of the methods in the Allow header.", "this path does not support %s",
                http_method_name(request->method));
}
