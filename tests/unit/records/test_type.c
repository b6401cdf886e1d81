#include "check.h"

#include "records/records.h"

static void a_sound_type_is_a_media_type_on_one_visible_line(void **state)
{
    static const char *const sound[] = { "a/b", "text/plain", "application/fhir+json; charset=utf-8",
                                         "x/y;a/b" };
    static const char *const not_sound[] = { "",       "text",  "a/",      "/b",          ";a/b",
                                             "  ;a/b", "a/b\n", "a/\177b", "te/\xc3\xa9", "a/b\r\nX-Y: z" };
    for (size_t i = 0; i < COUNT(sound); i++)
        assert_true(record_type_is_sound(str_from(sound[i])));
    for (size_t i = 0; i < COUNT(not_sound); i++)
        assert_false(record_type_is_sound(str_from(not_sound[i])));
    char longest[RECORDS_TYPE_MAX + 1];
    memset(longest, 'x', sizeof longest);
    longest[1] = '/';
    assert_true(record_type_is_sound((struct str){ longest, RECORDS_TYPE_MAX }));
    assert_false(record_type_is_sound((struct str){ longest, RECORDS_TYPE_MAX + 1 }));
    assert_false(record_type_is_sound(STR("a/b\0c")));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_sound_type_is_a_media_type_on_one_visible_line) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
