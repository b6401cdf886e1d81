#include "check.h"

#include "auth/credentials.h"
#include "base/arena.h"
#include "base/encode.h"

#include <stdio.h>

static result parse_pair(const char *scheme, struct str pair, struct basic_credentials *ret)
{
    struct arena arena;
    arena_init(&arena);
    const char *header = arena_printf(&arena, "%s %s", scheme, encode_base64(&arena, pair).ptr);
    result r = basic_parse(str_from(header), ret);
    arena_done(&arena);
    return r;
}

static void check_pair(const char *scheme, struct str pair, const char *id, const char *secret)
{
    struct basic_credentials credentials;
    check_ok(parse_pair(scheme, pair, &credentials));
    assert_true(str_is((struct str){ credentials.id, credentials.id_len }, id));
    assert_true(str_is((struct str){ credentials.secret, credentials.secret_len }, secret));
    basic_wipe(&credentials);
    for (size_t i = 0; i < sizeof credentials; i++)
        assert_int_equal(((const uint8_t *)&credentials)[i], 0);
}

static void basic_credentials_are_decoded_twice(void **state)
{
    check_pair("Basic", STR("c-one:secret"), "c-one", "secret");
    check_pair("bAsIc  ", STR("c-one:secret"), "c-one", "secret");
    check_pair("Basic", STR("c%2Done:a%3Ab%25+c"), "c-one", "a:b% c");
    check_pair("Basic", STR("c-one:with:colon"), "c-one", "with:colon");
    char pair[512] = "c-one:";
    memset(pair + 6, 'x', 128);
    check_pair("Basic", (struct str){ pair, 134 }, "c-one", pair + 6);
    for (size_t i = 0; i < 128; i++)
        memcpy(pair + 6 + 3 * i, "%78", 3);
    char secret[129] = { 0 };
    memset(secret, 'x', 128);
    check_pair("Basic", (struct str){ pair, 6 + 3 * 128 }, "c-one", secret);
}

static void p8_malformed_basic_credentials_are_refused(void **state)
{
    static const char *const headers[] = { "",
                                           "Basic",
                                           "Basic ",
                                           "Basic!Yy1vbmU6c2VjcmV0",
                                           "Bearer Yy1vbmU6c2VjcmV0",
                                           "Basic !!!!",
                                           "Basic Yy1vbmU6c2VjcmV",
                                           "Basic Yy1vbmU6c2VjcmV0==",
                                           "Basic Yy1vbmU6c2VjcmV0 x",
                                           "Basic Yy1vbmU6c2VjcmV0, Basic x" };
    struct basic_credentials credentials = { .id = "untouched" };
    for (size_t i = 0; i < COUNT(headers); i++)
        check_fails(E_CLIENT, basic_parse(str_from(headers[i]), &credentials));
    char big[2000] = "c-one:";
    memset(big + 6, 'x', sizeof big - 6);
    char pluses[6 + 129] = "c-one:"; /* each is a space, and the last one has no room */
    memset(pluses + 6, '+', sizeof pluses - 6);
    const struct str pairs[] = { STR(""),
                                 STR(":"),
                                 STR("c-one"),
                                 STR("c-one:"),
                                 STR(":secret"),
                                 STR("C-One:secret"),
                                 STR("c\0one:secret"),
                                 STR("c%00ne:secret"),
                                 STR("c-one:%"),
                                 STR("c-one:%4"),
                                 STR("c-one:%4g"),
                                 { big, 6 + 129 },
                                 { big + 6, 64 },
                                 { pluses, 6 + 129 },
                                 { big, sizeof big } };
    for (size_t i = 0; i < COUNT(pairs); i++)
        check_fails(E_CLIENT, parse_pair("Basic", pairs[i], &credentials));
    assert_string_equal(credentials.id, "untouched");
}

