#include "check.h"

#include "base/str.h"

#include <stdio.h>

static void equality_is_of_bytes(void **state)
{
    struct str empty = { 0 };
    assert_true(str_eq(empty, STR("")));
    assert_true(str_eq(STR("a\0b"), STR("a\0b")));
    assert_false(str_eq(STR("a\0b"), STR("a\0c")));
    assert_false(str_eq(STR("ab"), STR("abc")));
    assert_true(str_is(str_from(NULL), ""));
    assert_true(str_eq_nocase(STR("Content-TYPE"), STR("content-type")));
    assert_false(str_eq_nocase(STR("[`"), STR("{@"))); /* the neighbours of the letters */
    assert_false(str_eq_nocase(STR("a"), STR("ab")));
    assert_true(str_starts(STR("prefix"), STR("pre")));
    assert_true(str_starts(empty, empty));
    assert_false(str_starts(STR("pr"), STR("pre")));
}

static bool is_letter(int c)
{
    return strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", c) != NULL && c != '\0';
}

static void case_is_of_the_26_letters_alone(void **state)
{
    for (int i = 0; i < 256; i++)
        for (int j = 0; j < 256; j++) {
            char a = (char)i, b = (char)j;
            bool same = i == j || (is_letter(i) && (i ^ j) == 0x20);
            if (str_eq_nocase((struct str){ &a, 1 }, (struct str){ &b, 1 }) != same)
                fail_msg("%02x and %02x", i, j);
        }
}

