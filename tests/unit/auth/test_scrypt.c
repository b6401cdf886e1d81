#include "check.h"

#include "auth/scrypt.h"
#include "base/encode.h"

#include <stdio.h>

/* RFC 7914, section 12; the fourth takes 1 GiB and is left out. */
static void the_published_vectors_hold(void **state)
{
    static const struct {
        struct str secret, salt;
        struct scrypt_cost cost;
        const char *hash;
    } vectors[] = {
        { { "", 0 },
          { "", 0 },
          { 4, 1, 1 },
          "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
          "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906" },
        { { "password", 8 },
          { "NaCl", 4 },
          { 10, 8, 16 },
          "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
          "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640" },
        { { "pleaseletmein", 13 },
          { "SodiumChloride", 14 },
          { 14, 8, 1 },
          "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
          "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887" },
    };
    for (size_t i = 0; i < COUNT(vectors); i++) {
        uint8_t hash[64], expected[64];
        size_t len = 0;
        assert_true(decode_hex(str_from(vectors[i].hash), expected, sizeof expected, &len));
        check_ok(scrypt_derive(vectors[i].secret, vectors[i].salt, vectors[i].cost, hash, sizeof hash));
        assert_memory_equal(hash, expected, sizeof expected);
    }
}

static void a_secret_matches_its_hash_alone(void **state)
{
    char text[SCRYPT_TEXT_SIZE], again[SCRYPT_TEXT_SIZE];
    const struct scrypt_cost cost = { 14, 8, 1 };
    bool matches = false;
    check_ok(scrypt_hash(STR("correct horse"), cost, text));
    check_ok(scrypt_hash(STR("correct horse"), cost, again));
    assert_string_not_equal(text, again);
    assert_true(str_starts(str_from(text), STR("$scrypt$ln=14,r=8,p=1$")));
    assert_int_equal(strlen(text), 22 + 22 + 1 + 43);
    check_ok(scrypt_verify(str_from(text), STR("correct horse"), &matches));
    assert_true(matches);
    check_ok(scrypt_verify(str_from(text), STR("correct horsf"), &matches));
    assert_false(matches);
    check_ok(scrypt_verify(str_from(text), STR("correct horse "), &matches));
    assert_false(matches);
    check_ok(scrypt_verify(str_from(text), STR(""), &matches));
    assert_false(matches);
}

/* Made with Python's hashlib.scrypt: another implementation of the string form. */
static void a_hash_of_another_maker_is_read(void **state)
{
    bool matches = false;
    check_ok(scrypt_verify(
        STR("$scrypt$ln=15,r=8,p=2$yMnKy8zNzs/Q0dLT1NXW19jZ2ts$ddWsNiIJEphPI4qmx7rtdRYeIH8qJcm9g0VNnI8U0l0"),
        STR("s3cret"), &matches));
    assert_true(matches);
}

#define SALT "c2FsdHNhbHRzYWx0c2FsdA"
#define HASH "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static void p8_a_malformed_or_dear_hash_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "$scrypt$",
        "$argon2id$ln=14,r=8,p=1$" SALT "$" HASH,
        "scrypt$ln=14,r=8,p=1$" SALT "$" HASH,
        "$scrypt$ln=13,r=8,p=1$" SALT "$" HASH,
        "$scrypt$ln=18,r=8,p=1$" SALT "$" HASH,
        "$scrypt$ln=64,r=8,p=1$" SALT "$" HASH,
        "$scrypt$ln=99999999999999999999,r=8,p=1$" SALT "$" HASH,
        "$scrypt$ln=014,r=8,p=1$" SALT "$" HASH,
        "$scrypt$ln=+14,r=8,p=1$" SALT "$" HASH,
        "$scrypt$ln=14,r=7,p=1$" SALT "$" HASH,
        "$scrypt$ln=14,r=17,p=1$" SALT "$" HASH,
        "$scrypt$ln=17,r=9,p=1$" SALT "$" HASH,
        "$scrypt$ln=14,r=8,p=0$" SALT "$" HASH,
        "$scrypt$ln=14,r=8,p=5$" SALT "$" HASH,
        "$scrypt$r=8,ln=14,p=1$" SALT "$" HASH,
        "$scrypt$ln=14,r=8$" SALT "$" HASH,
        "$scrypt$ln=14,r=8,p=1$" SALT,
        "$scrypt$ln=14,r=8,p=1$" SALT "$",
        "$scrypt$ln=14,r=8,p=1$$" HASH,
        "$scrypt$ln=14,r=8,p=1$c2FsdA$" HASH,
        "$scrypt$ln=14,r=8,p=1$" SALT "$" HASH "A",
        "$scrypt$ln=14,r=8,p=1$" SALT "$" HASH "=",
        "$scrypt$ln=14,r=8,p=1$" SALT "==$" HASH,
        "$scrypt$ln=14,r=8,p=1$" SALT "$" HASH "$",
        "$scrypt$ln=14,r=8,p=1$" SALT "$AAAA",
        "$scrypt$ln=14,r=8,p=1$" SALT "$-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=14,r=8,p=1$" HASH HASH HASH "$" HASH,
    };
    bool matches = true;
    for (size_t i = 0; i < COUNT(texts); i++) {
        result r = scrypt_verify(str_from(texts[i]), STR("x"), &matches);
        if (r.error.code != E_FORMAT)
            fail_msg("%s was not refused", texts[i]);
    }
    check_ok(scrypt_verify(STR("$scrypt$ln=14,r=8,p=1$" SALT "$" HASH), STR("x"), &matches));
    assert_false(matches);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_vectors_hold),
        cmocka_unit_test(a_secret_matches_its_hash_alone),
        cmocka_unit_test(a_hash_of_another_maker_is_read),
        cmocka_unit_test(p8_a_malformed_or_dear_hash_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
