/* Properties of every policy, tried on random ones: the same seed each time, so that a failure comes again. */
#include "check.h"

#include "policy/policy.h"

#include <stdio.h>
#include <string.h>

enum { POLICIES = 1500, RULES = 8, QUESTIONS = 150 };

/* ---- chance ---- xorshift64* */
static uint64_t seed;

static uint32_t chance(uint32_t below)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (uint32_t)((seed * UINT64_C(0x2545F4914F6CDD1D)) >> 33) % below;
}

/* ---- vocabulary ---- each list ends with NULL */
static const char *const roles[] = { "onboarding",   "sysadmin", "security", "customer-admin",
                                     "customer-app", "system",   NULL };
static const char *const classes[] = { "health", "identity", "gossip", NULL };
static const char *const class_actions[] = { "store", "read", "replicate", "move", "process", "any", NULL };
static const char *const all_actions[] = { "store", "read", "onboard", "show-customer", "any", NULL };
static const char *const homes[] = { "fr-1",     "region:de-1", "us-1",    "country:FR",
                                     "bloc:EEA", "bloc:US",     "bloc:G7", NULL };
static const char *const places[] = { "home",        "home-country", "home-bloc",  "fr-1",
                                      "region:us-1", "country:DE",   "country:CA", "bloc:EEA",
                                      "bloc:US",     "bloc:G7",      NULL };
/* of questions: also what is unknown */
static const char *const asked_roles[] = { "onboarding",     "sysadmin",     "security",
                                           "customer-admin", "customer-app", "system",
                                           "compliance",     "root",         NULL };
static const char *const asked_homes[] = { "fr-1", "de-1", "us-1", "mars", NULL };
static const char *const asked_classes[] = { "health", "identity", "gossip", "rumour", "-", NULL };
static const char *const asked_actions[] = { "store",   "read",    "replicate",     "move", "process",
                                             "onboard", "onboard", "show-customer", "fly",  NULL };
static const char *const asked_places[] = { "home",       "fr-1",       "de-1",       "us-1",
                                            "country:FR", "country:US", "country:CA", "country:IS",
                                            "country:BR", "country:DE", NULL };

static uint32_t length(const char *const *list)
{
    uint32_t count = 0;
    while (list[count] != NULL)
        count++;
    return count;
}

static const char *any_of(const char *const *list)
{
    return list[chance(length(list))];
}

/* ---- a random policy, as text ---- */
static const char region_text[] =
    "name = \"%s\"; title = \"x\"; jurisdiction = { country = \"%s\"; bloc = \"%s\"; };\n"
    "endpoint = \"https://%s.example.com\"; listen = ( { address = \"127.0.0.%d\"; port = 8080; tls = false; "
    "} );\n"
    "token = { public_key = \"%s.pub\"; private_key = \"%s.key\"; }; root_key = { file = \"%s.root\"; };\n"
    "sites = ( { name = \"%s-s\"; country = \"%s\"; } );\n"
    "cells = ( { name = \"%s-c\"; primary = \"%s-n\"; ca = \"ca\"; gateway = { certificate = \"c\"; "
    "private_key = \"k\"; };\n"
    "  admin = { certificate = \"c\"; private_key = \"k\"; };\n"
    "  nodes = ( { name = \"%s-n\"; site = \"%s-s\"; address = \"%s.internal\"; } ); } );\n";

static const char register_text[] =
    "services_version = 1;\n"
    "classes = ( { name = \"health\"; description = \"x\"; sealed = true; audit_reads = true; },\n"
    "            { name = \"identity\"; description = \"x\"; sealed = true; audit_reads = true; },\n"
    "            { name = \"gossip\"; description = \"x\"; sealed = false; audit_reads = false; } );\n"
    "blocs = ( { name = \"EEA\"; countries = [ \"FR\", \"DE\", \"IS\" ]; }, { name = \"US\"; countries = [ "
    "\"US\" ]; },\n"
    "          { name = \"G7\"; countries = [ \"FR\", \"DE\", \"US\", \"CA\" ]; } );\n"
    "rules = ( { name = \"mentions\"; allow = [ \"read\" ]; roles = [ \"customer-app\" ]; places = [ "
    "\"home\" ];\n"
    "            classes = [ \"health\", \"identity\", \"gossip\" ]; reason = \"x\"; } );\n";

static const char *region(struct arena *arena, const char *name, const char *country, const char *bloc,
                          int number)
{
    return arena_printf(arena, region_text, name, country, bloc, name, number, name, name, name, name,
                        country, name, name, name, name, name);
}

