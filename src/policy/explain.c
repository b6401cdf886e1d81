#include "policy/internal.h"

#include "base/buf.h"

#include <stdio.h>

enum { DECISION_MAX = 1 << 20, RULES_TEXT_MAX = 64 << 20 };

static void say(struct buf *out, const char *format, ...) PRINTF(2, 3);
static void say(struct buf *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    bool said = buf_vprintf(out, format, args);
    va_end(args);
    must(said); /* no rule has more lines than the limits have room for */
}

static struct str finish(struct buf *out, struct arena *arena)
{
    struct str text = arena_str(arena, buf_str(out));
    buf_done(out);
    return text;
}

/* ---- a decision ---- */
static void say_place(struct buf *out, const struct policy_question *question,
                      const struct policy_words *words)
{
    const struct policy_place *place = &question->place;
    if (place->region != NULL)
        say(out, "in %s (%s in %s)", place->region->name.ptr, place->region->jurisdiction.country,
            place->region->jurisdiction.bloc.ptr);
    else if (place->country != NULL)
        say(out, "in %s", place->country->code);
    else
        say(out, "in \"%.*s\"", STR_ARG(words->place));
}

static void say_question(struct buf *out, const struct policy_question *question,
                         const struct policy_words *words, bool allowed)
{
    say(out, "%s: %.*s may%s %.*s", allowed ? "ALLOW" : "DENY", STR_ARG(words->role), allowed ? "" : " not",
        STR_ARG(words->action));
    if (action_is_about_class(question->action) || question->action == ACTION_UNKNOWN)
        say(out, " %.*s records", STR_ARG(words->class));
    say(out, " of a customer of %.*s ", STR_ARG(words->home));
    say_place(out, question, words);
    say(out, "\n");
}

static const char *misfit_text(enum policy_misfit misfit)
{
    switch (misfit) {
    case MISFIT_ACTION:
        return "is about other actions";
    case MISFIT_ROLE:
        return "is about other roles";
    case MISFIT_CLASS:
        return "is about other classes";
    case MISFIT_HOME:
        return "is about customers of other homes";
    case MISFIT_PLACE:
        return "is about other places";
    case MISFIT_NONE:
        break;
    }
    return "matches";
}

static void say_trail(struct buf *out, const struct config *config, const struct policy_question *question)
{
    say(out, "trail   rules that deny come first, and the first that matches decides\n");
    bool decided = false;
    for (size_t i = 0; i < config->rule_count; i++) {
        const struct policy_rule *rule = &config->rules[i];
        enum policy_misfit misfit = policy_rule_misfit(rule, question);
        bool matches = misfit == MISFIT_NONE;
        say(out, "  %s %-5s %s (%s:%d): %s%s\n", matches && !decided ? "=>" : "  ",
            rule->denies ? "deny" : "allow", rule->name.ptr, rule->source.file, rule->source.line,
            misfit_text(misfit),
            !matches   ? ""
            : !decided ? " and decides"
                       : ", too late");
        decided |= matches;
    }
    if (!decided)
        say(out, "  => deny  default-deny: no rule allows it\n");
}

static bool is_whole(const struct policy_question *question)
{
    return question->role != ROLE_UNKNOWN && question->home != NULL && question->action != ACTION_UNKNOWN &&
           (question->class != NULL || !action_is_about_class(question->action)) &&
           (question->place.region != NULL || question->place.country != NULL);
}

struct str policy_explain(const struct config *config, const struct policy_words *words, struct arena *arena)
{
    struct buf out;
    buf_init(&out, DECISION_MAX);
    const struct policy_question question = policy_question_from(config, words);
    const struct policy_decision decision = policy_decide(config, &question);
    say_question(&out, &question, words, decision.allowed);
    if (decision.file != NULL)
        say(&out, "rule    %s (%s:%d)\n", decision.rule.ptr, decision.file, decision.line);
    else
        say(&out, "rule    %s (built in)\n", decision.rule.ptr);
    say(&out, "reason  %s\n", decision.reason);
    if (is_whole(&question))
        say_trail(&out, config, &question);
    return finish(&out, arena);
}

/* ---- all rules ---- */
static void say_words(struct buf *out, const char *label, const struct config_words *words)
{
    if (words->count == 0)
        return;
    say(out, "  %-8s", label);
    for (size_t i = 0; i < words->count; i++)
        say(out, " %s", words->items[i].text.ptr);
    say(out, "\n");
}

static void say_rule(struct buf *out, const struct policy_rule *rule)
{
    say(out, "%s (%s:%d)\n  %s\n", rule->name.ptr, rule->source.file, rule->source.line, rule->reason);
    say_words(out, "denies", &rule->deny);
    say_words(out, "allows", &rule->allow);
    say_words(out, "roles", &rule->roles);
    say_words(out, "classes", &rule->classes);
    say_words(out, "homes", &rule->homes);
    say_words(out, "places", &rule->places);
    say_words(out, "outside", &rule->outside);
    say(out, "\n");
}

struct str policy_show(const struct config *config, struct arena *arena)
{
    struct buf out;
    buf_init(&out, RULES_TEXT_MAX);
    for (size_t i = 0; i < config->rule_count; i++)
        say_rule(&out, &config->rules[i]);
    say(&out, "default-deny (built in)\n  What no rule allows is denied.\n");
    return finish(&out, arena);
}
