#pragma once
/* Routes: a table of method and path pattern. A pattern is segments, each a literal or one {parameter}:
 * "/v1/customers/{id}/records/{class}/{key}". The path is split first and decoded after. A parameter named "key" is a
 * record key: 1 to 512 bytes of UTF-8 without NUL, in which an encoded slash may stand, but no "." or ".." between
 * slashes (E_KEY). Every other parameter is an identifier as str_is_id says (E_ID).
 * The first route of the table that fits wins; literals and parameters at one place do not mix well: say the literal
 * one first. HEAD is served by GET's route where it has none of its own. */
#include "http/request.h"

enum { HTTP_PARAMETERS_MAX = 4, HTTP_KEY_MAX = 512 };

struct http_route {
    enum http_method method;
    const char *pattern;
    const void *target; /* the table owner's: what handles it */
};

struct http_match {
    const struct http_route *route;
    size_t count;
    struct {
        const char *name; /* without braces; NUL-terminated */
        struct str value; /* decoded, with a NUL behind it */
    } parameters[HTTP_PARAMETERS_MAX];
    const char *allow; /* set when the failure is E_METHOD: "GET, HEAD, PUT" */
};
struct str http_parameter(const struct http_match *match, const char *name); /* ptr is NULL without it */

struct http_router;

/* Checks the table (a bad one is a bug and aborts), and keeps pointing into it. */
struct http_router *http_router_new(const struct http_route *routes, size_t count);
void http_router_free(struct http_router *router); /* takes NULL */

/* Finds the route of the request; memory is the request's arena's.
 * E_TARGET: empty, "." or ".." segments, a broken escape; E_KEY, E_ID; E_ROUTE 404; E_METHOD 405 (ret->allow is set). */
result http_route(const struct http_router *router, struct http_request *request, struct http_match *ret)
    MUST_USE;

/* Whether this may be a record's key, wherever it came from. E_KEY. */
result http_check_key(struct str key) MUST_USE;