static void a_bearer_token_is_cut_out(void **state)
{
    struct str token;
    check_ok(bearer_parse(STR("Bearer a-b_c.D9.e"), &token));
    assert_true(str_is(token, "a-b_c.D9.e"));
    check_ok(bearer_parse(STR("  bearer   x  "), &token));
    assert_true(str_is(token, "x"));
    static const char *const bad[] = { "",           "Bearer",         "Bearer ",
                                       "Bearerx",    "Basic x",        "Token x",
                                       "Bearer x y", "Bearer x,y",     "Bearer \"x\"",
                                       "Bearer x=",  "Bearer \xc3\xa9" };
    for (size_t i = 0; i < COUNT(bad); i++)
        check_fails(E_UNAUTHENTICATED, bearer_parse(str_from(bad[i]), &token));
    check_fails(E_UNAUTHENTICATED, bearer_parse((struct str){ NULL, 0 }, &token));
    assert_true(str_is(token, "x"));
}

static void a_bearer_token_is_of_letters_digits_and_three_marks(void **state)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._";
    for (int i = 0; i < 256; i++) {
        char header[] = "Bearer x?y";
        struct str token;
        header[8] = (char)i;
        bool good = i != 0 && strchr(letters, i) != NULL;
        if (failed(bearer_parse((struct str){ header, 10 }, &token)) == good)
            fail_msg("%02x", i);
    }
}

static void a_token_form_is_read(void **state)
{
    struct token_form form;
    check_ok(token_form_parse(STR("grant_type=client_credentials"), &form));
    assert_true(str_is(form.grant_type, "client_credentials"));
    assert_null(form.scope.ptr);
    check_ok(token_form_parse(
        STR("&&scope=a+b%20c&other=x&gr%61nt_type=pass%77ord&client_id=c-one&client_secret=&"), &form));
    assert_true(str_is(form.grant_type, "password"));
    assert_true(str_is(form.scope, "a b c"));
    assert_true(str_is(form.client_id, "c-one"));
    check_ok(token_form_parse(STR("grant_type=client_credentials%00&scope="), &form));
    assert_false(str_is(form.grant_type, "client_credentials"));
    assert_null(form.scope.ptr);
}

static void p8_malformed_forms_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "&",
        "=",
        "grant_type",
        "grant_type=",
        "scope=x",
        "grant_type=%",
        "grant_type=%4",
        "grant_type=%zz",
        "%=x&grant_type=y",
        "grant_type=x&grant_type=x",
        "grant_type=x&gr%61nt_type=y",
        "grant_type=&grant_type=x",
        "grant_type=x&other=1&other=2",
        "grant_type=x&=1&=2",
        "grant_type=x&client_secret=s",
        "a=1&b=1&c=1&d=1&e=1&f=1&g=1&h=1&i=1&j=1&k=1&l=1&m=1&n=1&o=1&p=1&grant_type=x",
    };
    struct token_form form;
    for (size_t i = 0; i < COUNT(bad); i++) {
        result r = token_form_parse(str_from(bad[i]), &form);
        if (r.error.code != E_BODY)
            fail_msg("%s was not refused", bad[i]);
    }
    static char big[TOKEN_FORM_MAX + 1] = "grant_type=";
    memset(big + 11, 'x', sizeof big - 11);
    check_ok(token_form_parse((struct str){ big, TOKEN_FORM_MAX }, &form));
    assert_int_equal(form.grant_type.len, TOKEN_FORM_MAX - 11);
    check_fails(E_BODY_SIZE, token_form_parse((struct str){ big, sizeof big }, &form));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(basic_credentials_are_decoded_twice),
        cmocka_unit_test(p8_malformed_basic_credentials_are_refused),
        cmocka_unit_test(a_bearer_token_is_cut_out),
        cmocka_unit_test(a_bearer_token_is_of_letters_digits_and_three_marks),
        cmocka_unit_test(a_token_form_is_read),
        cmocka_unit_test(p8_malformed_forms_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
