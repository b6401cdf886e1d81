#pragma once
/* Keyed digests (HMAC-SHA256) of what customers sent: they tell whether two requests are the same, and tell whoever has
 * no key nothing, not even about content that can be guessed. */
#include "seal/rootkey.h"

enum { MAC_BYTES = 32 };

struct mac_key {
    struct secret secret;
};

/* The key of a region for one use: HKDF-SHA256 (RFC 5869) over the root key, with info = label | region, each behind
 * its length as u16. The same at every gateway of the region, and over rotations of class keys. E_LIMIT: the region is
 * no identifier; E_RESOURCE. */
result mac_key_derive(const struct root_key *root, struct str label, struct str region, struct mac_key *ret)
    MUST_USE;
void mac_key_free(struct mac_key *key); /* wipes; takes an empty one */

/* Of the parts in their order, each behind its length as u64, big-endian: no two lists of parts give the same bytes. */
void mac_of(const struct mac_key *key, const struct str *parts, size_t count, uint8_t mac[MAC_BYTES]);
