#pragma once
/* Strings with a length: views that own nothing. Bytes from outside are never assumed to end in NUL. */
#include "base/result.h"

#include <stdint.h>
#include <string.h>

struct str {
    const char *ptr; /* may be NULL when len is 0 */
    size_t len;
};

#define STR(literal) ((struct str){ "" literal, sizeof(literal) - 1 })
#define STR_ARG(s) (int)(s).len, ((s).ptr ? (s).ptr : "") /* for "%.*s" */

static inline struct str str_from(const char *c) /* NULL gives the empty string */
{
    return (struct str){ c, c ? strlen(c) : 0 };
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool str_is(struct str a, const char *c)
{
    return str_eq(a, str_from(c));
}

bool str_eq_nocase(struct str a, struct str b); /* ASCII only */
bool str_starts(struct str s, struct str prefix);
int str_compare(struct str a, struct str b); /* bytewise, as memcmp; a prefix sorts first */
struct str str_trim(struct str s);           /* spaces and tabs */

/* FNV-1a of 64 bits, over several strings by passing the hash on; begins with STR_HASH_INIT. It spreads well, but does
 * not resist someone who chooses the strings: siphash.h does. */
#define STR_HASH_INIT UINT64_C(0xcbf29ce484222325)
uint64_t str_hash(uint64_t hash, struct str s);

/* Cuts *rest at the first `separator`; returns the part before it. False when nothing is left (rest->ptr is
 * NULL). */
bool str_cut(struct str *rest, char separator, struct str *ret_part);

/* A decimal number without sign, spaces or leading zeros ("0" itself is one), at most `max`. */
bool str_to_u64(struct str s, uint64_t max, uint64_t *ret);

/* Well-formed UTF-8 per RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. NUL counts as a
 * byte. */
bool str_is_utf8(struct str s);

/* [a-z0-9][a-z0-9-]{1,62}: the shape of every identifier that a customer or operator chooses. */
bool str_is_id(struct str s);

/* Decodes percent-encoding (RFC 3986 2.1) into buf, which holds `size` bytes. Fails on a broken escape or a
 * full buffer. No byte is refused here: the caller checks the result, after decoding and not before. */
bool str_percent_decode(struct str s, char *buf, size_t size, size_t *ret_len);

/* Encodes all but RFC 3986's unreserved characters; false when the buffer (size, NUL included) is too small.
 */
bool str_percent_encode(struct str s, char *buf, size_t size);
