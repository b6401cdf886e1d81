/* Checks of a certificate. */
#include "base/clock.h"
#include "pki/certificate.h"
#include "pki/certificate_internal.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

time_t certificate_now(void)
{
    return (time_t)(clock_wall_ms() / 1000);
}

bool certificate_is_numeric(const char *address)
{
    struct in6_addr bytes;
    return inet_pton(AF_INET, address, &bytes) == 1 || inet_pton(AF_INET6, address, &bytes) == 1;
}

static BIO *reader(struct str pem)
{
    return pem.ptr == NULL || pem.len > CERTIFICATE_PEM_MAX ? NULL : BIO_new_mem_buf(pem.ptr, (int)pem.len);
}

result pem_certificate(struct str pem, const char *what, X509 **ret)
{
    BIO *bio = reader(pem);
    X509 *certificate = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    ERR_clear_error();
    if (certificate == NULL)
        return FAIL(E_CERTIFICATE, "Put a certificate in PEM format there.", "%s cannot be read", what);
    *ret = certificate;
    return OK;
}

result pem_public_key(struct str pem, const char *what, EVP_PKEY **ret)
{
    BIO *bio = reader(pem);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    BIO_free(bio);
    ERR_clear_error();
    if (key == NULL)
        return FAIL(E_CERTIFICATE, "Put a public key in PEM format there.", "%s cannot be read", what);
    *ret = key;
    return OK;
}

static const char *date_text(const ASN1_TIME *time, struct arena *arena)
{
    struct tm tm;
    if (ASN1_TIME_to_tm(time, &tm) != 1)
        return "?";
    return arena_printf(arena, "%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
}

static bool has_name(X509 *certificate, const char *common_name)
{
    char name[128];
    return X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name) >=
               0 &&
           strcmp(name, common_name) == 0;
}

static bool has_address(X509 *certificate, const char *address)
{
    return certificate_is_numeric(address)
               ? X509_check_ip_asc(certificate, address, 0) == 1
               : X509_check_host(certificate, address, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}

static bool is_for(X509 *certificate, const struct certificate_purpose *purpose)
{
    uint32_t use = X509_get_extended_key_usage(certificate);
    return use == (purpose->address != NULL ? XKU_SSL_SERVER : XKU_SSL_CLIENT) &&
           (X509_get_extension_flags(certificate) & EXFLAG_CA) == 0;
}

static const char *misfit(const struct ca *ca, X509 *certificate, const struct certificate_purpose *purpose,
                          EVP_PKEY *public_key, uint32_t renew_days, struct arena *arena)
{
    enum { DAY_SECONDS = 24 * 3600 };
    time_t now = certificate_now(), later = now + (time_t)renew_days * DAY_SECONDS;
    if (X509_check_issued(ca->certificate, certificate) != X509_V_OK ||
        X509_verify(certificate, X509_get0_pubkey(ca->certificate)) != 1)
        return "another CA signed it";
    if (public_key != NULL && EVP_PKEY_eq(X509_get0_pubkey(certificate), public_key) != 1)
        return "it does not belong to its private key";
    if (!has_name(certificate, purpose->common_name))
        return arena_printf(arena, "its name is not \"%s\"", purpose->common_name);
    if (purpose->address != NULL && !has_address(certificate, purpose->address))
        return arena_printf(arena, "it is not for the address \"%s\"", purpose->address);
    if (!is_for(certificate, purpose))
        return "it is for another use";
    if (X509_cmp_time(X509_get0_notBefore(certificate), &now) > 0)
        return "it is not valid yet";
    if (X509_cmp_time(X509_get0_notAfter(certificate), &later) < 0)
        return arena_printf(arena, "it expires on %s", date_text(X509_get0_notAfter(certificate), arena));
    return NULL;
}

const char *certificate_misfit(const struct ca *ca, struct str pem, const struct certificate_purpose *purpose,
                               EVP_PKEY *public_key, uint32_t renew_days, struct arena *arena,
                               const char **ret_ends)
{
    X509 *certificate = NULL;
    if (failed(pem_certificate(pem, "it", &certificate)))
        return "it is not a certificate";
    *ret_ends = date_text(X509_get0_notAfter(certificate), arena);
    const char *why = misfit(ca, certificate, purpose, public_key, renew_days, arena);
    X509_free(certificate);
    ERR_clear_error();
    return why;
}
