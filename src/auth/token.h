#pragma once
/* Access tokens: JSON Web Tokens (RFC 7519) of the profile of RFC 9068, as compact JWS (RFC 7515) with Ed25519
 * (RFC 8037), and nothing else of that family.
 *
 *     header  {"alg":"EdDSA","typ":"at+jwt","kid":...}   exactly these three
 *     claims  iss and aud (the region), sub and client_id (the client), role, customer (of a customer's client only),
 *             iat, exp, jti; others are ignored, but for nbf, which is honoured
 *
 * Each region signs with its own key, and a region's key speaks for that region alone: iss and aud are its name. kid is
 * the thumbprint of the key (RFC 7638), and the key alone says the algorithm. A token for another region verifies: the
 * caller compares principal.region and answers 421.
 *
 * Pure CPU (a signature or its check takes about 100 us) but for the loading of files, which blocks at start. */
#include "auth/principal.h"
#include "base/arena.h"

enum {
    TOKEN_MAX = 2048, /* bytes */
    TOKEN_LIFETIME_MAX_S = 15 * 60,
    TOKEN_KEYS_MAX = 256,
    TOKEN_KID_SIZE = 44, /* NUL included */
};

/* The public keys of all regions. */
struct token_keys;
result token_keys_new(struct token_keys **ret) MUST_USE; /* E_MEMORY */
void token_keys_free(struct token_keys *keys);           /* takes NULL */
/* A PEM file (SubjectPublicKeyInfo) with an Ed25519 key. A region may have several, while keys are being changed.
 * E_CONFIG: not readable, not such a key, or the key of another region already. */
result token_keys_add_file(struct token_keys *keys, struct str region, const char *path) MUST_USE;

/* E_TOKEN_EXPIRED, or E_UNAUTHENTICATED with the reason; the signature is checked before anything that is in the claims
 * is looked at. */
result token_verify(const struct token_keys *keys, struct str token, int64_t wall_ms, struct principal *ret)
    MUST_USE;

/* Which they are, one after the other: false when there are no more. Strings live as long as the keys. */
struct token_key_name {
    const char *region, *kid;
};
bool token_keys_at(const struct token_keys *keys, size_t index, struct token_key_name *ret);
bool token_keys_have(const struct token_keys *keys, const struct token_key_name *name);

/* A region's private key. */
struct token_signer;
/* A PEM file (PKCS #8, not encrypted) of mode 0600, as for the root key. E_CONFIG. */
result token_signer_new(struct token_signer **ret, struct str region, const char *path) MUST_USE;
void token_signer_free(struct token_signer *signer); /* takes NULL */
const char *token_signer_kid(const struct token_signer *signer);

/* principal's client, role and customer; it gets the signer's region and is good from wall_ms (in whole seconds) for
 * lifetime_s, at most TOKEN_LIFETIME_MAX_S. E_INTERNAL: the principal is none that token_verify would accept. */
result token_sign(const struct token_signer *signer, const struct principal *principal, int64_t wall_ms,
                  uint32_t lifetime_s, struct arena *arena, struct str *ret) MUST_USE;

/* A new key pair in two new files, the private one of mode 0600; on disk when this returns. E_CONFLICT: one of them is
 * there already, and nothing is changed; E_IO. */
result token_key_generate(const char *private_path, const char *public_path) MUST_USE;
