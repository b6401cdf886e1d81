#include "pki/certificate.h"

#include "base/clock.h"
#include "pki/certificate_internal.h"

#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

enum { SERIAL_BITS = 127, BACK_SECONDS = 300, DAY_SECONDS = 24 * 3600, NAME_MAX_BYTES = 64 };

static const char curve[] = "P-256";

void ca_done(struct ca *ca)
{
    X509_free(ca->certificate);
    EVP_PKEY_free(ca->key);
    *ca = (struct ca){ 0 };
}

/* ---- parts ---- OpenSSL fails here only without memory or random bytes */

static void set_name(X509_NAME *name, const char *common_name)
{
    must(strlen(common_name) <= NAME_MAX_BYTES);
    must(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1,
                                    0) == 1);
}

static void set_serial(X509 *certificate)
{
    BIGNUM *serial = BN_new();
    must(serial != NULL && BN_rand(serial, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1);
    must(BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(certificate)) != NULL);
    BN_free(serial);
}

static void set_days(X509 *certificate, uint32_t days)
{
    time_t now = certificate_now();
    must(X509_time_adj_ex(X509_getm_notBefore(certificate), 0, -BACK_SECONDS, &now) != NULL);
    must(X509_time_adj_ex(X509_getm_notAfter(certificate), (int)days, 0, &now) != NULL);
}

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    must(extension != NULL && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static X509 *certificate_new(EVP_PKEY *key, const char *common_name, uint32_t days)
{
    X509 *certificate = X509_new();
    must(certificate != NULL && X509_set_version(certificate, X509_VERSION_3) == 1);
    set_serial(certificate);
    set_days(certificate, days);
    set_name(X509_get_subject_name(certificate), common_name);
    must(X509_set_pubkey(certificate, key) == 1);
    return certificate;
}

static void sign(X509 *certificate, EVP_PKEY *key)
{
    must(X509_sign(certificate, key, EVP_sha256()) > 0);
}

/* ---- the CA ---- */

result ca_key_create(EVP_PKEY **ret)
{
    EVP_PKEY *key = EVP_EC_gen(curve);
    if (key == NULL)
        return FAIL(E_RESOURCE, "Try again.", "cannot create a private key");
    *ret = key;
    return OK;
}

result ca_certificate_create(EVP_PKEY *key, const char *name, X509 **ret)
{
    X509 *certificate = certificate_new(key, name, CA_DAYS);
    must(X509_set_issuer_name(certificate, X509_get_subject_name(certificate)) == 1);
    add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
    add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
    add_extension(certificate, certificate, NID_subject_key_identifier, "hash");
    sign(certificate, key);
    *ret = certificate;
    return OK;
}

/* ---- signing ---- */

static void end_with_ca(X509 *certificate, const X509 *ca)
{
    if (ASN1_TIME_compare(X509_get0_notAfter(certificate), X509_get0_notAfter(ca)) > 0)
        must(X509_set1_notAfter(certificate, X509_get0_notAfter(ca)) == 1);
}

static void add_purpose(X509 *certificate, X509 *issuer, const struct certificate_purpose *purpose,
                        struct arena *arena)
{
    bool server = purpose->address != NULL;
    add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE");
    add_extension(certificate, issuer, NID_key_usage, "critical,digitalSignature");
    add_extension(certificate, issuer, NID_ext_key_usage, server ? "serverAuth" : "clientAuth");
    if (server)
        add_extension(certificate, issuer, NID_subject_alt_name,
                      arena_printf(arena, "%s:%s", certificate_is_numeric(purpose->address) ? "IP" : "DNS",
                                   purpose->address));
    add_extension(certificate, issuer, NID_subject_key_identifier, "hash");
    add_extension(certificate, issuer, NID_authority_key_identifier, "keyid:always");
}

struct str certificate_pem(X509 *certificate, struct arena *arena)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *bytes;
    must(bio != NULL && PEM_write_bio_X509(bio, certificate) == 1);
    long length = BIO_get_mem_data(bio, &bytes);
    struct str pem = arena_str(arena, (struct str){ bytes, (size_t)length });
    BIO_free(bio);
    return pem;
}

result ca_sign_key(const struct ca *ca, EVP_PKEY *key, const struct certificate_purpose *purpose,
                   uint32_t days, struct arena *arena, struct str *ret_pem)
{
    must(ca->key != NULL);
    if (strlen(purpose->common_name) > NAME_MAX_BYTES)
        return FAIL(E_CERTIFICATE, "Choose a shorter name.", "the name \"%s\" is too long for a certificate",
                    purpose->common_name);
    X509 *certificate = certificate_new(key, purpose->common_name, days);
    must(X509_set_issuer_name(certificate, X509_get_subject_name(ca->certificate)) == 1);
    end_with_ca(certificate, ca->certificate);
    add_purpose(certificate, ca->certificate, purpose, arena);
    sign(certificate, ca->key);
    *ret_pem = certificate_pem(certificate, arena);
    X509_free(certificate);
    return OK;
}

static const char *request_misfit(X509_REQ *request, const struct certificate_purpose *purpose)
{
    EVP_PKEY *key = X509_REQ_get0_pubkey(request);
    char group[32] = "", name[NAME_MAX_BYTES + 2] = "";
    if (key == NULL || X509_REQ_verify(request, key) != 1)
        return "is not signed with its own key";
    if (EVP_PKEY_get_group_name(key, group, sizeof group, NULL) != 1 ||
        strcmp(group, SN_X9_62_prime256v1) != 0)
        return "has a key that is not on curve P-256";
    if (X509_NAME_get_text_by_NID(X509_REQ_get_subject_name(request), NID_commonName, name, sizeof name) <
            0 ||
        strcmp(name, purpose->common_name) != 0)
        return "is for another name";
    return NULL;
}

result ca_sign(const struct ca *ca, struct str request, const struct certificate_purpose *purpose,
               uint32_t days, struct arena *arena, struct str *ret_pem)
{
    static const char hint[] = "Check openssl on that host: it created the request.";
    BIO *bio = request.len > CERTIFICATE_PEM_MAX ? NULL : BIO_new_mem_buf(request.ptr, (int)request.len);
    X509_REQ *parsed = bio == NULL ? NULL : PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
    BIO_free(bio);
    if (parsed == NULL)
        return FAIL(E_CERTIFICATE, hint, "the host's answer for \"%s\" is not a certificate request",
                    purpose->common_name);
    const char *misfit = request_misfit(parsed, purpose);
    result r = misfit != NULL ? FAIL(E_CERTIFICATE, hint, "the certificate request for \"%s\" %s",
                                     purpose->common_name, misfit)
                              : ca_sign_key(ca, X509_REQ_get0_pubkey(parsed), purpose, days, arena, ret_pem);
    X509_REQ_free(parsed);
    return r;
}
