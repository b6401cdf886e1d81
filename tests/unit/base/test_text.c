#include "check.h"

#include "base/text.h"

#include <string.h>

static char text[128];

static void what_fits_is_as_it_was(void **state)
{
    char small[6];
    text_fit(text, sizeof text, "\"%s\" is %d", "a", 1);
    assert_string_equal(text, "\"a\" is 1");
    text_fit(small, sizeof small, "%s", "12345");
    assert_string_equal(small, "12345");
    text_fit(small, sizeof small, "%s", "");
    assert_string_equal(small, "");
}

static void a_path_keeps_its_begin_and_the_file_s_name(void **state)
{
    const char *folder =
        "/srv/a folder with spaces/of many/parts/and many more of them/one behind the other/of "
        "which each is there";
    text_fit(text, sizeof text, "cannot read \"%s/audit-signing.key\": %s", folder, "Permission denied");
    assert_string_equal(
        text, "cannot read \"/srv/a folder with spaces/of m...one behind the other/of which each is "
              "there/audit-signing.key\": Permission denied");
    assert_int_equal(strlen(text), sizeof text - 1);
    text_fit(text, 80, "%s/eu-fr.cfg:12: the region \"%s\" has no cell",
             "/srv/"
             "1234567890/1234567890/1234567890",
             "eu-fr");
    assert_string_equal(text,
                        "/srv/1234567890...67890/1234567890/eu-fr.cfg:12: the region \"eu-fr\" has no cell");
}

static void of_several_names_the_longest_give(void **state)
{
    text_fit(text, 100, "\"%s\" of the node \"%s\" is not \"%s\"",
             "/a/very/long/path/to/some/where/that/is/one.conf", "db-7",
             "/b/another/very/long/path/to/s/some/where/else.conf");
    assert_string_equal(text, "\"/a/very/lo...here/that/is/one.conf\" of the node \"db-7\" is not "
                              "\"/b/another.../some/where/else.conf\"");
}

static void a_long_file_s_name_comes_before_its_folders(void **state)
{
    text_shorten(text, 41, str_from("/srv/folder/folder/00000001000000000000002A.partial"));
    assert_string_equal(text, "/srv.../00000001000000000000002A.partial");
    text_shorten(text, 33, str_from("/srv/folder/folder/00000001000000000000002A.partial"));
    assert_string_equal(text, "/srv/fold...00000000002A.partial");
    text_shorten(text, 41, str_from("short"));
    assert_string_equal(text, "short");
}

/* A host's 253 bytes, beside words that are someone else's. */
static void words_are_left_out_at_the_end_before_names_are(void **state)
{
    char words[400] = "";
    for (size_t i = 0; i < sizeof words - 1; i++)
        words[i] = i % 5 == 4 ? ' ' : 'w';
    text_fit(text, sizeof text, "\"%s\" of \"%s\" failed: %s", "psql", "db-7.par1.example.org", words);
    assert_int_equal(strlen(text), sizeof text - 1);
    assert_memory_equal(text, "\"psql\" of \"db-7.par1.example.org\" failed: wwww", 46);
    assert_string_equal(text + sizeof text - 4, "...");
    text_fit(text, sizeof text, "\"%s%s\" failed: %s", "/srv/1234567890/1234567890/1234567890", "/x.cfg",
             words);
    assert_memory_equal(text, "\"/srv/1234...90/1234567890/x.cfg\" failed: wwww", 46);
}

static void no_character_is_cut_in_its_middle(void **state)
{
    char name[200] = "";
    for (size_t shift = 0; shift < 6; shift++)
        for (size_t size = 25; size < 100; size++) {
            memset(name, 'x', sizeof name);
            for (size_t i = 0; i < 45; i++)
                memcpy(name + shift + i * 4, i % 2 ? "\xf0\x9f\x92\xbe" : "\xc3\xbc\xc3\xa4", 4);
            name[shift + 180] = '\0';
            text_fit(text, size, "\"%s\"", name);
            assert_true(str_is_utf8(str_from(text)));
            assert_true(strlen(text) < size && strlen(text) + 12 > size);
            assert_non_null(strstr(text, "..."));
            text_fit(text, size, "a b c d e f g h i j k l m n o p q r s t u v w x y z 1 2 3 4 5 6 %s", name);
            assert_true(str_is_utf8(str_from(text)));
        }
}

/* Bytes that are no UTF-8 are bytes. */
static void any_bytes_do(void **state)
{
    char name[300];
    memset(name, 0x80, sizeof name - 1);
    name[sizeof name - 1] = '\0';
    for (size_t size = 1; size < sizeof text; size++) {
        text_fit(text, size, "%s \"%s", name, name);
        assert_true(strlen(text) < size);
    }
    text_shorten(text, 30, str_from(name));
    assert_int_equal(strlen(text), 29);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_is_as_it_was),
        cmocka_unit_test(a_path_keeps_its_begin_and_the_file_s_name),
        cmocka_unit_test(of_several_names_the_longest_give),
        cmocka_unit_test(a_long_file_s_name_comes_before_its_folders),
        cmocka_unit_test(words_are_left_out_at_the_end_before_names_are),
        cmocka_unit_test(no_character_is_cut_in_its_middle),
        cmocka_unit_test(any_bytes_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
