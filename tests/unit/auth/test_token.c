#include "auth_test.h"

#include <fcntl.h>
#include <sys/stat.h>

static void the_keys_can_be_told_apart(void **state)
{
    struct token_keys *keys = known_keys(), *one = NULL;
    struct token_signer *signer = signer_of("eu-fr");
    struct token_key_name name, french = { "eu-fr", token_signer_kid(signer) };
    check_ok(token_keys_new(&one));
    assert_false(token_keys_at(one, 0, &name));
    assert_false(token_keys_have(one, &french));
    size_t count = 0, is_french = 0;
    for (; token_keys_at(keys, count, &name); count++) {
        assert_true(token_keys_have(keys, &name));
        is_french += strcmp(name.kid, french.kid) == 0 && strcmp(name.region, "eu-fr") == 0;
    }
    assert_true(count >= 2);
    assert_int_equal(is_french, 1);
    assert_false(token_keys_have(keys, &(struct token_key_name){ "us", french.kid }));
    token_signer_free(signer);
    token_keys_free(one);
    token_keys_free(keys);
}

static void a_token_says_who(void **state)
{
    struct arena arena;
    arena_init(&arena);
    struct token_keys *keys = known_keys();
    struct token_signer *signer = signer_of("eu-fr");
    const struct principal principals[] = { an_app(), { .role = ROLE_SECURITY, .client = "c-guard" } };
    for (size_t i = 0; i < 2; i++) {
        struct str token, again;
        struct principal who;
        check_ok(token_sign(signer, &principals[i], now_ms + 999, 900, &arena, &token));
        check_ok(token_sign(signer, &principals[i], now_ms + 999, 900, &arena, &again));
        assert_false(str_eq(token, again)); /* jti */
        check_ok(token_verify(keys, token, now_ms, &who));
        assert_int_equal(who.role, principals[i].role);
        assert_string_equal(who.client, principals[i].client);
        assert_string_equal(who.customer, principals[i].customer);
        assert_string_equal(who.region, "eu-fr");
        assert_int_equal(who.issued_ms, now_ms);
        assert_int_equal(who.expires_ms, now_ms + 900000);
    }
    token_signer_free(signer);
    token_keys_free(keys);
    arena_done(&arena);
}

static void p2_a_token_of_another_region_shows_its_audience(void **state)
{
    struct arena arena;
    arena_init(&arena);
    struct token_keys *keys = known_keys();
    struct token_signer *signer = signer_of("us");
    struct principal app = an_app(), who;
    struct str token;
    check_ok(token_sign(signer, &app, now_ms, 60, &arena, &token));
    check_ok(token_verify(keys, token, now_ms, &who));
    assert_string_equal(who.region, "us");
    token_signer_free(signer);
    token_keys_free(keys);
    arena_done(&arena);
}

static void p2_a_regions_key_speaks_for_that_region_alone(void **state)
{
    struct arena arena;
    arena_init(&arena);
    struct token_keys *keys = known_keys();
    struct principal who;
    const char *claims = "{" WHO APP TIMES ID "}";
    check_ok(token_verify(keys, forge(&arena, header_of(&arena, "eu-fr"), claims, "eu-fr"), now_ms, &who));
    check_fails(E_UNAUTHENTICATED,
                token_verify(keys, forge(&arena, header_of(&arena, "us"), claims, "us"), now_ms, &who));
    static const char *const mixed[] = {
        "{\"iss\":\"us\",\"aud\":\"eu-fr\",\"sub\":\"c-one\",\"client_id\":\"c-one\"," APP TIMES ID "}",
        "{\"iss\":\"eu-fr\",\"aud\":\"us\",\"sub\":\"c-one\",\"client_id\":\"c-one\"," APP TIMES ID "}",
    };
    for (size_t i = 0; i < 2; i++)
        check_fails(E_UNAUTHENTICATED,
                    token_verify(keys, forge(&arena, header_of(&arena, "us"), mixed[i], "us"), now_ms, &who));
    token_keys_free(keys);
    arena_done(&arena);
}