static const char *words(struct arena *arena, const char *key, const char *const *list)
{
    const char *text = "";
    uint32_t count = 1 + chance(3);
    for (uint32_t i = 0; i < count; i++)
        text = arena_printf(arena, "%s%s\"%s\"", text, i > 0 ? ", " : "", any_of(list));
    return arena_printf(arena, "%s = [ %s ]; ", key, text);
}

static const char *maybe_words(struct arena *arena, const char *key, const char *const *list)
{
    return chance(2) == 0 ? "" : words(arena, key, list);
}

static const char *rule(struct arena *arena, int number, bool denies)
{
    bool with_classes = chance(2) == 0;
    return arena_printf(arena, "{ name = \"rule-%d\"; reason = \"x\"; %s%s%s%s%s%s },\n", number,
                        words(arena, denies ? "deny" : "allow", with_classes ? class_actions : all_actions),
                        with_classes ? words(arena, "classes", classes) : "",
                        maybe_words(arena, "roles", roles), maybe_words(arena, "homes", homes),
                        maybe_words(arena, "places", places), maybe_words(arena, "outside", places));
}

static const char *rules(struct arena *arena)
{
    const char *text = "";
    for (int i = 0; i < RULES; i++)
        text = arena_printf(arena, "%s%s", text, rule(arena, i, chance(3) == 0));
    return text;
}

static struct config *load(struct arena *arena, const char *rules_text)
{
    size_t used = strlen(rules_text) - 2; /* without the last comma */
    const struct config_text texts[] = {
        { "policies/a.cfg", str_from(register_text) },
        { "policies/b.cfg", str_from(arena_printf(arena, "rules = ( %.*s );", (int)used, rules_text)) },
        { "regions/de-1.cfg", str_from(region(arena, "de-1", "DE", "EEA", 1)) },
        { "regions/fr-1.cfg", str_from(region(arena, "fr-1", "FR", "EEA", 2)) },
        { "regions/us-1.cfg", str_from(region(arena, "us-1", "US", "US", 3)) },
    };
    struct config *config = NULL;
    check_ok(config_load_texts("/etc", texts, COUNT(texts), &config, NULL));
    return config;
}

static struct policy_words any_question(void)
{
    return (struct policy_words){ .role = str_from(any_of(asked_roles)),
                                  .home = str_from(any_of(asked_homes)),
                                  .class = str_from(any_of(asked_classes)),
                                  .action = str_from(any_of(asked_actions)),
                                  .place = str_from(any_of(asked_places)) };
}

static struct policy_decision decide(const struct config *config, const struct policy_words *asked)
{
    const struct policy_question question = policy_question_from(config, asked);
    return policy_decide(config, &question);
}

/* ---- the meaning of a rule, from its words alone ---- */
static bool lists(const struct config_words *list, struct str word)
{
    for (size_t i = 0; i < list->count; i++)
        if (str_eq(list->items[i].text, word))
            return true;
    return false;
}

static const char *country_of(struct str region)
{
    return str_is(region, "fr-1") ? "FR" : str_is(region, "de-1") ? "DE" : "US";
}

static bool in_bloc(const char *country, struct str bloc)
{
    if (str_is(bloc, "EEA"))
        return strstr("FR DE IS", country) != NULL;
    if (str_is(bloc, "G7"))
        return strstr("FR DE US CA", country) != NULL;
    return strcmp(country, "US") == 0;
}

/* Is the place within the term? `region` is empty for a place that is a country without a region of ours. */
static bool within(struct str term, struct str home, struct str region, const char *country)
{
    struct str rest = term, kind = { 0 };
    if (str_is(term, "home"))
        return str_eq(region, home);
    if (str_is(term, "home-country"))
        return strcmp(country, country_of(home)) == 0;
    if (str_is(term, "home-bloc"))
        return in_bloc(country, str_is(home, "us-1") ? STR("US") : STR("EEA"));
    str_cut(&rest, ':', &kind);
    if (str_is(kind, "country"))
        return str_is(rest, country);
    if (str_is(kind, "bloc"))
        return in_bloc(country, rest);
    return str_eq(region, rest.ptr == NULL ? term : rest);
}

static bool within_any(const struct config_words *list, struct str home, struct str region,
                       const char *country)
{
    for (size_t i = 0; i < list->count; i++)
        if (within(list->items[i].text, home, region, country))
            return true;
    return false;
}

