#include "check.h"

#include "base/json.h"

static void duplicates_depth_and_garbage_are_refused(void **state)
{
    const char *const bad[] = { "",         "{",          "{\"a\":1,\"a\":2}",
                                "[1,]",     "nul",        "{\"a\":1} x",
                                "\"\xff\"", "{\"a\" 1}",  "[[[[[1]]]]]",
                                "01",       "\"\\ud800\"" };
    for (size_t i = 0; i < COUNT(bad); i++) {
        json_t *value = NULL;
        check_fails(E_JSON, json_parse(str_from(bad[i]), 4, &value));
        assert_null(value);
    }
    json_t *value = NULL;
    check_ok(json_parse(STR("[[[[1]]]]"), 4, &value));
    json_decref(value);
    check_ok(json_parse(STR("\"[[[[[[[ \\\" [[[\""), 4, &value));
    json_decref(value);
}

static void a_million_brackets_do_not_reach_the_parser(void **state)
{
    enum { MANY = 1 << 20 };
    char *deep = test_malloc(MANY);
    memset(deep, '[', MANY);
    json_t *value = NULL;
    check_fails(E_JSON, json_parse((struct str){ deep, MANY }, JSON_DEPTH_MAX, &value));
    test_free(deep);
}

static void a_members_bytes_are_those_that_were_sent(void **state)
{
    struct str text = STR(" {\"key\" : \"a,}\\\"b\", \"value\": {\"n\": 1.50, \"l\":[1, {\"x\":\"]\"}]}  , "
                          "\"z\":10000000000000000000000 } ");
    assert_true(str_is(json_member_raw(text, "key"), "\"a,}\\\"b\""));
    assert_true(str_is(json_member_raw(text, "value"), "{\"n\": 1.50, \"l\":[1, {\"x\":\"]\"}]}"));
    assert_true(str_is(json_member_raw(text, "z"), "10000000000000000000000"));
    assert_null(json_member_raw(text, "n").ptr);
    assert_null(json_member_raw(STR("[1]"), "n").ptr);
    assert_null(json_member_raw(STR("{}"), "n").ptr);
    for (size_t len = 0; len <= text.len; len++)
        (void)json_member_raw((struct str){ text.ptr, len }, "nowhere");
}

static void members_are_strings_and_known(void **state)
{
    json_t *value = NULL;
    const char *const names[] = { "id", "n", NULL };
    check_ok(json_parse(STR("{\"id\":\"x\",\"n\":1}"), 4, &value));
    assert_true(str_is(json_member_str(value, "id"), "x"));
    assert_null(json_member_str(value, "n").ptr);
    assert_null(json_member_str(value, "other").ptr);
    check_ok(json_only_members(value, names));
    json_object_set_new(value, "other", json_null());
    check_fails(E_JSON, json_only_members(value, names));
    json_decref(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(duplicates_depth_and_garbage_are_refused),
        cmocka_unit_test(a_million_brackets_do_not_reach_the_parser),
        cmocka_unit_test(a_members_bytes_are_those_that_were_sent),
        cmocka_unit_test(members_are_strings_and_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