static void p8_headers_of_other_kinds_are_refused(void **state)
{
    struct arena arena;
    arena_init(&arena);
    struct token_keys *keys = known_keys();
    struct token_signer *signer = signer_of("eu-fr");
    const char *kid = token_signer_kid(signer), *claims = "{" WHO APP TIMES ID "}";
    static const char *const forms[] = {
        "{\"alg\":\"none\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}",
        "{\"alg\":\"HS256\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}",
        "{\"alg\":\"eddsa\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}",
        "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}",
        "{\"alg\":[\"EdDSA\"],\"typ\":\"at+jwt\",\"kid\":\"%s\"}",
        "{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"%s\"}",
        "{\"alg\":\"EdDSA\",\"typ\":\"AT+JWT\",\"kid\":\"%s\"}",
        "{\"alg\":\"EdDSA\",\"kid\":\"%s\"}",
        "{\"typ\":\"at+jwt\",\"kid\":\"%s\"}",
        "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"%sx\"}",
        "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":[\"%s\"]}",
        "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"%s\",\"crit\":[\"exp\"]}",
        "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"%s\",\"jku\":\"https://example.org/\"}",
        "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"%s\",\"b64\":false}",
        "{\"alg\":\"none\",\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}",
        "[\"%s\"]",
        "%s",
    };
    struct principal who;
    for (size_t i = 0; i < COUNT(forms); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        const char *header = arena_printf(&arena, forms[i], kid);
#pragma GCC diagnostic pop
        check_fails(E_UNAUTHENTICATED,
                    token_verify(keys, forge(&arena, header, claims, "eu-fr"), now_ms, &who));
        check_fails(E_UNAUTHENTICATED, token_verify(keys, forge(&arena, header, claims, NULL), now_ms, &who));
    }
    check_fails(E_UNAUTHENTICATED,
                token_verify(keys, forge(&arena, "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\"}", claims, "eu-fr"),
                             now_ms, &who));
    token_signer_free(signer);
    token_keys_free(keys);
    arena_done(&arena);
}

/* The classic: the public key, which everyone has, as the secret of an HMAC. */
static void p8_a_public_key_is_no_hmac_secret(void **state)
{
    struct arena arena;
    arena_init(&arena);
    struct token_keys *keys = known_keys();
    struct token_signer *signer = signer_of("eu-fr");
    char pem[512];
    FILE *file = fopen(key_files("eu-fr").public_key, "r");
    assert_non_null(file);
    size_t pem_len = fread(pem, 1, sizeof pem, file);
    fclose(file);
    const char *algs[] = { "HS256", "EdDSA" };
    for (size_t i = 0; i < 2; i++) {
        const char *header = arena_printf(&arena, "{\"alg\":\"%s\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}",
                                          algs[i], token_signer_kid(signer));
        const char *text = arena_printf(&arena, "%s.%s", encode_base64url(&arena, str_from(header)).ptr,
                                        encode_base64url(&arena, STR("{" WHO APP TIMES ID "}")).ptr);
        uint8_t mac[32];
        size_t len = 0;
        assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, pem, pem_len, (const uint8_t *)text,
                                  strlen(text), mac, sizeof mac, &len));
        const char *token = arena_printf(&arena, "%s.%s", text,
                                         encode_base64url(&arena, (struct str){ (char *)mac, len }).ptr);
        struct principal who;
        check_fails(E_UNAUTHENTICATED, token_verify(keys, str_from(token), now_ms, &who));
    }
    token_signer_free(signer);
    token_keys_free(keys);
    arena_done(&arena);
}

static void p8_a_foreign_key_signs_nothing(void **state)
{
    struct arena arena;
    arena_init(&arena);
    struct token_keys *keys = known_keys();
    const char *claims = "{" WHO APP TIMES ID "}";
    struct principal who;
    check_fails(
        E_UNAUTHENTICATED,
        token_verify(keys, forge(&arena, header_of(&arena, "eu-fr"), claims, "foreign"), now_ms, &who));
    check_fails(
        E_UNAUTHENTICATED,
        token_verify(keys, forge(&arena, header_of(&arena, "foreign"), claims, "foreign"), now_ms, &who));
    token_keys_free(keys);
    arena_done(&arena);
}

