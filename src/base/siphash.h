#pragma once
/* SipHash-1-3 with 128 bits of output (Aumasson and Bernstein, "SipHash: a fast short-input PRF", and the authors'
 * 128-bit variant; the rounds are those that hash tables use): a keyed hash of short strings. Whoever does not know the
 * key cannot find two that collide. */
#include "base/str.h"

struct siphash_key {
    uint64_t words[2];
};
struct siphash {
    uint64_t words[2]; /* as a little-endian machine reads the 16 bytes of output */
};
struct siphash siphash(const struct siphash_key *key, struct str s);
