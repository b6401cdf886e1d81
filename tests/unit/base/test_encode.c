#include "check.h"

#include "base/encode.h"

static struct arena arena;

static int open_arena(void **state)
{
    arena_init(&arena);
    return 0;
}

static int close_arena(void **state)
{
    arena_done(&arena);
    return 0;
}

/* RFC 4648 section 10. */
static void the_published_vectors(void **state)
{
    static const struct {
        const char *plain, *base64, *base64url, *hex;
    } vectors[] = {
        { "", "", "", "" },
        { "f", "Zg==", "Zg", "66" },
        { "fo", "Zm8=", "Zm8", "666f" },
        { "foo", "Zm9v", "Zm9v", "666f6f" },
        { "foob", "Zm9vYg==", "Zm9vYg", "666f6f62" },
        { "fooba", "Zm9vYmE=", "Zm9vYmE", "666f6f6261" },
        { "foobar", "Zm9vYmFy", "Zm9vYmFy", "666f6f626172" },
        { "\xfb\xff\xfe", "+//+", "-__-", "fbfffe" },
    };
    for (size_t i = 0; i < COUNT(vectors); i++) {
        struct str plain = str_from(vectors[i].plain);
        assert_string_equal(encode_hex(&arena, plain), vectors[i].hex);
        assert_true(str_is(encode_base64(&arena, plain), vectors[i].base64));
        assert_true(str_is(encode_base64url(&arena, plain), vectors[i].base64url));
    }
}

static void every_length_and_byte_comes_back(void **state)
{
    char bytes[257], back[257];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 151 + 7);
    for (size_t n = 0; n <= sizeof bytes; n++) {
        struct str plain = { bytes, n };
        size_t len = 0;
        assert_true(decode_base64(encode_base64(&arena, plain), back, n, &len));
        assert_int_equal(len, n);
        assert_memory_equal(bytes, back, n);
        memset(back, 0, sizeof back);
        assert_true(decode_base64url(encode_base64url(&arena, plain), back, n, &len));
        assert_int_equal(len, n);
        assert_memory_equal(bytes, back, n);
        memset(back, 0, sizeof back);
        assert_true(decode_hex(str_from(encode_hex(&arena, plain)), back, n, &len));
        assert_int_equal(len, n);
        assert_memory_equal(bytes, back, n);
    }
}

static void only_the_one_form_of_base64_is_taken(void **state)
{
    char buf[16];
    size_t len = 99;
    const char *const bad[] = { "Zg",   "Zg=",  "Z===",  "====",  "=",      "Zg==Zg==",
                                "Z=g=", "Zh==", "Zm9=",  "Zm9v=", "Zm 9",   "Zm9\n",
                                "Zm9-", "Zm9_", "Zg===", "ZgA",   "\x80m9v" };
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(decode_base64(str_from(bad[i]), buf, sizeof buf, &len));
    assert_false(decode_base64(STR("Zm9\0"), buf, sizeof buf, &len));
    const char *const bad_url[] = { "Z", "Zg==", "Zh", "Zm9", "Zm9v+", "Zm/v", "Zm8=", "Zm9vY", "Z g" };
    for (size_t i = 0; i < COUNT(bad_url); i++)
        assert_false(decode_base64url(str_from(bad_url[i]), buf, sizeof buf, &len));
    assert_int_equal(len, 99);
}

/* Of all texts of two, three and four letters, exactly as many decode as there are values of one, two and three bytes. */
static void each_value_has_one_text(void **state)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/";
    enum { LETTERS = sizeof letters - 1 };
    size_t ones = 0, twos = 0, len;
    char text[3], buf[2];
    for (int a = 0; a < LETTERS; a++)
        for (int b = 0; b < LETTERS; b++) {
            text[0] = letters[a];
            text[1] = letters[b];
            ones += decode_base64url((struct str){ text, 2 }, buf, sizeof buf, &len);
            for (int c = 0; c < LETTERS; c++) {
                text[2] = letters[c];
                twos += decode_base64url((struct str){ text, 3 }, buf, sizeof buf, &len);
            }
        }
    assert_int_equal(ones, 256);
    assert_int_equal(twos, 65536);
}

static void hex_is_whole_bytes_of_either_case(void **state)
{
    char buf[4];
    size_t len = 99;
    const char *const bad[] = { "0", "0g", "g0", "0x", " 00", "00 ", "-1", "0:" };
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(decode_hex(str_from(bad[i]), buf, sizeof buf, &len));
    assert_int_equal(len, 99);
    assert_true(decode_hex(STR("aBCd09"), buf, sizeof buf, &len));
    assert_int_equal(len, 3);
    assert_memory_equal(buf, "\xab\xcd\x09", 3);
}

static void nothing_is_written_behind_the_buffer(void **state)
{
    char buf[4] = "...";
    size_t len;
    assert_false(decode_hex(STR("00112233"), buf, 3, &len));
    assert_false(decode_base64(STR("Zm9vYg=="), buf, 3, &len));
    assert_false(decode_base64url(STR("Zm9vYg"), buf, 3, &len));
    assert_string_equal(buf, "...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_published_vectors, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(every_length_and_byte_comes_back, open_arena, close_arena),
        cmocka_unit_test(only_the_one_form_of_base64_is_taken),
        cmocka_unit_test(each_value_has_one_text),
        cmocka_unit_test(hex_is_whole_bytes_of_either_case),
        cmocka_unit_test(nothing_is_written_behind_the_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
