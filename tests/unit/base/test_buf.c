#include "check.h"

#include "base/buf.h"

static void it_grows_up_to_its_cap_and_no_further(void **state)
{
    struct buf buf;
    buf_init(&buf, 1000);
    for (int i = 0; i < 100; i++)
        assert_true(buf_append(&buf, STR("0123456789")));
    assert_int_equal(buf.len, 1000);
    assert_false(buf_append(&buf, STR("x")));
    assert_false(buf_printf(&buf, "x"));
    assert_true(buf_append(&buf, (struct str){ 0 }));
    assert_true(buf_printf(&buf, "%s", ""));
    assert_int_equal(buf.len, 1000);
    buf_consume(&buf, 1);
    assert_true(buf_append(&buf, STR("!"))); /* it stays usable */
    assert_int_equal(buf.len, 1000);
    assert_int_equal(buf.ptr[0], '1');
    assert_int_equal(buf.ptr[999], '!');
    buf_done(&buf);
}

static void a_refused_append_changes_nothing(void **state)
{
    struct buf buf;
    buf_init(&buf, 8);
    assert_true(buf_append(&buf, STR("12345")));
    assert_false(buf_append(&buf, STR("6789")));
    assert_false(buf_printf(&buf, "%d", 6789));
    assert_true(str_is(buf_str(&buf), "12345"));
    assert_false(buf_reserve(&buf, SIZE_MAX));
    assert_false(buf_reserve(&buf, SIZE_MAX - 4));
    assert_true(str_is(buf_str(&buf), "12345"));
    buf_done(&buf);
}

static void printing_fills_it_to_the_last_byte(void **state)
{
    struct buf buf;
    buf_init(&buf, 300);
    assert_true(buf_printf(&buf, "%s", "")); /* before there is any memory */
    assert_int_equal(buf.len, 0);
    assert_true(buf_printf(&buf, "%0299d", 7));
    assert_true(buf_printf(&buf, "x"));
    assert_int_equal(buf.len, 300);
    assert_int_equal(buf.ptr[298], '7');
    assert_int_equal(buf.ptr[299], 'x');
    buf_done(&buf);
}

static void consuming_drops_from_the_front(void **state)
{
    struct buf buf;
    buf_init(&buf, 100);
    assert_true(buf_append(&buf, STR("headbody")));
    buf_consume(&buf, 0);
    buf_consume(&buf, 4);
    assert_true(str_is(buf_str(&buf), "body"));
    buf_consume(&buf, 4);
    assert_int_equal(buf.len, 0);
    assert_true(buf_append(&buf, STR("again")));
    assert_true(str_is(buf_str(&buf), "again"));
    buf_done(&buf);
}

static void clearing_keeps_the_memory_and_done_gives_it_back(void **state)
{
    struct buf buf;
    buf_init(&buf, 100);
    assert_true(buf_append(&buf, STR("x")));
    char *memory = buf.ptr;
    buf_clear(&buf);
    assert_int_equal(buf.len, 0);
    assert_true(buf_append(&buf, STR("y")));
    assert_ptr_equal(buf.ptr, memory);
    buf_done(&buf);
    assert_null(buf.ptr);
    assert_true(buf_append(&buf, STR("z"))); /* its cap is still there */
    assert_false(buf_reserve(&buf, 100));
    buf_done(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_grows_up_to_its_cap_and_no_further),
        cmocka_unit_test(a_refused_append_changes_nothing),
        cmocka_unit_test(printing_fills_it_to_the_last_byte),
        cmocka_unit_test(consuming_drops_from_the_front),
        cmocka_unit_test(clearing_keeps_the_memory_and_done_gives_it_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
