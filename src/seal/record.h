#pragma once
/* Sealed records: what the cell stores of a record whose class is sealed.
 *
 *     1   format, 0xd1
 *     4   key version, u32 big-endian
 *     24  nonce, random
 *     n   ciphertext, XAES-256-GCM under the class key
 *     16  tag
 * The associated data is rebuilt from where the record stands and never stored:
 *     "domicile record v1" | region | customer | class | key | revision | key version
 * (strings behind their length as u16, revision as u64, key version as u32, all big-endian). A record that was moved to
 * another place, or given another revision, does not open. A whole row that is replaced by an older version of itself
 * does open: the audit log shows that.
 *
 * Key commitment: XAES-256-GCM alone has none, and a record carries none. A record is opened with the one key that its
 * place and key version name, never by trying several, and that key was fixed by the commitment in its wrapped form;
 * whoever could make a record that opens under two keys would have to know both. */
#include "seal/classkey.h"

enum {
    RECORD_HEADER_BYTES = 29,
    RECORD_OVERHEAD_BYTES = RECORD_HEADER_BYTES + 16,
    RECORD_PLAINTEXT_MAX = 64 * 1024 * 1024 + 256, /* a body of 64 MiB behind its content type */
    RECORD_KEY_MAX = 512,
};

struct record_place {
    struct str region, customer, class; /* identifiers */
    struct str key;                     /* 1 to RECORD_KEY_MAX bytes */
    int64_t revision;
};

static inline size_t record_sealed_size(size_t plaintext_len)
{
    return plaintext_len + RECORD_OVERHEAD_BYTES;
}

/* What opening gives; 0 when it is too short to be a sealed record. */
static inline size_t record_plaintext_size(size_t sealed_len)
{
    return sealed_len < RECORD_OVERHEAD_BYTES ? 0 : sealed_len - RECORD_OVERHEAD_BYTES;
}

/* out takes record_sealed_size(plaintext.len). E_LIMIT: the plaintext or a name is too long. */
result record_seal(const struct class_key *key, const struct record_place *place, struct str plaintext,
                   uint8_t *out) MUST_USE;

/* Which version of the class key to open it with. E_SEAL. */
result record_key_version(struct str sealed, uint32_t *ret) MUST_USE;

/* out takes record_plaintext_size(sealed.len); *ret_len is that size. Any failure is E_SEAL in the same words, and out
 * holds no byte of the record. The caller raises the alarm. */
result record_open(const struct class_key *key, const struct record_place *place, struct str sealed,
                   uint8_t *out, size_t *ret_len) MUST_USE;
