/* How much of its stack a fiber uses: what FIBER_STACK_BYTES is for (docs/decisions/001-fibers.md has the figures). */
#include "loop/on_loop.h"

#include "base/json.h"

#include <stdlib.h>
#include <string.h>

/* ASan's and TSan's frames are larger, and their stacks too. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define expect_within(used, most) ((void)(used))
#else
#define expect_within(used, most) assert_true((used) < (most))
#endif

static void touch(size_t bytes)
{
    volatile char frame[4096];
    memset((void *)frame, 1, sizeof frame);
    if (bytes > sizeof frame)
        touch(bytes - sizeof frame);
    frame[0] = frame[1];
}

/* A frame of which only the far ends are touched, as a buffer leaves it that is hardly filled. */
static void step_over(size_t bytes)
{
    volatile char frame[32 * 1024];
    frame[sizeof frame - 1] = 1;
    touch(bytes);
    frame[sizeof frame - 1] = 2;
}

static void measure(void *arg)
{
    size_t before = fiber_stack_used();
    assert_true(before > 0 && before <= (size_t)16 * 1024);
    touch((size_t)40 * 1024);
    size_t after = fiber_stack_used();
    assert_true(after >= (size_t)40 * 1024);
    expect_within(after, (size_t)60 * 1024);
}

static void what_was_touched_is_counted(void **state)
{
    on_loop(measure, NULL);
}

static void measure_holes(void *arg)
{
    step_over((size_t)40 * 1024);
    size_t used = fiber_stack_used();
    assert_true(used >= (size_t)72 * 1024);
    expect_within(used, (size_t)92 * 1024);
}

static void what_was_stepped_over_is_counted(void **state)
{
    on_loop(measure_holes, NULL);
}

static void parse_deep(void *arg)
{
    static const struct {
        const char *open, *inside, *close;
    } shapes[] = { { "[", "1", "]" }, { "{\"a\":", "\"b\"", "}" } };
    for (size_t i = 0; i < COUNT(shapes); i++) {
        char text[JSON_DEPTH_MAX * 8] = "";
        for (int depth = 0; depth < JSON_DEPTH_MAX; depth++)
            strcat(text, shapes[i].open);
        strcat(text, shapes[i].inside);
        for (int depth = 0; depth < JSON_DEPTH_MAX; depth++)
            strcat(text, shapes[i].close);
        json_t *value = NULL;
        check_ok(json_parse(str_from(text), JSON_DEPTH_MAX, &value));
        char *again = json_dumps(value, JSON_COMPACT);
        assert_true(again != NULL && strcmp(again, text) == 0);
        free(again);
        json_decref(value);
    }
    size_t used = fiber_stack_used();
    print_message("JSON of depth %d: %zu KiB of stack\n", JSON_DEPTH_MAX, used / 1024);
    expect_within(used, FIBER_STACK_BYTES / 2);
}

static void the_deepest_json_leaves_half_of_the_stack(void **state)
{
    on_loop(parse_deep, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_touched_is_counted),
        cmocka_unit_test(what_was_stepped_over_is_counted),
        cmocka_unit_test(the_deepest_json_leaves_half_of_the_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
