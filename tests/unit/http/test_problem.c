/* What a client is told of an error. */
#include "check.h"

#include "http/problem.h"

#include <jansson.h>
#include <string.h>

static struct arena arena;

static int set_up(void **state)
{
    arena_init(&arena);
    return 0;
}

static int tear_down(void **state)
{
    arena_done(&arena);
    return 0;
}

static void check_detail(struct error error, const char *detail)
{
    json_t *problem = http_problem_json(&arena, &error);
    assert_string_equal(json_string_value(json_object_get(problem, "detail")), detail);
    assert_int_equal(json_integer_value(json_object_get(problem, "status")), error_http_status(error.code));
    json_decref(problem);
}

static void a_client_reads_what_happened_and_what_to_do(void **state)
{
    check_detail((struct error){ .code = E_ID, .what = "no \"x\"", .hint = "Look." }, "no \"x\". Look.");
    check_detail((struct error){ .code = E_ID, .what = "no \"x\"" }, "no \"x\"");
    check_detail((struct error){ .code = E_ID, .what = "no \"\xc3\xa9\"" }, "no \"\xc3\xa9\"");
}

static void p8_bytes_that_are_no_text_are_question_marks(void **state)
{
    check_detail((struct error){ .code = E_ID, .what = "no \"\x7f\x80\xff z\"" }, "no \"\x7f?? z\"");
    check_detail((struct error){ .code = E_ID, .what = "cut in an \xc3" }, "cut in an ?");
}

static void p2_what_is_inside_stays_inside(void **state)
{
    check_detail((struct error){ .code = E_SQL, .what = "at 127.0.0.1", .hint = "Look." },
                 error_title(E_SQL));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_client_reads_what_happened_and_what_to_do),
        TEST(p8_bytes_that_are_no_text_are_question_marks),
        TEST(p2_what_is_inside_stays_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
