#include "policy/policy.h"

static struct policy_place place_from(const struct config *config, struct str word, const struct region *home)
{
    struct str country = word, kind;
    if (str_is(word, "home"))
        return (struct policy_place){ .region = home };
    if (!str_cut(&country, ':', &kind) || country.ptr == NULL)
        return (struct policy_place){ .region = config_find_region(config, word) };
    if (str_is(kind, "region"))
        return (struct policy_place){ .region = config_find_region(config, country) };
    if (str_is(kind, "country"))
        return (struct policy_place){ .country = config_find_country(config, country) };
    return (struct policy_place){ 0 };
}

struct policy_question policy_question_from(const struct config *config, const struct policy_words *words)
{
    const struct region *home = config_find_region(config, words->home);
    return (struct policy_question){
        .role = role_from(words->role),
        .action = action_from(words->action),
        .home = home,
        .class = config_find_class(config, words->class),
        .place = place_from(config, words->place, home),
    };
}
