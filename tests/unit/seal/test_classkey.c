#include "seal_test.h"

#include "base/encode.h"

static const struct class_key_name name = { { "eu-fr", 5 }, { "clinique-lumiere", 16 }, { "health", 6 }, 3 };

static struct str as_str(const uint8_t wrapped[CLASSKEY_WRAPPED_BYTES])
{
    return (struct str){ (const char *)wrapped, CLASSKEY_WRAPPED_BYTES };
}

static void a_key_comes_back(void **state)
{
    struct root_key root = root_of(1);
    struct class_key key = { 0 }, back = { 0 };
    uint8_t wrapped[CLASSKEY_WRAPPED_BYTES], again[CLASSKEY_WRAPPED_BYTES];
    check_ok(classkey_generate(3, &key));
    check_ok(classkey_wrap(&root, &name, &key, wrapped));
    check_ok(classkey_wrap(&root, &name, &key, again));
    assert_memory_not_equal(wrapped, again, sizeof wrapped); /* the nonce is new each time */
    check_ok(classkey_unwrap(&root, &name, as_str(wrapped), &back));
    assert_int_equal(back.version, 3);
    assert_memory_equal(back.secret.ptr, key.secret.ptr, CLASSKEY_BYTES);
    for (size_t i = 0; i + CLASSKEY_BYTES <= sizeof wrapped; i++)
        assert_memory_not_equal(wrapped + i, key.secret.ptr, CLASSKEY_BYTES);
    classkey_free(&key);
    classkey_free(&back);
    rootkey_free(&root);
}

static void two_keys_are_two(void **state)
{
    struct class_key a = { 0 }, b = { 0 };
    check_ok(classkey_generate(1, &a));
    check_ok(classkey_generate(1, &b));
    assert_memory_not_equal(a.secret.ptr, b.secret.ptr, CLASSKEY_BYTES);
    classkey_free(&a);
    classkey_free(&b);
}

/* Made once with python3-cryptography: HKDF(SHA256, 64, info) of 32 bytes 0x01, AES-GCM with the nonce 0x0b * 12, the
 * class key 0x02 * 32. */
static const char wrapped_vector[] =
    "01ff778f17e811567cd8a7521821b8977a7808603292ae6b3cfd3475682e039b330b0b0b0b0b0b0b0b0b0b0b0b4d3304"
    "979f0bfd57a4046bd3aaece24cc9fb1cf94e6973e9aeacc3ae22310be507653efa6a43f7d6087f46420df38fd2";

static void the_wrapped_form_is_as_documented(void **state)
{
    uint8_t wrapped[CLASSKEY_WRAPPED_BYTES];
    size_t len = 0;
    struct root_key root = root_of(1);
    struct class_key back = { 0 };
    assert_true(decode_hex(str_from(wrapped_vector), wrapped, sizeof wrapped, &len));
    assert_int_equal(len, sizeof wrapped);
    check_ok(classkey_unwrap(&root, &name, as_str(wrapped), &back));
    struct class_key expected = key_of(2, 3);
    assert_memory_equal(back.secret.ptr, expected.secret.ptr, CLASSKEY_BYTES);
    classkey_free(&expected);
    classkey_free(&back);
    rootkey_free(&root);
}

/* The same way, but with one bit of the commitment changed before encrypting: GCM's tag is right, and only the
 * comparison of the commitment can refuse it. */
static const char other_commitment[] =
    "01fe778f17e811567cd8a7521821b8977a7808603292ae6b3cfd3475682e039b330b0b0b0b0b0b0b0b0b0b0b0b4d3304"
    "979f0bfd57a4046bd3aaece24cc9fb1cf94e6973e9aeacc3ae22310be5bb8aa09dfde119d2005f70a460907b49";

static void p7_a_wrapped_key_with_another_commitment_does_not_open(void **state)
{
    uint8_t wrapped[CLASSKEY_WRAPPED_BYTES];
    size_t len = 0;
    struct root_key root = root_of(1);
    struct class_key back = { 0 };
    assert_true(decode_hex(str_from(other_commitment), wrapped, sizeof wrapped, &len));
    assert_int_equal(len, sizeof wrapped);
    check_fails(E_SEAL, classkey_unwrap(&root, &name, as_str(wrapped), &back));
    rootkey_free(&root);
}

