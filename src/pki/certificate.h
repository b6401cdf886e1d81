#pragma once
/* The certificates of a cell: an authority of the region, and what it signs. P-256 and SHA-256 throughout. Pure but for
 * the clock and random serials; files are certificate_file.h's. */
#include "base/arena.h"

typedef struct x509_st X509;
typedef struct evp_pkey_st EVP_PKEY;

enum {
    CERTIFICATE_PEM_MAX = 16 * 1024, /* of a certificate, a request, a public key */
    AUTHORITY_DAYS = 3650,
};

struct authority {
    X509 *certificate;
    EVP_PKEY *key; /* NULL: it verifies, and cannot sign */
};
void authority_done(struct authority *authority);

/* A new key, and a certificate that it signs itself: CA:TRUE, pathlen:0, keyCertSign and cRLSign. */
result authority_key_make(EVP_PKEY **ret) MUST_USE;
result authority_certificate_make(EVP_PKEY *key, const char *name, X509 **ret) MUST_USE;

/* What a certificate is for. A server is verified by its address, a client by its common name. */
struct certificate_purpose {
    const char *common_name;
    const char *address; /* of a server: a name or a numeric address, its alternative name; NULL: a client */
};

bool certificate_is_numeric(const char *address); /* not a name */

/* Signs a request (PEM). Its signature, its key (P-256) and its name are looked at; everything else in it is ignored.
 * Never valid for longer than the authority. E_CERTIFICATE. */
result authority_sign(const struct authority *authority, struct str request,
                      const struct certificate_purpose *purpose, uint32_t days, struct arena *arena,
                      struct str *ret_pem) MUST_USE;
/* The same of a key that is here. */
result authority_sign_key(const struct authority *authority, EVP_PKEY *key,
                          const struct certificate_purpose *purpose, uint32_t days, struct arena *arena,
                          struct str *ret_pem) MUST_USE;

/* NULL: the certificate (PEM) is the authority's, for that purpose, of that key, and does not end within renew_days.
 * Else why it is not, in the arena. *ret_ends is when it ends ("2027-01-31"), if it can be read at all. */
const char *certificate_misfit(const struct authority *authority, struct str pem,
                               const struct certificate_purpose *purpose, EVP_PKEY *public_key,
                               uint32_t renew_days, struct arena *arena, const char **ret_ends);

/* ---- PEM ---- E_CERTIFICATE; `what` names it: "the certificate of \"eu1\"" */
result pem_certificate(struct str pem, const char *what, X509 **ret) MUST_USE;
result pem_public_key(struct str pem, const char *what, EVP_PKEY **ret) MUST_USE;
struct str certificate_pem(X509 *certificate, struct arena *arena);
