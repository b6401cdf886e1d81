#include "seal_test.h"

#include "base/encode.h"

#include <stdlib.h>

static void check_opens(const struct class_key *key, const struct record_place *place, struct str sealed,
                        struct str expected)
{
    uint8_t out[4096];
    size_t len = 0;
    assert_true(sealed.len <= sizeof out);
    check_ok(record_open(key, place, sealed, out, &len));
    assert_true(str_eq((struct str){ (char *)out, len }, expected));
}

static void a_record_comes_back(void **state)
{
    struct class_key key = key_of(5, 3);
    struct record_place place = some_place();
    uint8_t plaintext[2000], sealed[2000 + RECORD_OVERHEAD_BYTES];
    random_bytes(plaintext, sizeof plaintext);
    for (size_t len = 0; len <= sizeof plaintext; len += len < 70 ? 1 : 193) {
        struct str text = { (char *)plaintext, len }, whole = { (char *)sealed, record_sealed_size(len) };
        uint32_t version = 0;
        check_ok(record_seal(&key, &place, text, sealed));
        check_ok(record_key_version(whole, &version));
        assert_int_equal(version, 3);
        assert_int_equal(record_plaintext_size(whole.len), len);
        check_opens(&key, &place, whole, text);
    }
    classkey_free(&key);
}

/* Made once with python3-cryptography from the format's description: class key 0x02 * 32, version 3. */
static const char sealed_vector[] = "d1000000034142434445464748494a4b4c4d4e4f505152535455565758578fd234000b18"
                                    "a50468bec3169472c68f80f0fd288d57ab";

static void the_sealed_form_is_as_documented(void **state)
{
    struct class_key key = key_of(2, 3);
    struct record_place place = some_place();
    uint8_t sealed[128];
    size_t len = 0;
    assert_true(decode_hex(str_from(sealed_vector), sealed, sizeof sealed, &len));
    check_opens(&key, &place, (struct str){ (char *)sealed, len }, STR("a record"));
    classkey_free(&key);
}

static void p7_no_byte_of_a_record_is_in_what_is_stored(void **state)
{
    struct class_key key = key_of(5, 3);
    struct record_place place = some_place();
    struct str text = STR("Patient Durand, diabetes type 1");
    uint8_t sealed[128], again[128];
    check_ok(record_seal(&key, &place, text, sealed));
    check_ok(record_seal(&key, &place, text, again));
    size_t len = record_sealed_size(text.len);
    for (size_t at = 0; at + 4 <= text.len; at++)
        assert_null(memmem(sealed, len, text.ptr + at, 4));
    assert_memory_not_equal(sealed + RECORD_HEADER_BYTES, again + RECORD_HEADER_BYTES, text.len);
    assert_null(memmem(sealed, len, key.secret.ptr, 4));
    classkey_free(&key);
}

static void p7_a_record_that_was_moved_does_not_open(void **state)
{
    struct class_key key = key_of(5, 3);
    struct record_place place = some_place(), others[9];
    uint8_t sealed[128], out[128];
    char long_key[RECORD_KEY_MAX + 1] = { 0 };
    struct str whole = { (char *)sealed, record_sealed_size(8) };
    size_t len = 0;
    check_ok(record_seal(&key, &place, STR("a record"), sealed));
    const result expected = record_open(&key, &place, STR(""), out, &len);
    assert_int_equal(expected.error.code, E_SEAL);
    for (size_t i = 0; i < 9; i++)
        others[i] = place;
    others[0].region = STR("us");
    others[1].customer = STR("lakeside-health");
    others[2].class = STR("identity");
    others[3].key = STR("patient/2");
    others[4].revision = place.revision - 1;
    others[5].revision = -place.revision;
    others[6].class = STR("healthp"); /* a letter moves over the border of two fields */
    others[6].key = STR("atient/1");
    others[7].key = (struct str){ long_key, sizeof long_key };
    others[8].key = STR("patient/1\0");
    for (size_t i = 0; i < 9; i++)
        check_same_error(expected, record_open(&key, &others[i], whole, out, &len));
    assert_int_equal(len, 0);
    check_opens(&key, &place, whole, STR("a record"));
    classkey_free(&key);
}

