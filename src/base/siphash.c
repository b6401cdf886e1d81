#include "base/siphash.h"

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void rounds(uint64_t v[4], int count)
{
    while (count-- > 0) {
        v[0] += v[1], v[1] = rotate(v[1], 13) ^ v[0], v[0] = rotate(v[0], 32);
        v[2] += v[3], v[3] = rotate(v[3], 16) ^ v[2];
        v[0] += v[3], v[3] = rotate(v[3], 21) ^ v[0];
        v[2] += v[1], v[1] = rotate(v[1], 17) ^ v[2], v[2] = rotate(v[2], 32);
    }
}

static void absorb(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    rounds(v, 1);
    v[0] ^= word;
}

struct siphash siphash(const struct siphash_key *key, struct str s)
{
    uint64_t v[4] = { key->words[0] ^ 0x736f6d6570736575, key->words[1] ^ 0x646f72616e646f6d ^ 0xee,
                      key->words[0] ^ 0x6c7967656e657261, key->words[1] ^ 0x7465646279746573 };
    size_t at = 0;
    for (uint64_t word; s.len - at >= sizeof word; at += sizeof word) {
        memcpy(&word, s.ptr + at, sizeof word);
        absorb(v, word);
    }
    uint64_t tail = (uint64_t)s.len << 56;
    for (int shift = 0; at < s.len; at++, shift += 8)
        tail |= (uint64_t)(unsigned char)s.ptr[at] << shift;
    absorb(v, tail);
    struct siphash hash;
    v[2] ^= 0xee;
    rounds(v, 3);
    hash.words[0] = v[0] ^ v[1] ^ v[2] ^ v[3];
    v[1] ^= 0xdd;
    rounds(v, 3);
    hash.words[1] = v[0] ^ v[1] ^ v[2] ^ v[3];
    return hash;
}
