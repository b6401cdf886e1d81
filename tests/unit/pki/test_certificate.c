/* The CA, what it signs, and what is not taken for a certificate of it. */
#include "check.h"

#include "base/clock.h"
#include "pki/certificate.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static struct arena arena;
static int64_t now_ms;

static int64_t wall_ms(void)
{
    return now_ms;
}

static int set_up(void **state)
{
    static const struct clock_source source = { .wall_ms = wall_ms };
    now_ms = INT64_C(1767225600000); /* 2026-01-01 */
    clock_set_source(&source);
    arena_init(&arena);
    return 0;
}

static int tear_down(void **state)
{
    arena_done(&arena);
    clock_set_source(NULL);
    return 0;
}

static struct ca create_ca(const char *name)
{
    struct ca ca = { 0 };
    check_ok(ca_key_create(&ca.key));
    check_ok(ca_certificate_create(ca.key, name, &ca.certificate));
    return ca;
}

static EVP_PKEY *make_key(const char *curve)
{
    EVP_PKEY *key = strcmp(curve, "RSA") == 0 ? EVP_RSA_gen(2048) : EVP_EC_gen(curve);
    assert_non_null(key);
    return key;
}

/* As `openssl req -new` makes one; signed with `signer`. */
static struct str request(EVP_PKEY *key, EVP_PKEY *signer, const char *name)
{
    X509_REQ *made = X509_REQ_new();
    char *bytes;
    assert_int_equal(X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(made), "CN", MBSTRING_UTF8,
                                                (const unsigned char *)name, -1, -1, 0),
                     1);
    assert_int_equal(X509_REQ_set_pubkey(made, key), 1);
    assert_true(X509_REQ_sign(made, signer, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_X509_REQ(bio, made), 1);
    long length = BIO_get_mem_data(bio, &bytes);
    struct str pem = arena_str(&arena, (struct str){ bytes, (size_t)length });
    BIO_free(bio);
    X509_REQ_free(made);
    return pem;
}

static const struct certificate_purpose server = { "eu1", "127.10.1.1" };
static const struct certificate_purpose named = { "eu1", "eu1.par1.example" };
static const struct certificate_purpose client = { "domicile_gateway", NULL };

static const char *misfit(const struct ca *ca, struct str pem, const struct certificate_purpose *purpose,
                          EVP_PKEY *key, uint32_t renew_days)
{
    const char *ends = "";
    return certificate_misfit(ca, pem, purpose, key, renew_days, &arena, &ends);
}

static void what_it_signs_fits(void **state)
{
    struct ca ca = create_ca("domicile eu-fr");
    EVP_PKEY *key = make_key("P-256");
    const struct certificate_purpose *purposes[] = { &server, &named, &client };
    for (size_t i = 0; i < COUNT(purposes); i++) {
        struct str pem;
        check_ok(ca_sign(&ca, request(key, key, purposes[i]->common_name), purposes[i], 397, &arena, &pem));
        assert_null(misfit(&ca, pem, purposes[i], key, 30));
    }
    EVP_PKEY_free(key);
    ca_done(&ca);
}