static bool speaks(const struct policy_rule *rule, const struct policy_words *asked)
{
    const struct config_words *actions = rule->deny.count > 0 ? &rule->deny : &rule->allow;
    struct str home = asked->home, region = asked->place, kind = { 0 }, rest = asked->place;
    const char *country;
    if (str_is(asked->place, "home"))
        region = home;
    if (str_cut(&rest, ':', &kind) && rest.ptr != NULL) {
        region = (struct str){ 0 };
        country = rest.ptr;
    } else {
        country = country_of(region);
    }
    return (lists(actions, asked->action) || lists(actions, STR("any"))) &&
           (rule->roles.count == 0 || lists(&rule->roles, asked->role)) &&
           (rule->classes.count == 0 ||
            (action_is_about_class(action_from(asked->action)) && lists(&rule->classes, asked->class))) &&
           (rule->homes.count == 0 || within_any(&rule->homes, home, home, country_of(home))) &&
           (rule->places.count == 0 || within_any(&rule->places, home, region, country)) &&
           !within_any(&rule->outside, home, region, country);
}

static bool is_unknown(const struct policy_words *asked)
{
    enum action action = action_from(asked->action);
    return role_from(asked->role) == ROLE_UNKNOWN || str_is(asked->home, "mars") ||
           action == ACTION_UNKNOWN ||
           (action_is_about_class(action) && (str_is(asked->class, "rumour") || str_is(asked->class, "-"))) ||
           str_is(asked->place, "country:BR");
}

static bool should_allow(const struct config *config, const struct policy_words *asked)
{
    bool allowed = false;
    if (is_unknown(asked))
        return false;
    for (size_t i = 0; i < config->rule_count; i++) {
        bool matches = speaks(&config->rules[i], asked);
        if (matches && config->rules[i].deny.count > 0)
            return false;
        allowed |= matches;
    }
    return allowed;
}

/* ---- the properties ---- */
static void p1_adding_a_deny_rule_never_allows_more(void **state)
{
    size_t allowed = 0, taken_away = 0;
    seed = 20260131;
    for (int policy = 0; policy < POLICIES; policy++) {
        struct arena arena;
        arena_init(&arena);
        const char *text = rules(&arena);
        const char *denial = rule(&arena, RULES, true);
        const char *more = chance(2) == 0 ? arena_printf(&arena, "%s%s", text, denial)
                                          : arena_printf(&arena, "%s%s", denial, text);
        struct config *before = load(&arena, text), *after = load(&arena, more);
        for (int i = 0; i < QUESTIONS; i++) {
            const struct policy_words asked = any_question();
            bool first = decide(before, &asked).allowed, second = decide(after, &asked).allowed;
            if (second && !first)
                fail_msg("policy %d: \"%s\" allows %s", policy, denial,
                         policy_explain(after, &asked, &arena).ptr);
            allowed += first;
            taken_away += first && !second;
        }
        config_free(before);
        config_free(after);
        arena_done(&arena);
    }
    assert_true(allowed > POLICIES); /* else nothing was tried */
    assert_true(taken_away > POLICIES / 10);
}

static void p1_every_question_has_the_answer_that_the_rules_words_give(void **state)
{
    size_t answers[2] = { 0 };
    seed = 20260201;
    for (int policy = 0; policy < POLICIES; policy++) {
        struct arena arena;
        arena_init(&arena);
        struct config *config = load(&arena, rules(&arena));
        for (int i = 0; i < QUESTIONS; i++) {
            const struct policy_words asked = any_question();
            const struct policy_decision decision = decide(config, &asked);
            if (decision.allowed != should_allow(config, &asked))
                fail_msg("policy %d: %s\n%s", policy, policy_explain(config, &asked, &arena).ptr,
                         policy_show(config, &arena).ptr);
            assert_true(decision.rule.len > 0);
            assert_non_null(decision.reason);
            answers[decision.allowed]++;
        }
        config_free(config);
        arena_done(&arena);
    }
    assert_true(answers[0] > POLICIES && answers[1] > POLICIES);
}

static void the_order_of_rules_does_not_matter(void **state)
{
    seed = 20260202;
    for (int policy = 0; policy < POLICIES / 3; policy++) {
        struct arena arena;
        arena_init(&arena);
        const char *forwards = "", *backwards = "";
        for (int i = 0; i < RULES; i++) {
            const char *text = rule(&arena, i, chance(3) == 0);
            forwards = arena_printf(&arena, "%s%s", forwards, text);
            backwards = arena_printf(&arena, "%s%s", text, backwards);
        }
        struct config *one = load(&arena, forwards), *other = load(&arena, backwards);
        for (int i = 0; i < QUESTIONS; i++) {
            const struct policy_words asked = any_question();
            assert_int_equal(decide(one, &asked).allowed, decide(other, &asked).allowed);
        }
        config_free(one);
        config_free(other);
        arena_done(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p1_adding_a_deny_rule_never_allows_more),
        cmocka_unit_test(p1_every_question_has_the_answer_that_the_rules_words_give),
        cmocka_unit_test(the_order_of_rules_does_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
