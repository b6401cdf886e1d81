#pragma once
/* The certificates of a cell: the region's CA, and the certificates that it signs. Always P-256 and SHA-256. Pure, except for
 * the clock and random serial numbers; files are in certificate_file.h. */
#include "base/arena.h"

typedef struct x509_st X509;
typedef struct evp_pkey_st EVP_PKEY;

enum {
    CERTIFICATE_PEM_MAX = 16 * 1024, /* of a certificate, a request, a public key */
    CA_DAYS = 3650,
};

struct ca {
    X509 *certificate;
    EVP_PKEY *key; /* NULL: it can verify, but not sign */
};
void ca_done(struct ca *ca);

/* A new key, and its self-signed certificate: CA:TRUE, pathlen:0, keyCertSign and cRLSign. */
result ca_key_create(EVP_PKEY **ret) MUST_USE;
result ca_certificate_create(EVP_PKEY *key, const char *name, X509 **ret) MUST_USE;

/* The purpose of a certificate. A server is verified by its address, a client by its common name. */
struct certificate_purpose {
    const char *common_name;
    const char *address; /* of a server: a name or numeric address, for subjectAltName; NULL: a client */
};

bool certificate_is_numeric(const char *address); /* not a name */

/* Signs a certificate request (PEM). Checks its signature, key (P-256) and name; ignores the rest of it. The certificate never
 * outlives the CA. E_CERTIFICATE. */
result ca_sign(const struct ca *ca, struct str request, const struct certificate_purpose *purpose,
               uint32_t days, struct arena *arena, struct str *ret_pem) MUST_USE;
/* The same for a key that is here. */
result ca_sign_key(const struct ca *ca, EVP_PKEY *key, const struct certificate_purpose *purpose,
                   uint32_t days, struct arena *arena, struct str *ret_pem) MUST_USE;

/* NULL: the certificate (PEM) is signed by the CA, for that purpose and key, and does not expire within renew_days. Otherwise
 * the reason, in the arena. *ret_ends: when it expires ("2027-01-31"), if it can be read. */
const char *certificate_misfit(const struct ca *ca, struct str pem, const struct certificate_purpose *purpose,
                               EVP_PKEY *public_key, uint32_t renew_days, struct arena *arena,
                               const char **ret_ends);

/* ---- PEM ---- E_CERTIFICATE; `what` names it: "the certificate of \"eu1\"" */
result pem_certificate(struct str pem, const char *what, X509 **ret) MUST_USE;
result pem_public_key(struct str pem, const char *what, EVP_PKEY **ret) MUST_USE;
struct str certificate_pem(X509 *certificate, struct arena *arena);
