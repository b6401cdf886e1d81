#pragma once
/* What seal's files share: fields encoded one way only, and HKDF. Nobody else includes it. */
#include "base/secret.h"
#include "base/str.h"

enum { FIELDS_MAX = 1024 };

/* Strings stand behind their length (u16), numbers have a fixed size, all big-endian: no two lists of fields of the
 * same types give the same bytes. */
struct fields {
    size_t len;
    bool overflow; /* a field was too long; the bytes are of no use */
    uint8_t bytes[FIELDS_MAX];
};

void fields_begin(struct fields *fields, struct str label);
void fields_str(struct fields *fields, struct str s, size_t max);
void fields_u32(struct fields *fields, uint32_t n);
void fields_u64(struct fields *fields, uint64_t n);

static inline struct str fields_bytes(const struct fields *fields)
{
    return (struct str){ (const char *)fields->bytes, fields->len };
}

/* HKDF-SHA256 (RFC 5869) of a secret, without salt. */
void seal_hkdf(const struct secret *secret, struct str info, uint8_t *out, size_t len);
