#pragma once
/* JSON from outside (RFC 8259), parsed by jansson: no duplicate members, and no more levels than the caller allows,
 * since the parser recurses on a fiber's stack. */
#include "base/str.h"

#include <jansson.h>

enum { JSON_DEPTH_MAX = 32 };

/* E_JSON says where. The caller owns *ret. */
result json_parse(struct str text, size_t depth_max, json_t **ret) MUST_USE;

/* The bytes of a member's value exactly as they were sent; ptr is NULL without such a member. `object` is the
 * text of one object that json_parse accepted; a name with escapes in it is not found. */
struct str json_member_raw(struct str object, const char *name);

/* A string member without NUL inside; ptr is NULL when it is absent or of another type. */
struct str json_member_str(const json_t *object, const char *name);

/* E_JSON names the first member that is not among `names` (ends with NULL). */
result json_only_members(const json_t *object, const char *const *names) MUST_USE;
