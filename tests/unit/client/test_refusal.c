/* What a gateway says when it refuses, as an error with its code. */
#include "check.h"

#include "client/gateway_session.h"

#include <string.h>

struct said {
    struct arena arena;
    struct gateway_refusal refusal;
};

static void has(const char *text, const char *part)
{
    if (text == NULL || strstr(text, part) == NULL)
        fail_msg("no \"%s\" in \"%s\"", part, text == NULL ? "" : text);
}

static result problem(struct said *at, long status, const char *body)
{
    at->refusal.said = NULL;
    return gateway_refused(&at->refusal, &at->arena, status, str_from(body));
}

static void problems_become_errors(void **state)
{
    struct said at = { 0 };
    arena_init(&at.arena);
    check_fails(
        E_WRONG_REGION,
        problem(&at, 421,
                "{\"type\":\"urn:domicile:error:wrong-region\",\"status\":421,\"detail\":\"lives elsewhere\","
                "\"home_region\":\"us\",\"home_endpoint\":\"https://us.example\"}"));
    assert_string_equal(at.refusal.said, "lives elsewhere");
    result r = problem(&at, 421,
                       "{\"type\":\"urn:domicile:error:wrong-region\",\"home_region\":\"us\","
                       "\"home_endpoint\":\"https://us.example\"}");
    has(r.error.hint, "https://us.example");
    has(r.error.hint, "--region us");
    check_fails(E_CLIENT, problem(&at, 401, "{\"error\":\"invalid_client\",\"error_description\":\"no\"}"));
    check_fails(E_ARGUMENT, problem(&at, 400, "{\"error\":\"invalid_scope\",\"error_description\":\"no\"}"));
    check_fails(E_UNAVAILABLE, problem(&at, 502, "<html>Bad Gateway</html>"));
    check_fails(E_FORBIDDEN, problem(&at, 403, "{\"type\":\"urn:domicile:error:of-the-future\"}"));
    check_fails(E_UNAVAILABLE, problem(&at, 418, "{\"type\":7,\"detail\":[]}"));
    check_fails(E_CONFLICT, problem(&at, 409, ""));
    gateway_refusal_done(&at.refusal);
    arena_done(&at.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(problems_become_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
