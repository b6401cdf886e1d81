#pragma once
/* Class keys: 32 random bytes for (customer, class, version), kept in the cell wrapped by the region's root key.
 *
 * Wrapped form, CLASSKEY_WRAPPED_BYTES:
 *     1   format, 0x01
 *     32  commitment
 *     12  nonce, random
 *     32  the key, AES-256-GCM
 *     16  tag
 * Wrapping key and commitment are 64 bytes of HKDF-SHA256 (RFC 5869) over the root key, with
 *     info = "domicile class key wrap v1" | region | customer | class | version
 * (strings behind their length as u16, version as u32, all big-endian). So a wrapped key opens under one root key, for
 * one name, and the key commitment that GCM lacks is added: the commitment is compared, in constant time, before
 * anything is decrypted. It is the associated data as well, with the format. */
#include "seal/rootkey.h"

enum { CLASSKEY_BYTES = 32, CLASSKEY_WRAPPED_BYTES = 93, CLASSKEY_VERSION_MAX = 0x7fffffff };

struct class_key {
    struct secret secret;
    uint32_t version; /* from 1 */
};

/* Whose key it is. The names are identifiers (str_is_id). */
struct class_key_name {
    struct str region, customer, class;
    uint32_t version; /* 1 to CLASSKEY_VERSION_MAX */
};

result classkey_generate(uint32_t version, struct class_key *ret) MUST_USE; /* E_RESOURCE */
void classkey_free(struct class_key *key);                                  /* wipes; takes an empty one */

/* key->version is name->version. E_LIMIT: a name is longer than an identifier may be. */
result classkey_wrap(const struct root_key *root, const struct class_key_name *name,
                     const struct class_key *key, uint8_t wrapped[CLASSKEY_WRAPPED_BYTES]) MUST_USE;

/* E_SEAL, always in the same words: altered, cut, of another name, or of another root key. E_RESOURCE. */
result classkey_unwrap(const struct root_key *root, const struct class_key_name *name, struct str wrapped,
                       struct class_key *ret) MUST_USE;