static void p8_claims_that_do_not_hold_are_refused(void **state)
{
    struct arena arena;
    arena_init(&arena);
    struct token_keys *keys = known_keys();
    const char *header = header_of(&arena, "eu-fr");
    static const char *const claims[] = {
        "{" APP TIMES ID "}",
        "{\"iss\":\"eu-fr\",\"aud\":[\"eu-fr\"],\"sub\":\"c-one\",\"client_id\":\"c-one\"," APP TIMES ID "}",
        "{\"iss\":\"eu-fr\",\"aud\":\"eu-fr\",\"sub\":\"c-two\",\"client_id\":\"c-one\"," APP TIMES ID "}",
        "{\"iss\":\"eu-fr\",\"aud\":\"eu-fr\",\"sub\":\"C-One\",\"client_id\":\"C-One\"," APP TIMES ID "}",
        "{\"iss\":\"eu-fr\",\"aud\":\"eu-fr\",\"client_id\":\"c-one\"," APP TIMES ID "}",
        "{" WHO APP TIMES "\"jti\":\"\"}",
        "{" WHO APP TIMES "\"jti\":7}",
        "{" WHO TIMES ID "}",
        "{" WHO "\"role\":\"root\"," TIMES ID "}",
        "{" WHO "\"role\":\"system\"," TIMES ID "}",
        "{" WHO "\"role\":[\"security\"]," TIMES ID "}",
        "{" WHO "\"role\":\"customer-app\"," TIMES ID "}",
        "{" WHO "\"role\":\"security\",\"customer\":\"clinique-lumiere\"," TIMES ID "}",
        "{" WHO "\"role\":\"customer-app\",\"customer\":\"\"," TIMES ID "}",
        "{" WHO "\"role\":\"customer-app\",\"customer\":\"a/b\"," TIMES ID "}",
        "{" WHO "\"role\":\"customer-app\",\"customer\":\"clinique\\u0000x\"," TIMES ID "}",
        "{" WHO "\"role\":\"customer-app\",\"customer\":null," TIMES ID "}",
        "{" WHO "\"role\":\"security\",\"customer\":null," TIMES ID "}",
        "{" WHO APP ID "}",
        "{" WHO APP "\"iat\":1790000000," ID "}",
        "{" WHO APP "\"exp\":1790000900," ID "}",
        "{" WHO APP "\"iat\":1790000000,\"exp\":1790000901," ID "}",
        "{" WHO APP "\"iat\":1790000000,\"exp\":\"1790000900\"," ID "}",
        "{" WHO APP "\"iat\":1790000000,\"exp\":1790000900.5," ID "}",
        "{" WHO APP "\"iat\":1790000000,\"exp\":1790000000," ID "}",
        "{" WHO APP "\"iat\":-1,\"exp\":800," ID "}",
        "{" WHO APP "\"iat\":9223372036854775807,\"exp\":9223372036854775807," ID "}",
        "{" WHO APP "\"iat\":1e308,\"exp\":1e308," ID "}",
        "{" WHO APP "\"iat\":1790000031,\"exp\":1790000900," ID "}",
        "{" WHO APP TIMES "\"nbf\":1790000031," ID "}",
        "{" WHO APP TIMES "\"nbf\":\"soon\"," ID "}",
        "{" WHO APP "\"role\":\"security\"," TIMES ID "}",
        "{" WHO APP TIMES ID ",\"jti\":\"y\"}",
        "{" WHO APP TIMES ID ",\"deep\":[[[[[[1]]]]]]}",
        "{" WHO APP TIMES ID "}x",
        "[{" WHO APP TIMES ID "}]",
        "\xff\xfe",
        "",
    };
    struct principal who = { .client = "untouched" };
    for (size_t i = 0; i < COUNT(claims); i++) {
        result r = token_verify(keys, forge(&arena, header, claims[i], "eu-fr"), now_ms, &who);
        if (r.error.code != E_UNAUTHENTICATED)
            fail_msg("%s was not refused: %s", claims[i], error_name(r.error.code));
        assert_string_equal(who.client, "untouched");
    }
    check_ok(token_verify(keys,
                          forge(&arena, header, "{" WHO APP TIMES "\"other\":{\"a\":[1]}," ID "}", "eu-fr"),
                          now_ms, &who));
    token_keys_free(keys);
    arena_done(&arena);
}

static void a_token_is_good_for_its_time_and_half_a_minute(void **state)
{
    struct arena arena;
    arena_init(&arena);
    struct token_keys *keys = known_keys();
    struct token_signer *signer = signer_of("eu-fr");
    struct principal app = an_app(), who;
    struct str token;
    check_ok(token_sign(signer, &app, now_ms, 900, &arena, &token));
    check_fails(E_UNAUTHENTICATED, token_verify(keys, token, now_ms - 30001, &who));
    check_ok(token_verify(keys, token, now_ms - 30000, &who));
    check_ok(token_verify(keys, token, now_ms + 929999, &who));
    check_fails(E_TOKEN_EXPIRED, token_verify(keys, token, now_ms + 930000, &who));
    check_fails(E_TOKEN_EXPIRED, token_verify(keys, token, INT64_C(1) << 60, &who));
    token_signer_free(signer);
    token_keys_free(keys);
    arena_done(&arena);
}

