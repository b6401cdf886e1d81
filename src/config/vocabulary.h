#pragma once
/* The words that policies are made of: roles and actions, from roles.def and actions.def. 0 is "unknown" in both, and
 * the policy refuses it. */
#include "base/str.h"

enum role {
    ROLE_UNKNOWN = 0,
#define X(role, word, kind, help) role,
#include "config/roles.def"
#undef X
    ROLE_COUNT
};

enum role_kind { ROLE_OF_NOBODY = 0, ROLE_STAFF, ROLE_OF_CUSTOMER, ROLE_INTERNAL };

enum action {
    ACTION_UNKNOWN = 0,
#define X(action, word, about_class, help) action,
#include "config/actions.def"
#undef X
    ACTION_COUNT
};

enum role role_from(struct str word);  /* ROLE_UNKNOWN for any other word */
const char *role_word(enum role role); /* "unknown" for ROLE_UNKNOWN */
const char *role_help(enum role role);
enum role_kind role_kind(enum role role);
/* Staff and customers' roles may be granted to a client; "system" and unknown ones never. */
bool role_is_grantable(enum role role);

enum action action_from(struct str word);
const char *action_word(enum action action);
const char *action_help(enum action action);
/* A question about it needs a class. Inline: it is asked for every rule of every decision. */
static inline bool action_is_about_class(enum action action)
{
#define X(action, word, about_class, help) | (uint32_t)(about_class) << action
    const uint32_t about_class = 0
#include "config/actions.def"
        ;
#undef X
    return (unsigned)action < ACTION_COUNT && (about_class >> action & 1);
}