static void p7_a_record_that_was_altered_or_cut_does_not_open(void **state)
{
    struct class_key key = key_of(5, 3);
    struct record_place place = some_place();
    uint8_t sealed[128], out[128];
    struct str whole = { (char *)sealed, record_sealed_size(8) };
    size_t len = 0;
    check_ok(record_seal(&key, &place, STR("a record"), sealed));
    const result expected = record_open(&key, &place, STR(""), out, &len);
    for (size_t bit = 0; bit < 8 * whole.len; bit++) { /* format, key version, nonce, text and tag */
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        check_same_error(expected, record_open(&key, &place, whole, out, &len));
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t cut = 0; cut < whole.len; cut++)
        check_same_error(expected, record_open(&key, &place, (struct str){ whole.ptr, cut }, out, &len));
    check_same_error(expected,
                     record_open(&key, &place, (struct str){ whole.ptr, whole.len + 1 }, out, &len));
    assert_int_equal(len, 0);
    check_opens(&key, &place, whole, STR("a record"));
    classkey_free(&key);
}

static void p7_the_key_version_is_part_of_the_place(void **state)
{
    struct class_key key = key_of(5, 3), renamed = key_of(5, 4);
    struct record_place place = some_place();
    uint8_t sealed[128], out[128];
    struct str whole = { (char *)sealed, record_sealed_size(8) };
    size_t len = 0;
    check_ok(record_seal(&key, &place, STR("a record"), sealed));
    check_fails(E_SEAL, record_open(&renamed, &place, whole, out, &len));
    sealed[4] = 4; /* so that the header agrees, and the associated data alone can tell */
    check_fails(E_SEAL, record_open(&renamed, &place, whole, out, &len));
    classkey_free(&key);
    classkey_free(&renamed);
}

static void p8_a_header_names_a_key_that_can_be(void **state)
{
    struct class_key key = key_of(5, CLASSKEY_VERSION_MAX);
    struct record_place place = some_place();
    uint8_t sealed[128];
    struct str whole = { (char *)sealed, record_sealed_size(8) };
    uint32_t version = 0;
    check_ok(record_seal(&key, &place, STR("a record"), sealed));
    check_ok(record_key_version(whole, &version));
    assert_int_equal(version, CLASSKEY_VERSION_MAX);
    memset(sealed + 1, 0xff, 4); /* beyond the greatest */
    check_fails(E_SEAL, record_key_version(whole, &version));
    memset(sealed + 1, 0, 4);
    check_fails(E_SEAL, record_key_version(whole, &version));
    sealed[4] = 1;
    check_ok(record_key_version(whole, &version));
    assert_int_equal(version, 1);
    check_fails(E_SEAL, record_key_version((struct str){ whole.ptr, RECORD_OVERHEAD_BYTES - 1 }, &version));
    check_ok(record_key_version((struct str){ whole.ptr, RECORD_OVERHEAD_BYTES }, &version));
    classkey_free(&key);
}

static void p2_a_record_does_not_open_with_another_regions_key(void **state)
{
    struct class_key eu = key_of(5, 3), us = key_of(6, 3);
    struct record_place place = some_place();
    uint8_t sealed[128], out[128];
    const uint8_t zeros[8] = { 0 };
    size_t len = 0;
    check_ok(record_seal(&eu, &place, STR("a record"), sealed));
    memset(out, 0xff, sizeof out);
    check_fails(E_SEAL,
                record_open(&us, &place, (struct str){ (char *)sealed, record_sealed_size(8) }, out, &len));
    assert_memory_equal(out, zeros, sizeof zeros);
    classkey_free(&eu);
    classkey_free(&us);
}

static void sizes_have_limits(void **state)
{
    struct class_key key = key_of(5, 3);
    struct record_place place = some_place();
    char *big = calloc(1, RECORD_PLAINTEXT_MAX + 1);
    uint8_t sealed[128];
    check_fails(E_LIMIT, record_seal(&key, &place, (struct str){ big, RECORD_PLAINTEXT_MAX + 1 }, sealed));
    place.key = (struct str){ big, RECORD_KEY_MAX };
    check_ok(record_seal(&key, &place, STR("x"), sealed));
    place.key.len++;
    check_fails(E_LIMIT, record_seal(&key, &place, STR("x"), sealed));
    free(big);
    classkey_free(&key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_comes_back),
        cmocka_unit_test(the_sealed_form_is_as_documented),
        cmocka_unit_test(p7_no_byte_of_a_record_is_in_what_is_stored),
        cmocka_unit_test(p7_a_record_that_was_moved_does_not_open),
        cmocka_unit_test(p7_a_record_that_was_altered_or_cut_does_not_open),
        cmocka_unit_test(p7_the_key_version_is_part_of_the_place),
        cmocka_unit_test(p8_a_header_names_a_key_that_can_be),
        cmocka_unit_test(p2_a_record_does_not_open_with_another_regions_key),
        cmocka_unit_test(sizes_have_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
