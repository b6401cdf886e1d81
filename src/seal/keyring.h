#pragma once
/* The class keys that a gateway has unwrapped: in locked memory, at most keys_max of them, each for lifetime_ms from
 * its unwrapping and not longer. An expired key is not found; it is wiped at the next look at it, or by keyring_expire.
 * When the ring is full, an old key that was not used recently is dropped. Of one region; waits on nothing.
 *
 * A key that keyring_find returns stays good until the next call that puts, forgets or expires: use it before you wait. */
#include "seal/classkey.h"

enum { KEYRING_KEYS_MAX = 50000 }; /* 1.6 MB of locked memory */

struct keyring;

result keyring_new(struct keyring **ret, size_t keys_max, uint64_t lifetime_ms)
    MUST_USE;                            /* E_LIMIT, E_MEMORY */
void keyring_free(struct keyring *ring); /* wipes; takes NULL */

/* NULL: the key is not here; unwrap it. */
const struct class_key *keyring_find(struct keyring *ring, struct str customer, struct str class,
                                     uint32_t version);
/* The version that writes use, as last given to this ring. */
const struct class_key *keyring_find_current(struct keyring *ring, struct str customer, struct str class);

/* Takes the key (*key is empty afterwards, also on failure) in place of one of the same name and version. is_current:
 * writes use it from now on, and no other version of the name. E_LIMIT: a name is too long; E_MEMORY. */
result keyring_put(struct keyring *ring, struct str customer, struct str class, struct class_key *key,
                   bool is_current) MUST_USE;

void keyring_forget_all(struct keyring *ring);
void keyring_expire(struct keyring *ring); /* call it every few seconds, so that unused keys go as well */
size_t keyring_count(const struct keyring *ring);
