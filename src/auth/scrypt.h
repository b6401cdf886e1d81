#pragma once
/* Secrets at rest: scrypt (RFC 7914) in the string form that others use as well,
 *     $scrypt$ln=15,r=8,p=1$<salt, base64 without padding>$<32 bytes, base64 without padding>
 * Pure CPU, some 100 ms and 32 MiB at the default cost: off the loop (client.h does that). */
#include "base/secret.h"
#include "base/str.h"

enum { SCRYPT_TEXT_SIZE = 192, SCRYPT_SALT_BYTES = 16, SCRYPT_HASH_BYTES = 32 };

struct scrypt_cost {
    uint32_t ln, r, p; /* N = 2^ln */
};
#define SCRYPT_COST_DEFAULT ((struct scrypt_cost){ 15, 8, 1 })

/* With a new salt. E_MEMORY. */
result scrypt_hash(struct str secret, struct scrypt_cost cost, char text[SCRYPT_TEXT_SIZE]) MUST_USE;

/* *ret_matches, in constant time for one cost. E_FORMAT: text is no such string, or its cost is out of bounds (ln 14 to
 * 17, r 8 to 16, p 1 to 4, at most 128 MiB; salt 16 to 48 bytes); E_MEMORY. */
result scrypt_verify(struct str text, struct str secret, bool *ret_matches) MUST_USE;

/* The bare function. E_MEMORY. */
result scrypt_derive(struct str secret, struct str salt, struct scrypt_cost cost, uint8_t *out, size_t len)
    MUST_USE;