static void order_is_that_of_bytes_and_a_prefix_comes_first(void **state)
{
    const char *const sorted[] = { "", "A", "B", "a", "a\x01", "aa", "b", "\x7f", "\x80", "\xff" };
    for (int i = 0; i < (int)COUNT(sorted); i++)
        for (int j = 0; j < (int)COUNT(sorted); j++) {
            int order = str_compare(str_from(sorted[i]), str_from(sorted[j]));
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
}

static void trimming_takes_spaces_and_tabs_alone(void **state)
{
    assert_true(str_eq(str_trim(STR(" \t a b\t ")), STR("a b")));
    assert_true(str_eq(str_trim(STR("\na\r")), STR("\na\r")));
    assert_int_equal(str_trim(STR(" \t ")).len, 0);
    assert_int_equal(str_trim((struct str){ 0 }).len, 0);
}

static void cutting_gives_every_part_also_the_empty_ones(void **state)
{
    struct str rest = STR(",a,,b,"), part;
    const char *const parts[] = { "", "a", "", "b", "" };
    for (size_t i = 0; i < COUNT(parts); i++) {
        assert_true(str_cut(&rest, ',', &part));
        assert_true(str_is(part, parts[i]));
    }
    assert_false(str_cut(&rest, ',', &part));
    rest = STR("");
    assert_true(str_cut(&rest, ',', &part));
    assert_int_equal(part.len, 0);
    assert_false(str_cut(&rest, ',', &part));
    rest = (struct str){ 0 };
    assert_false(str_cut(&rest, ',', &part));
}

static void numbers_have_one_form_and_a_limit(void **state)
{
    uint64_t n = 7;
    const char *const bad[] = { "",
                                "-1",
                                "+1",
                                " 1",
                                "1 ",
                                "01",
                                "00",
                                "0x1",
                                "1.0",
                                "1e3",
                                "18446744073709551616",
                                "99999999999999999999",
                                "100000000000000000000",
                                "1\n" };
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(str_to_u64(str_from(bad[i]), UINT64_MAX, &n));
    assert_false(str_to_u64(STR("1\0"), UINT64_MAX, &n));
    assert_false(str_to_u64(STR("101"), 100, &n));
    assert_int_equal(n, 7); /* set on success alone */
    assert_true(str_to_u64(STR("18446744073709551615"), UINT64_MAX, &n));
    assert_true(n == UINT64_MAX);
    assert_true(str_to_u64(STR("100"), 100, &n));
    assert_int_equal(n, 100);
    assert_true(str_to_u64(STR("0"), 0, &n));
    assert_int_equal(n, 0);
}

static void identifiers_are_2_to_63_of_few_characters(void **state)
{
    const char *const bad[] = { "",    "a",  "-a", "A1",  "a_b", "a.b",    "a/b",
                                "a b", "é1", "a%", "a\n", "..",  "aa\x7f", "ab\xff" };
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(str_is_id(str_from(bad[i])));
    assert_false(str_is_id(STR("ab\0")));
    const char *const good[] = { "aa", "0a", "a-", "a--", "eu-fr", "00" };
    for (size_t i = 0; i < COUNT(good); i++)
        assert_true(str_is_id(str_from(good[i])));
    char longest[64];
    memset(longest, 'x', sizeof longest);
    assert_true(str_is_id((struct str){ longest, 63 }));
    assert_false(str_is_id((struct str){ longest, 64 }));
}

/* ---- UTF-8 ---- */

/* What RFC 3629 says, by another way than str_is_utf8: decode by the length that the first byte claims, then look
 * whether the code point may be written so. */
static bool is_code_point(const unsigned char *bytes, size_t len)
{
    static const uint32_t first[] = { 0, 0, 0x80, 0x800, 0x10000 };
    static const unsigned char marks[] = { 0, 0, 0xC0, 0xE0, 0xF0 };
    uint32_t point = len == 1 ? bytes[0] : (uint32_t)bytes[0] ^ marks[len];
    if (len == 1)
        return point < 0x80;
    if (point >= 1U << (7 - len))
        return false;
    for (size_t i = 1; i < len; i++) {
        if ((bytes[i] & 0xC0) != 0x80)
            return false;
        point = point << 6 | (bytes[i] & 0x3FU);
    }
    return point >= first[len] && point <= 0x10FFFF && (point < 0xD800 || point > 0xDFFF);
}

static bool is_utf8(const unsigned char *bytes, size_t len)
{
    if (len == 0)
        return true;
    for (size_t n = 1; n <= 4 && n <= len; n++)
        if (is_code_point(bytes, n))
            return is_utf8(bytes + n, len - n);
    return false;
}

static void every_sequence_of_up_to_three_bytes_is_judged_as_rfc_3629_says(void **state)
{
    unsigned char bytes[3];
    size_t accepted = 0;
    for (uint32_t n = 0; n < 1U << 24; n++) {
        bytes[0] = (unsigned char)(n >> 16);
        bytes[1] = (unsigned char)(n >> 8);
        bytes[2] = (unsigned char)n;
        bool is = str_is_utf8((struct str){ (const char *)bytes, 3 });
        if (is != is_utf8(bytes, 3))
            fail_msg("%02x %02x %02x", bytes[0], bytes[1], bytes[2]);
        accepted += is;
    }
    /* one of three bytes, one of two with one of one in either order, three of one */
    assert_int_equal(accepted, (65536 - 2048 - 2048) + 2 * 1920 * 128 + 128 * 128 * 128);
    for (uint32_t n = 0; n < 1U << 16; n++) {
        bytes[0] = (unsigned char)(n >> 8);
        bytes[1] = (unsigned char)n;
        assert_int_equal(str_is_utf8((struct str){ (const char *)bytes, 2 }), is_utf8(bytes, 2));
    }
}

static void four_bytes_reach_to_10ffff(void **state)
{
    for (uint32_t first = 0xF0; first <= 0xFF; first++)
        for (uint32_t second = 0x70; second <= 0xD0; second++) {
            unsigned char bytes[4] = { (unsigned char)first, (unsigned char)second, 0x80, 0xBF };
            assert_int_equal(str_is_utf8((struct str){ (const char *)bytes, 4 }), is_code_point(bytes, 4));
        }
    assert_true(str_is_utf8(STR("\xF4\x8F\xBF\xBF")));
    assert_false(str_is_utf8(STR("\xF4\x90\x80\x80")));
    assert_false(str_is_utf8(STR("\xF0\x9F\x98")));
    assert_true(str_is_utf8(STR("a\0\xC3\xA9")));
    assert_true(str_is_utf8((struct str){ 0 }));
}

/* ---- percent-encoding ---- */

static void every_byte_survives_percent_encoding(void **state)
{
    char all[256], text[3 * 256 + 1], back[256];
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    assert_true(str_percent_encode((struct str){ all, 256 }, text, sizeof text));
    assert_true(strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%") ==
                strlen(text));
    size_t len = 0;
    assert_true(str_percent_decode(str_from(text), back, sizeof back, &len));
    assert_int_equal(len, 256);
    assert_memory_equal(all, back, 256);
    assert_true(str_percent_encode(STR("a/\xC3\xA9~"), text, sizeof text));
    assert_string_equal(text, "a%2F%C3%A9~");
}

static void encoding_knows_the_room_it_has(void **state)
{
    char text[8];
    assert_true(str_percent_encode(STR("ab/"), text, 6));
    assert_string_equal(text, "ab%2F");
    assert_false(str_percent_encode(STR("ab/"), text, 5));
    assert_false(str_percent_encode(STR("ab"), text, 2));
    assert_true(str_percent_encode(STR(""), text, 1));
    assert_false(str_percent_encode(STR(""), text, 0));
}

static void a_broken_escape_or_a_full_buffer_is_refused(void **state)
{
    char buf[4];
    size_t len = 99;
    const char *const bad[] = { "%", "%4", "a%", "%zz", "%4g", "%%41", "%-1", "% 1", "%0x" };
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(str_percent_decode(str_from(bad[i]), buf, sizeof buf, &len));
    assert_false(str_percent_decode(STR("%4\0"), buf, sizeof buf, &len));
    for (size_t cut = 1; cut < 3; cut++) /* what stands behind the end is not read */
        assert_false(str_percent_decode((struct str){ "%41", cut }, buf, sizeof buf, &len));
    assert_false(str_percent_decode(STR("abcde"), buf, sizeof buf, &len));
    assert_int_equal(len, 99);
    assert_true(str_percent_decode(STR("%61b%63%44"), buf, sizeof buf, &len));
    assert_int_equal(len, 4);
    assert_memory_equal(buf, "abcD", 4);
    assert_true(str_percent_decode(STR("%2f%2F%00"), buf, sizeof buf, &len));
    assert_memory_equal(buf, "//\0", 3);
    assert_true(str_percent_decode(STR("%2541"), buf, sizeof buf, &len)); /* once, not twice */
    assert_memory_equal(buf, "%41", 3);
}

/* The vectors of the FNV reference; and a hash that is handed on is that of both strings together. */
static void the_hash_is_fnv_1a(void **state)
{
    assert_true(str_hash(STR_HASH_INIT, (struct str){ 0 }) == UINT64_C(0xcbf29ce484222325));
    assert_true(str_hash(STR_HASH_INIT, STR("a")) == UINT64_C(0xaf63dc4c8601ec8c));
    assert_true(str_hash(STR_HASH_INIT, STR("foobar")) == UINT64_C(0x85944171f73967e8));
    assert_true(str_hash(str_hash(STR_HASH_INIT, STR("foo")), STR("bar")) == UINT64_C(0x85944171f73967e8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality_is_of_bytes),
        cmocka_unit_test(case_is_of_the_26_letters_alone),
        cmocka_unit_test(order_is_that_of_bytes_and_a_prefix_comes_first),
        cmocka_unit_test(trimming_takes_spaces_and_tabs_alone),
        cmocka_unit_test(cutting_gives_every_part_also_the_empty_ones),
        cmocka_unit_test(numbers_have_one_form_and_a_limit),
        cmocka_unit_test(identifiers_are_2_to_63_of_few_characters),
        cmocka_unit_test(every_sequence_of_up_to_three_bytes_is_judged_as_rfc_3629_says),
        cmocka_unit_test(four_bytes_reach_to_10ffff),
        cmocka_unit_test(every_byte_survives_percent_encoding),
        cmocka_unit_test(encoding_knows_the_room_it_has),
        cmocka_unit_test(a_broken_escape_or_a_full_buffer_is_refused),
        cmocka_unit_test(the_hash_is_fnv_1a),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