static void p2_a_wrapped_key_opens_only_under_its_own_root_key(void **state)
{
    struct root_key eu = root_of(1), us = root_of(2);
    struct class_key key = key_of(9, 3), back = { 0 };
    uint8_t wrapped[CLASSKEY_WRAPPED_BYTES];
    check_ok(classkey_wrap(&eu, &name, &key, wrapped));
    check_fails(E_SEAL, classkey_unwrap(&us, &name, as_str(wrapped), &back));
    assert_null(back.secret.ptr);
    classkey_free(&key);
    rootkey_free(&eu);
    rootkey_free(&us);
}

static void p7_a_wrapped_key_that_is_altered_cut_or_renamed_does_not_open(void **state)
{
    struct root_key root = root_of(1);
    struct class_key key = key_of(9, 3), back = { 0 };
    uint8_t wrapped[CLASSKEY_WRAPPED_BYTES + 1];
    check_ok(classkey_wrap(&root, &name, &key, wrapped));
    const result expected = classkey_unwrap(&root, &name, STR(""), &back);
    assert_int_equal(expected.error.code, E_SEAL);
    for (size_t bit = 0; bit < 8 * (size_t)CLASSKEY_WRAPPED_BYTES;
         bit++) { /* format, commitment, nonce, key and tag */
        wrapped[bit / 8] ^= (uint8_t)(1 << bit % 8);
        check_same_error(expected, classkey_unwrap(&root, &name, as_str(wrapped), &back));
        wrapped[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t len = 0; len <= CLASSKEY_WRAPPED_BYTES + 1; len++)
        if (len != CLASSKEY_WRAPPED_BYTES)
            check_same_error(expected,
                             classkey_unwrap(&root, &name, (struct str){ (char *)wrapped, len }, &back));
    struct class_key_name others[] = { name, name, name, name, name, name };
    others[0].region = STR("us");
    others[1].customer = STR("lakeside-health");
    others[2].class = STR("identity");
    others[3].version = 4;
    others[4].customer = STR("clinique-lumier"); /* a letter moves over the border of two fields */
    others[4].class = STR("ehealth");
    others[5].class = (struct str){ (char *)wrapped, 64 };
    for (size_t i = 0; i < COUNT(others); i++)
        check_same_error(expected, classkey_unwrap(&root, &others[i], as_str(wrapped), &back));
    check_ok(classkey_unwrap(&root, &name, as_str(wrapped), &back));
    classkey_free(&back);
    classkey_free(&key);
    rootkey_free(&root);
}

static void a_freed_key_is_wiped(void **state)
{
    struct class_key key = key_of(0xaa, 1);
    const uint8_t *bytes = key.secret.ptr;
    classkey_free(&key);
    assert_null(key.secret.ptr);
    for (size_t i = sizeof(void *); i < CLASSKEY_BYTES; i++) /* the pool's list of free blocks begins each */
        assert_int_equal(bytes[i], 0);
    classkey_free(&key);
}

static void names_have_a_limit(void **state)
{
    struct root_key root = root_of(1);
    struct class_key key = key_of(9, 3);
    uint8_t wrapped[CLASSKEY_WRAPPED_BYTES];
    char text[64];
    memset(text, 'a', sizeof text);
    struct class_key_name longest = name;
    longest.customer = (struct str){ text, 63 };
    check_ok(classkey_wrap(&root, &longest, &key, wrapped));
    longest.customer.len = 64;
    check_fails(E_LIMIT, classkey_wrap(&root, &longest, &key, wrapped));
    classkey_free(&key);
    rootkey_free(&root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_comes_back),
        cmocka_unit_test(two_keys_are_two),
        cmocka_unit_test(the_wrapped_form_is_as_documented),
        cmocka_unit_test(p7_a_wrapped_key_with_another_commitment_does_not_open),
        cmocka_unit_test(p2_a_wrapped_key_opens_only_under_its_own_root_key),
        cmocka_unit_test(p7_a_wrapped_key_that_is_altered_cut_or_renamed_does_not_open),
        cmocka_unit_test(a_freed_key_is_wiped),
        cmocka_unit_test(names_have_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
