#pragma once
/* Text forms of bytes: hexadecimal and base64 (RFC 4648 4 and 5). Not constant-time: not for long-term
 * secrets. */
#include "base/arena.h"

char *encode_hex(struct arena *arena, struct str bytes);                   /* lower case */
bool decode_hex(struct str text, void *buf, size_t size, size_t *ret_len); /* either case, even length */
struct str encode_base64url(struct arena *arena, struct str bytes);        /* no padding */
struct str encode_base64(struct arena *arena, struct str bytes);           /* padded */
bool decode_base64url(struct str text, void *buf, size_t size,
                      size_t *ret_len);                                       /* no padding; canonical only */
bool decode_base64(struct str text, void *buf, size_t size, size_t *ret_len); /* padded; canonical only */
