#include "check.h"

#include "seal/fields.h"

#include <string.h>

static void fields_stand_behind_their_lengths(void **state)
{
    struct fields fields;
    fields_begin(&fields, STR("ab"));
    fields_str(&fields, STR(""), 0);
    fields_u32(&fields, 0x01020304);
    fields_u64(&fields, UINT64_C(0x0102030405060708));
    assert_true(str_eq(fields_bytes(&fields), STR("\0\2ab\0\0\1\2\3\4\1\2\3\4\5\6\7\x08")));
    assert_false(fields.overflow);
}

static void p8_what_does_not_fit_is_an_overflow_and_no_shorter_field(void **state)
{
    struct fields fields;
    char text[FIELDS_MAX + 1];
    memset(text, 'a', sizeof text);
    fields_begin(&fields, STR("ab"));
    fields_str(&fields, (struct str){ text, FIELDS_MAX - 6 }, FIELDS_MAX); /* filled to the last byte */
    assert_false(fields.overflow);
    assert_int_equal(fields.len, FIELDS_MAX);
    fields_u32(&fields, 7);
    assert_true(fields.overflow);
    assert_int_equal(fields.len, FIELDS_MAX);
    fields_begin(&fields, STR("ab")); /* begins anew */
    assert_false(fields.overflow);
    fields_str(&fields, (struct str){ text, 64 }, 64);
    assert_false(fields.overflow);
    fields_str(&fields, (struct str){ text, 65 }, 64);
    assert_true(fields.overflow);
    fields_begin(&fields, STR("ab"));
    fields_str(&fields, (struct str){ text, FIELDS_MAX - 5 }, FIELDS_MAX);
    assert_true(fields.overflow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_stand_behind_their_lengths),
        cmocka_unit_test(p8_what_does_not_fit_is_an_overflow_and_no_shorter_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
