/* Compiles rules: names become bits, and places become a set for each home region. */
#include "config/internal.h"

/* ---- words ---- */
struct place_term config_place_term(const struct config *config, struct str text)
{
    struct place_term term = { 0 };
    struct str rest = text, kind;
    if (str_is(text, "home"))
        return (struct place_term){ .kind = PLACE_HOME };
    if (str_is(text, "home-country"))
        return (struct place_term){ .kind = PLACE_HOME_COUNTRY };
    if (str_is(text, "home-bloc"))
        return (struct place_term){ .kind = PLACE_HOME_BLOC };
    if (!str_cut(&rest, ':', &kind))
        return term;
    if (rest.ptr == NULL) {
        rest = text;
        kind = STR("region");
    }
    if (str_is(kind, "region") && (term.region = config_find_region(config, rest)) != NULL)
        term.kind = PLACE_REGION;
    else if (str_is(kind, "country") && (term.country = config_find_country(config, rest)) != NULL)
        term.kind = PLACE_COUNTRY;
    else if (str_is(kind, "bloc") && (term.bloc = config_find_bloc(config, rest)) != NULL)
        term.kind = PLACE_BLOC;
    return term;
}

static void complain_word(struct loader *loader, const struct policy_rule *rule,
                          const struct config_word *word, const char *hint, const char *kind)
{
    config_complain(loader, rule->source.file, word->line, hint, "the rule \"%s\" names an unknown %s \"%s\"",
                    rule->name.ptr, kind, word->text.ptr);
}

static uint32_t role_mask(struct loader *loader, const struct policy_rule *rule)
{
    uint32_t mask = rule->roles.count == 0 ? UINT32_MAX : 0;
    for (size_t i = 0; i < rule->roles.count; i++) {
        enum role role = role_from(rule->roles.items[i].text);
        if (role == ROLE_UNKNOWN)
            complain_word(loader, rule, &rule->roles.items[i],
                          "Use one of the roles onboarding, sysadmin, security, compliance, customer-admin, "
                          "customer-app and system.",
                          "role");
        mask |= UINT32_C(1) << role;
    }
    return mask;
}

static uint64_t class_mask(struct loader *loader, const struct policy_rule *rule)
{
    uint64_t mask = rule->classes.count == 0 ? UINT64_MAX : 0;
    for (size_t i = 0; i < rule->classes.count; i++) {
        const struct data_class *class = config_find_class(loader->config, rule->classes.items[i].text);
        if (class == NULL)
            complain_word(loader, rule, &rule->classes.items[i],
                          "Correct the name, or declare the class under classes.", "class");
        else
            mask |= UINT64_C(1) << class->index;
    }
    return mask;
}

static uint32_t action_mask(struct loader *loader, const struct policy_rule *rule,
                            const struct config_words *words)
{
    uint32_t mask = 0;
    for (size_t i = 0; i < words->count; i++) {
        const struct config_word *word = &words->items[i];
        enum action action = action_from(word->text);
        if (str_is(word->text, "any"))
            mask = UINT32_MAX;
        else if (action == ACTION_UNKNOWN)
            complain_word(loader, rule, word, "See domicile.cfg(5) for the list of actions.", "action");
        else if (rule->classes.count > 0 && !action_is_about_class(action))
            config_complain(loader, rule->source.file, word->line, "Leave classes out, or write two rules.",
                            "the rule \"%s\" names classes, but the action \"%s\" is not about a class",
                            rule->name.ptr, word->text.ptr);
        else
            mask |= UINT32_C(1) << action;
    }
    return mask;
}

/* ---- places ---- */
static void add_countries(const struct config *config, uint32_t blocs, struct policy_reach *reach)
{
    for (size_t i = 0; i < config->country_count; i++)
        if (config->countries[i].blocs & blocs)
            reach->countries[i / 64] |= UINT64_C(1) << i % 64;
    for (size_t i = 0; i < config->region_count; i++)
        if (config->regions[i].country->blocs & blocs)
            reach->regions |= UINT32_C(1) << i;
}

static void add_country(const struct config *config, const struct country *country,
                        struct policy_reach *reach)
{
    reach->countries[country->index / 64] |= UINT64_C(1) << country->index % 64;
    for (size_t i = 0; i < config->region_count; i++)
        if (config->regions[i].country == country)
            reach->regions |= UINT32_C(1) << i;
}

static void add_place(const struct config *config, const struct place_term *term, const struct region *home,
                      struct policy_reach *reach)
{
    switch (term->kind) {
    case PLACE_HOME:
        reach->regions |= UINT32_C(1) << home->index;
        break;
    case PLACE_REGION:
        reach->regions |= UINT32_C(1) << term->region->index;
        break;
    case PLACE_HOME_COUNTRY:
        add_country(config, home->country, reach);
        break;
    case PLACE_COUNTRY:
        add_country(config, term->country, reach);
        break;
    case PLACE_HOME_BLOC:
        add_countries(config, UINT32_C(1) << config_find_bloc(config, home->jurisdiction.bloc)->index, reach);
        break;
    case PLACE_BLOC:
        add_countries(config, UINT32_C(1) << term->bloc->index, reach);
        break;
    case PLACE_UNKNOWN:
        break;
    }
}