static void p8_no_flipped_bit_and_no_cut_verifies(void **state)
{
    struct arena arena;
    arena_init(&arena);
    struct token_keys *keys = known_keys();
    struct token_signer *signer = signer_of("eu-fr");
    struct principal app = an_app(), who;
    struct str token;
    check_ok(token_sign(signer, &app, now_ms, 900, &arena, &token));
    char *bytes = arena_cstr(&arena, token);
    for (size_t bit = 0; bit < 8 * token.len; bit++) {
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        check_fails(E_UNAUTHENTICATED, token_verify(keys, (struct str){ bytes, token.len }, now_ms, &who));
        bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (size_t len = 0; len < token.len; len++)
        check_fails(E_UNAUTHENTICATED, token_verify(keys, (struct str){ bytes, len }, now_ms, &who));
    static const char *const tails[] = { "=", ".", ".x", " ", "A", "\n" };
    for (size_t i = 0; i < COUNT(tails); i++)
        check_fails(
            E_UNAUTHENTICATED,
            token_verify(keys, str_from(arena_printf(&arena, "%s%s", bytes, tails[i])), now_ms, &who));
    check_ok(token_verify(keys, token, now_ms, &who));
    token_signer_free(signer);
    token_keys_free(keys);
    arena_done(&arena);
}

static void p8_sizes_have_limits(void **state)
{
    struct arena arena;
    arena_init(&arena);
    struct token_keys *keys = known_keys();
    struct principal who;
    check_ok(token_verify(keys, forge_of_length(&arena, TOKEN_MAX), now_ms, &who));
    check_fails(E_UNAUTHENTICATED, token_verify(keys, forge_of_length(&arena, TOKEN_MAX + 1), now_ms, &who));
    static const char *const shapes[] = { "",    ".",     "..",      "...",      "a",
                                          "a.b", "a.b.c", "a.b.c.d", "e30.e30.", ".e30.e30" };
    for (size_t i = 0; i < COUNT(shapes); i++)
        check_fails(E_UNAUTHENTICATED, token_verify(keys, str_from(shapes[i]), now_ms, &who));
    check_fails(E_UNAUTHENTICATED, token_verify(keys, (struct str){ NULL, 0 }, now_ms, &who));
    token_keys_free(keys);
    arena_done(&arena);
}

static void what_cannot_be_verified_is_not_signed(void **state)
{
    struct arena arena;
    arena_init(&arena);
    struct token_signer *signer = signer_of("eu-fr");
    const struct principal wrong[] = {
        { .role = ROLE_CUSTOMER_APP, .client = "c-one" },
        { .role = ROLE_SECURITY, .client = "c-one", .customer = "clinique-lumiere" },
        { .role = ROLE_SYSTEM, .client = "c-one" },
        { .role = ROLE_UNKNOWN, .client = "c-one" },
        { .role = ROLE_SECURITY, .client = "" },
        { .role = ROLE_CUSTOMER_APP, .client = "c-one", .customer = "A\"}" },
    };
    struct str token;
    for (size_t i = 0; i < COUNT(wrong); i++)
        check_fails(E_INTERNAL, token_sign(signer, &wrong[i], now_ms, 900, &arena, &token));
    token_signer_free(signer);
    arena_done(&arena);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

/* The key and the thumbprint of RFC 8037, appendices A.2 and A.3. */
static void the_kid_is_the_thumbprint(void **state)
{
    struct key_files files = key_files("rfc");
    write_file(files.private_key,
               "-----BEGIN PRIVATE KEY-----\n"
               "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
               "-----END PRIVATE KEY-----\n",
               0600);
    struct token_signer *signer = NULL;
    check_ok(token_signer_new(&signer, STR("eu-fr"), files.private_key));
    assert_string_equal(token_signer_kid(signer), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    token_signer_free(signer);
    unlink(files.private_key);
}

static void key_files_are_held_to_rules(void **state)
{
    struct token_keys *keys = known_keys();
    struct token_signer *signer = NULL;
    struct key_files eu = key_files("eu-fr"), bad = key_files("bad");
    struct stat status;
    assert_int_equal(stat(eu.private_key, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(stat(eu.public_key, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0644);
    check_fails(E_CONFLICT, token_key_generate(eu.private_key, bad.public_key));
    check_fails(E_CONFLICT, token_key_generate(bad.private_key, eu.public_key));
    assert_int_not_equal(access(bad.private_key, F_OK), 0);
    assert_int_not_equal(access(bad.public_key, F_OK), 0);
    check_ok(token_keys_add_file(keys, STR("eu-fr"), eu.public_key)); /* the same again is nothing */
    check_fails(E_CONFIG, token_keys_add_file(keys, STR("us"), eu.public_key));
    check_fails(E_CONFIG, token_keys_add_file(keys, STR("eu-fr"), eu.private_key));
    check_fails(E_CONFIG, token_keys_add_file(keys, STR("eu-fr"), "/nowhere/token.pub"));
    check_fails(E_CONFIG, token_keys_add_file(keys, STR("EU"), key_files("foreign").public_key));
    check_fails(E_CONFIG, token_signer_new(&signer, STR("eu-fr"), eu.public_key)); /* mode, then kind */
    assert_int_equal(chmod(eu.private_key, 0640), 0);
    check_fails(E_CONFIG, token_signer_new(&signer, STR("eu-fr"), eu.private_key));
    assert_int_equal(chmod(eu.private_key, 0600), 0);
    static const char *const texts[] = { "", "hello\n",
                                         "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                                         /* a P-256 key */
                                         "-----BEGIN PRIVATE KEY-----\n"
                                         "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2\n"
                                         "OF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r\n"
                                         "1RTwjmYSi9R/zpBnuQ4EiMnCqfMPWiZqB4QdbAd0E7oH50VpuZ1P087G\n"
                                         "-----END PRIVATE KEY-----\n" };
    for (size_t i = 0; i < COUNT(texts); i++) {
        write_file(bad.private_key, texts[i], 0600);
        check_fails(E_CONFIG, token_signer_new(&signer, STR("eu-fr"), bad.private_key));
        check_fails(E_CONFIG, token_keys_add_file(keys, STR("eu-fr"), bad.private_key));
        unlink(bad.private_key);
    }
    assert_null(signer);
    token_keys_free(keys);
}

static void the_number_of_keys_has_a_limit(void **state)
{
    struct token_keys *keys = NULL;
    struct key_files files = key_files("one-more");
    check_ok(token_keys_new(&keys));
    for (int i = 0; i <= TOKEN_KEYS_MAX; i++) {
        check_ok(token_key_generate(files.private_key, files.public_key));
        result r = token_keys_add_file(keys, STR("eu-fr"), files.public_key);
        assert_int_equal(r.error.code, i < TOKEN_KEYS_MAX ? E_OK : E_CONFIG);
        unlink(files.private_key);
        unlink(files.public_key);
    }
    struct token_key_name name;
    assert_true(token_keys_at(keys, TOKEN_KEYS_MAX - 1, &name));
    assert_false(token_keys_at(keys, TOKEN_KEYS_MAX, &name));
    token_keys_free(keys);
}

static void a_signer_is_of_a_region(void **state)
{
    struct token_signer *signer = NULL;
    check_fails(E_CONFIG, token_signer_new(&signer, STR("EU"), key_files("eu-fr").private_key));
    assert_null(signer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_keys_can_be_told_apart),
        cmocka_unit_test(a_token_says_who),
        cmocka_unit_test(p2_a_token_of_another_region_shows_its_audience),
        cmocka_unit_test(p2_a_regions_key_speaks_for_that_region_alone),
        cmocka_unit_test(p8_headers_of_other_kinds_are_refused),
        cmocka_unit_test(p8_a_public_key_is_no_hmac_secret),
        cmocka_unit_test(p8_a_foreign_key_signs_nothing),
        cmocka_unit_test(p8_claims_that_do_not_hold_are_refused),
        cmocka_unit_test(a_token_is_good_for_its_time_and_half_a_minute),
        cmocka_unit_test(p8_no_flipped_bit_and_no_cut_verifies),
        cmocka_unit_test(p8_sizes_have_limits),
        cmocka_unit_test(what_cannot_be_verified_is_not_signed),
        cmocka_unit_test(the_kid_is_the_thumbprint),
        cmocka_unit_test(the_number_of_keys_has_a_limit),
        cmocka_unit_test(a_signer_is_of_a_region),
        cmocka_unit_test(key_files_are_held_to_rules),
    };
    return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
