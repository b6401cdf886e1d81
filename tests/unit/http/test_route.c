/* The router: which route, which parameters, which refusal. */
#include "check.h"

#include "http/route.h"

#include <string.h>

static const struct http_route routes[] = {
    { METHOD_GET, "/", "root" },
    { METHOD_GET, "/healthz", "healthz" },
    { METHOD_POST, "/oauth/token", "token" },
    { METHOD_POST, "/v1/customers", "create" },
    { METHOD_GET, "/v1/customers/{id}", "customer" },
    { METHOD_GET, "/v1/customers/{id}/records/{class}", "list" },
    { METHOD_POST, "/v1/customers/{id}/records/{class}", "bulk" },
    { METHOD_PUT, "/v1/customers/{id}/records/{class}/{key}", "put" },
    { METHOD_GET, "/v1/customers/{id}/records/{class}/{key}", "get" },
    { METHOD_DELETE, "/v1/customers/{id}/records/{class}/{key}", "delete" },
};

#define RECORDS "/v1/customers/ab/records/health/"
#define X64 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X512 X64 X64 X64 X64 X64 X64 X64 X64

static const struct {
    enum http_method method;
    const char *path;
    enum error_code code;
    const char *target; /* of the route; for E_METHOD the Allow list */
    const char *key;
} cases[] = {
    { METHOD_GET, "/", E_OK, "root", NULL },
    { METHOD_HEAD, "/healthz", E_OK, "healthz", NULL },
    { METHOD_GET, "/v1/customers/clinique-lumiere", E_OK, "customer", NULL },
    { METHOD_GET, RECORDS "k", E_OK, "get", "k" },
    { METHOD_HEAD, RECORDS "k", E_OK, "get", "k" },
    { METHOD_PUT, RECORDS "a%2Fb", E_OK, "put", "a/b" },
    { METHOD_PUT, RECORDS "a%2fb%20c%25", E_OK, "put", "a/b c%" },
    { METHOD_PUT, RECORDS "%C3%A9", E_OK, "put", "\xc3\xa9" },
    { METHOD_PUT, RECORDS "a%2F%2Fb", E_OK, "put", "a//b" },
    { METHOD_PUT, RECORDS "...", E_OK, "put", "..." },
    { METHOD_PUT, RECORDS X512, E_OK, "put", X512 },
    /* keys */
    { METHOD_PUT, RECORDS X512 "x", E_KEY, NULL, NULL },
    { METHOD_PUT, RECORDS "%00", E_KEY, NULL, NULL },
    { METHOD_PUT, RECORDS "a%00b", E_KEY, NULL, NULL },
    { METHOD_PUT, RECORDS "%", E_KEY, NULL, NULL },
    { METHOD_PUT, RECORDS "%4", E_KEY, NULL, NULL },
    { METHOD_PUT, RECORDS "%g1", E_KEY, NULL, NULL },
    { METHOD_PUT, RECORDS "%ff", E_KEY, NULL, NULL },
    { METHOD_PUT, RECORDS "%C0%AF", E_KEY, NULL, NULL },
    { METHOD_PUT, RECORDS "%ED%A0%80", E_KEY, NULL, NULL },
    { METHOD_PUT, RECORDS "%2e%2e", E_KEY, NULL, NULL },
    { METHOD_PUT, RECORDS "%2E", E_KEY, NULL, NULL },
    { METHOD_PUT, RECORDS "a%2F..%2Fb", E_KEY, NULL, NULL },
    { METHOD_PUT, RECORDS "..%2Fb", E_KEY, NULL, NULL },
    /* identifiers */
    { METHOD_GET, "/v1/customers/A", E_ID, NULL, NULL },
    { METHOD_GET, "/v1/customers/-a", E_ID, NULL, NULL },
    { METHOD_GET, "/v1/customers/a%62", E_ID, NULL, NULL },
    { METHOD_GET, "/v1/customers/a%2Fb", E_ID, NULL, NULL },
    { METHOD_GET, "/v1/customers/%2e%2e", E_ID, NULL, NULL },
    { METHOD_GET, "/v1/customers/ab/records/Health/k", E_ID, NULL, NULL },
    { METHOD_GET, "/v1/customers/" X64, E_ID, NULL, NULL },
    /* paths */
    { METHOD_GET, "//", E_TARGET, NULL, NULL },
    { METHOD_GET, "/healthz/", E_TARGET, NULL, NULL },
    { METHOD_GET, "//healthz", E_TARGET, NULL, NULL },
    { METHOD_GET, "/./healthz", E_TARGET, NULL, NULL },
    { METHOD_GET, "/v1/../healthz", E_TARGET, NULL, NULL },
    { METHOD_GET, RECORDS "..", E_TARGET, NULL, NULL },
    { METHOD_GET, RECORDS, E_TARGET, NULL, NULL },
    { METHOD_GET, "/%68ealthz", E_ROUTE, NULL, NULL },
    { METHOD_GET, "/Healthz", E_ROUTE, NULL, NULL },
    { METHOD_GET, "/v1", E_ROUTE, NULL, NULL },
    { METHOD_GET, RECORDS "a/b", E_ROUTE, NULL, NULL },
    { METHOD_GET, "/a/b/c/d/e/f/g/h/i/j/k/l/m/n", E_ROUTE, NULL, NULL },
    /* methods */
    { METHOD_PUT, "/healthz", E_METHOD, "GET, HEAD", NULL },
    { METHOD_OTHER, "/oauth/token", E_METHOD, "POST", NULL },
    { METHOD_POST, RECORDS "k", E_METHOD, "GET, HEAD, PUT, DELETE", NULL },
    { METHOD_OPTIONS, "/v1/customers/ab/records/health", E_METHOD, "GET, HEAD, POST", NULL },
    { METHOD_OTHER, "/nothing", E_ROUTE, NULL, NULL },
};

static void paths_find_their_route_or_their_refusal(void **state)
{
    struct http_router *router = http_router_new(routes, COUNT(routes));
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http_request request = { .method = cases[i].method, .path = str_from(cases[i].path) };
        struct http_match match = { 0 };
        arena_init(&request.arena);
        result r = http_route(router, &request, &match);
        if (r.error.code != cases[i].code)
            fail_msg("\"%s\" gave %s (%s)", cases[i].path, error_name(r.error.code), r.error.what);
        if (r.error.code == E_METHOD)
            assert_string_equal(match.allow, cases[i].target);
        if (!failed(r)) {
            assert_string_equal(match.route->target, cases[i].target);
            assert_true(str_eq(http_parameter(&match, "key"), str_from(cases[i].key)));
        }
        arena_done(&request.arena);
    }
    http_router_free(router);
}

static void parameters_are_handed_over_by_name(void **state)
{
    struct http_router *router = http_router_new(routes, COUNT(routes));
    struct http_request request = { .method = METHOD_GET,
                                    .path = STR("/v1/customers/c-1/records/health/k%20") };
    struct http_match match;
    arena_init(&request.arena);
    check_ok(http_route(router, &request, &match));
    assert_int_equal(match.count, 3);
    assert_true(str_is(http_parameter(&match, "id"), "c-1"));
    assert_true(str_is(http_parameter(&match, "class"), "health"));
    assert_true(str_is(http_parameter(&match, "key"), "k "));
    assert_null(http_parameter(&match, "other").ptr);
    arena_done(&request.arena);
    http_router_free(router);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_find_their_route_or_their_refusal),
        cmocka_unit_test(parameters_are_handed_over_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
