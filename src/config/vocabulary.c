#include "config/vocabulary.h"

static const struct {
    const char *word;
    enum role_kind kind;
    const char *help;
} roles[ROLE_COUNT] = {
    [ROLE_UNKNOWN] = { "unknown", ROLE_OF_NOBODY, "not a role of domicile" },
#define X(role, word, kind, help) [role] = { word, kind, help },
#include "config/roles.def"
#undef X
};

static const struct {
    const char *word, *help;
} actions[ACTION_COUNT] = {
    [ACTION_UNKNOWN] = { "unknown", "not an action of domicile" },
#define X(action, word, about_class, help) [action] = { word, help },
#include "config/actions.def"
#undef X
};

enum role role_from(struct str word)
{
    for (enum role role = ROLE_UNKNOWN + 1; role < ROLE_COUNT; role++)
        if (str_is(word, roles[role].word))
            return role;
    return ROLE_UNKNOWN;
}

static enum role role_known(enum role role)
{
    return (unsigned)role < ROLE_COUNT ? role : ROLE_UNKNOWN;
}

const char *role_word(enum role role)
{
    return roles[role_known(role)].word;
}

const char *role_help(enum role role)
{
    return roles[role_known(role)].help;
}

enum role_kind role_kind(enum role role)
{
    return roles[role_known(role)].kind;
}

bool role_is_grantable(enum role role)
{
    return role_kind(role) == ROLE_STAFF || role_kind(role) == ROLE_OF_CUSTOMER;
}

enum action action_from(struct str word)
{
    for (enum action action = ACTION_UNKNOWN + 1; action < ACTION_COUNT; action++)
        if (str_is(word, actions[action].word))
            return action;
    return ACTION_UNKNOWN;
}

static enum action action_known(enum action action)
{
    return (unsigned)action < ACTION_COUNT ? action : ACTION_UNKNOWN;
}

const char *action_word(enum action action)
{
    return actions[action_known(action)].word;
}

const char *action_help(enum action action)
{
    return actions[action_known(action)].help;
}
