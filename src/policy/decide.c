#include "policy/internal.h"

static struct policy_decision refuse(const char *rule, const char *reason)
{
    return (struct policy_decision){ .rule = str_from(rule), .reason = reason };
}

/* A question with a member that nobody knows has its answer already. */
static bool has_unknown(const struct policy_question *question, struct policy_decision *ret)
{
    if ((unsigned)question->role >= ROLE_COUNT || question->role == ROLE_UNKNOWN)
        *ret = refuse("role-unknown", "The principal's role is not known.");
    else if (question->home == NULL)
        *ret = refuse("home-unknown", "The customer's home is not a declared region.");
    else if ((unsigned)question->action >= ACTION_COUNT || question->action == ACTION_UNKNOWN)
        *ret = refuse("action-unknown", "The action is not known.");
    else if (question->class == NULL && action_is_about_class(question->action))
        *ret = refuse("class-unknown", "The class is not in the data register.");
    else if (question->place.region == NULL && question->place.country == NULL)
        *ret = refuse("place-unknown", "The place is neither a declared region nor a declared country.");
    else
        return false;
    return true;
}

static bool class_matches(const struct policy_rule *rule, const struct policy_question *question)
{
    if (!action_is_about_class(question->action))
        return rule->any_class;
    return rule->class_mask >> question->class->index & 1;
}

static bool place_matches(const struct policy_rule *rule, const struct policy_question *question)
{
    const struct policy_reach *reach = &rule->reach[question->home->index];
    const struct policy_place *place = &question->place;
    if (place->region != NULL)
        return reach->regions >> place->region->index & 1;
    return reach->countries[place->country->index / 64] >> place->country->index % 64 & 1;
}

enum policy_misfit policy_rule_misfit(const struct policy_rule *rule, const struct policy_question *question)
{
    if (!(rule->action_mask >> question->action & 1))
        return MISFIT_ACTION;
    if (!(rule->role_mask >> question->role & 1))
        return MISFIT_ROLE;
    if (!class_matches(rule, question))
        return MISFIT_CLASS;
    if (!(rule->home_mask >> question->home->index & 1))
        return MISFIT_HOME;
    return place_matches(rule, question) ? MISFIT_NONE : MISFIT_PLACE;
}

/* The rules that deny stand before those that allow, so the first that matches decides. */
struct policy_decision policy_decide(const struct config *config, const struct policy_question *question)
{
    struct policy_decision decision;
    if (has_unknown(question, &decision))
        return decision;
    for (size_t i = 0; i < config->rule_count; i++) {
        const struct policy_rule *rule = &config->rules[i];
        if (policy_rule_misfit(rule, question) == MISFIT_NONE)
            return (struct policy_decision){
                .allowed = !rule->denies,
                .rule = rule->name,
                .file = rule->source.file,
                .line = rule->source.line,
                .reason = rule->reason,
            };
    }
    return refuse("default-deny", "No rule allows it.");
}

result policy_require(const struct config *config, const struct policy_question *question,
                      struct policy_decision *ret_decision)
{
    const struct policy_decision decision = policy_decide(config, question);
    if (ret_decision != NULL)
        *ret_decision = decision;
    if (decision.allowed)
        return OK;
    return FAIL(E_POLICY,
                "Use a place and a role that the policy allows; \"domicile policy explain\" shows the rules.",
                "the rule \"%s\" refuses: %s", decision.rule.ptr, decision.reason);
}