static const struct policy_reach everywhere = { UINT32_MAX,
                                                { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX } };

static struct policy_reach reach_of(const struct config *config, const struct config_words *words,
                                    const struct region *home)
{
    struct policy_reach reach = { 0 };
    for (size_t i = 0; i < words->count; i++) {
        const struct place_term term = config_place_term(config, words->items[i].text);
        add_place(config, &term, home, &reach);
    }
    return reach;
}

static struct policy_reach rule_reach(const struct config *config, const struct policy_rule *rule,
                                      const struct region *home)
{
    struct policy_reach reach = rule->places.count == 0 ? everywhere : reach_of(config, &rule->places, home);
    struct policy_reach outside = reach_of(config, &rule->outside, home);
    reach.regions &= ~outside.regions;
    for (size_t i = 0; i < CONFIG_COUNTRIES_MAX / 64; i++)
        reach.countries[i] &= ~outside.countries[i];
    return reach;
}

static bool is_of_home(enum place_kind kind)
{
    return kind == PLACE_HOME || kind == PLACE_HOME_COUNTRY || kind == PLACE_HOME_BLOC;
}

static void check_places(struct loader *loader, const struct policy_rule *rule,
                         const struct config_words *words)
{
    for (size_t i = 0; i < words->count; i++)
        if (config_place_term(loader->config, words->items[i].text).kind == PLACE_UNKNOWN)
            complain_word(loader, rule, &words->items[i],
                          "Use home, home-country, home-bloc, a region, country:XX or bloc:X; regions, "
                          "countries and blocs must be declared.",
                          "place");
}

static uint32_t home_mask(struct loader *loader, const struct policy_rule *rule)
{
    struct policy_reach reach = { 0 };
    for (size_t i = 0; i < rule->homes.count; i++) {
        const struct place_term term = config_place_term(loader->config, rule->homes.items[i].text);
        if (term.kind == PLACE_UNKNOWN || is_of_home(term.kind))
            complain_word(loader, rule, &rule->homes.items[i],
                          "Use a region, country:XX or bloc:X; each must be declared.", "home");
        else
            add_place(loader->config, &term, NULL, &reach);
    }
    return rule->homes.count == 0 ? UINT32_MAX : reach.regions;
}

/* ---- rules ---- */
static void compile(struct loader *loader, struct policy_rule *rule)
{
    const struct config *config = loader->config;
    if ((rule->deny.count > 0) == (rule->allow.count > 0))
        config_complain(loader, rule->source.file, rule->source.line,
                        "Keep one of the two; write two rules if both are needed.",
                        "the rule \"%s\" has both deny and allow, or neither", rule->name.ptr);
    rule->denies = rule->deny.count > 0;
    rule->role_mask = role_mask(loader, rule);
    rule->action_mask = action_mask(loader, rule, rule->denies ? &rule->deny : &rule->allow);
    rule->class_mask = class_mask(loader, rule);
    rule->any_class = rule->classes.count == 0;
    rule->home_mask = home_mask(loader, rule);
    check_places(loader, rule, &rule->places);
    check_places(loader, rule, &rule->outside);
    rule->reach = arena_array(&loader->config->arena, struct policy_reach, config->region_count);
    for (size_t i = 0; i < config->region_count; i++)
        rule->reach[i] = rule_reach(config, rule, &config->regions[i]);
}

static void check_rule_name(struct loader *loader, const struct policy_rule *rule)
{
    struct str name = rule->name;
    if (str_is(name, "default-deny") ||
        (name.len > 8 && str_is((struct str){ name.ptr + name.len - 8, 8 }, "-unknown")))
        config_complain(loader, rule->source.file, rule->source.line,
                        "Choose another name: this one is used for refusals without a rule.",
                        "a rule cannot be called \"%s\"", name.ptr);
    for (const struct policy_rule *other = loader->config->rules; other != rule; other++)
        if (str_eq(other->name, name))
            config_complain(loader, rule->source.file, rule->source.line,
                            "Give each rule a name of its own: it tells which rule decided.",
                            "the rule \"%s\" is declared twice", name.ptr);
}

static void put_denials_first(struct config *config)
{
    struct policy_rule *sorted = arena_array(&config->arena, struct policy_rule, config->rule_count);
    size_t count = 0;
    for (int denies = 1; denies >= 0; denies--)
        for (size_t i = 0; i < config->rule_count; i++)
            if (config->rules[i].denies == denies)
                sorted[count++] = config->rules[i];
    config->rules = sorted;
}

void config_compile_rules(struct loader *loader)
{
    struct config *config = loader->config;
    for (size_t i = 0; i < config->rule_count; i++) {
        check_rule_name(loader, &config->rules[i]);
        compile(loader, &config->rules[i]);
    }
    put_denials_first(config);
}