static void a_certificate_has_what_it_needs_and_no_more(void **state)
{
    struct ca ca = create_ca("domicile eu-fr");
    EVP_PKEY *key = make_key("P-256");
    struct str pem;
    X509 *certificate;
    check_ok(ca_sign(&ca, request(key, key, "eu1"), &server, 397, &arena, &pem));
    check_ok(pem_certificate(pem, "it", &certificate));
    assert_int_equal(X509_get_key_usage(certificate), KU_DIGITAL_SIGNATURE);
    assert_int_equal(X509_get_extended_key_usage(certificate), XKU_SSL_SERVER);
    assert_int_equal(X509_check_ca(certificate), 0);
    BIGNUM *serial = ASN1_INTEGER_to_BN(X509_get_serialNumber(certificate), NULL);
    assert_int_equal(BN_num_bits(serial), 127);
    BN_free(serial);
    assert_int_equal(X509_check_ca(ca.certificate), 1);
    assert_int_equal(X509_get_pathlen(ca.certificate), 0);
    assert_int_equal(X509_get_key_usage(ca.certificate), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
    X509_free(certificate);
    EVP_PKEY_free(key);
    ca_done(&ca);
}

static void requests_that_are_not_signed(void **state)
{
    struct ca ca = create_ca("domicile eu-fr");
    EVP_PKEY *key = make_key("P-256"), *other = make_key("P-256"), *large = make_key("P-384"),
             *rsa = make_key("RSA");
    const struct {
        struct str request;
        const char *why;
    } refused[] = {
        { request(key, key, "eu2"), "is for another name" },
        { request(key, other, "eu1"), "is not signed with its own key" },
        { request(large, large, "eu1"), "not on curve P-256" },
        { request(rsa, rsa, "eu1"), "not on curve P-256" },
        { STR(""), "is not a certificate request" },
        { STR("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"),
          "is not a certificate request" },
        { { arena_zalloc(&arena, CERTIFICATE_PEM_MAX + 1), CERTIFICATE_PEM_MAX + 1 },
          "is not a certificate request" },
    };
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct str pem = { 0 };
        result r = ca_sign(&ca, refused[i].request, &server, 397, &arena, &pem);
        assert_int_equal(r.error.code, E_CERTIFICATE);
        assert_non_null(strstr(r.error.what, refused[i].why));
        assert_null(pem.ptr);
    }
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
    EVP_PKEY_free(large);
    EVP_PKEY_free(rsa);
    ca_done(&ca);
}

static void certificates_that_do_not_fit(void **state)
{
    struct ca ca = create_ca("domicile eu-fr"), same_name = create_ca("domicile eu-fr");
    EVP_PKEY *key = make_key("P-256"), *other = make_key("P-256");
    struct str pem, of_client, of_other;
    check_ok(ca_sign_key(&ca, key, &server, 397, &arena, &pem));
    check_ok(ca_sign_key(&ca, key, &client, 397, &arena, &of_client));
    check_ok(ca_sign_key(&same_name, key, &server, 397, &arena, &of_other));
    assert_null(misfit(&ca, pem, &server, key, 30));
    assert_string_equal(misfit(&ca, of_other, &server, key, 30), "another CA signed it");
    assert_string_equal(misfit(&ca, pem, &server, other, 30), "it does not belong to its private key");
    assert_string_equal(misfit(&ca, pem, &named, key, 30), "it is not for the address \"eu1.par1.example\"");
    assert_string_equal(misfit(&ca, pem, &client, key, 30), "its name is not \"domicile_gateway\"");
    assert_string_equal(
        misfit(&ca, of_client, &(struct certificate_purpose){ "domicile_gateway", "::1" }, key, 0),
        "it is not for the address \"::1\"");
    assert_string_equal(misfit(&ca, pem, &(struct certificate_purpose){ "eu1", NULL }, key, 0),
                        "it is for another use");
    assert_string_equal(misfit(&ca, STR("no PEM"), &server, key, 30), "it is not a certificate");
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
    ca_done(&ca);
    ca_done(&same_name);
}

static void they_end_and_are_made_anew_before(void **state)
{
    const int64_t day_ms = INT64_C(24) * 3600 * 1000, begin_ms = now_ms;
    struct ca ca = create_ca("domicile eu-fr");
    EVP_PKEY *key = make_key("P-256");
    struct str pem, late;
    check_ok(ca_sign_key(&ca, key, &client, 90, &arena, &pem));
    now_ms = begin_ms + 59 * day_ms;
    assert_null(misfit(&ca, pem, &client, key, 30));
    now_ms = begin_ms + 61 * day_ms;
    assert_string_equal(misfit(&ca, pem, &client, key, 30), "it expires on 2026-04-01");
    assert_null(misfit(&ca, pem, &client, key, 0));
    now_ms = begin_ms - day_ms;
    assert_string_equal(misfit(&ca, pem, &client, key, 0), "it is not valid yet");
    now_ms = begin_ms + (CA_DAYS - 10) * day_ms; /* no certificate outlives its CA */
    check_ok(ca_sign_key(&ca, key, &client, 90, &arena, &late));
    assert_null(misfit(&ca, late, &client, key, 9));
    assert_non_null(misfit(&ca, late, &client, key, 11));
    EVP_PKEY_free(key);
    ca_done(&ca);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_it_signs_fits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_certificate_has_what_it_needs_and_no_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(requests_that_are_not_signed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(certificates_that_do_not_fit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(they_end_and_are_made_anew_before, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
