#pragma once
/* SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash for tables whose keys a stranger chooses, so that nobody
 * without the key can choose ones that collide. */
#include "base/str.h"

struct siphash_key {
    uint64_t k0, k1;
};

struct siphash_key siphash_key_new(void); /* random */
uint64_t siphash(struct siphash_key key, struct str bytes);
