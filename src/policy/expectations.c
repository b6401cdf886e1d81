/* Expectations: a line each, so that a policy is tested as code is. */
#include "policy/policy.h"

enum { WORDS_MAX = 9 };

/* Splits at blanks, up to a '#'. WORDS_MAX means: too many. */
static size_t split(struct str line, struct str words[WORDS_MAX])
{
    size_t count = 0, at = 0;
    while (at < line.len && count < WORDS_MAX) {
        size_t start = at;
        while (at < line.len && line.ptr[at] != ' ' && line.ptr[at] != '\t' && line.ptr[at] != '#')
            at++;
        if (at > start)
            words[count++] = (struct str){ line.ptr + start, at - start };
        else if (line.ptr[at] == '#')
            break;
        else
            at++;
    }
    return count;
}

static struct policy_failure *add_failure(struct policy_test_report *report, int line)
{
    size_t index = report->failed++;
    if (index >= POLICY_FAILURES_MAX)
        return NULL;
    report->failures[index].line = line;
    return &report->failures[index];
}

static void fail_line(struct policy_test_report *report, int line, const char *got)
{
    struct policy_failure *failure = add_failure(report, line);
    if (failure == NULL)
        return;
    failure->expected = "ROLE HOME CLASS ACTION PLACE => allow|deny RULE";
    failure->got = got;
}

static void count_rule(const struct config *config, struct policy_test_report *report, struct str name)
{
    for (size_t i = 0; i < config->rule_count; i++)
        if (str_eq(config->rules[i].name, name))
            report->decided[i]++;
}

static void run_line(const struct config *config, const struct str words[WORDS_MAX], int line,
                     struct arena *arena, struct policy_test_report *report)
{
    const struct policy_words asked = { words[0], words[1], words[2], words[3], words[4] };
    const struct policy_question question = policy_question_from(config, &asked);
    const struct policy_decision decision = policy_decide(config, &question);
    if (decision.allowed == str_is(words[6], "allow") && str_eq(decision.rule, words[7])) {
        report->passed++;
        count_rule(config, report, decision.rule);
        return;
    }
    struct policy_failure *failure = add_failure(report, line);
    if (failure == NULL)
        return;
    failure->expected = arena_printf(arena, "%.*s %.*s", STR_ARG(words[6]), STR_ARG(words[7]));
    failure->got =
        arena_printf(arena, "%s %.*s", decision.allowed ? "allow" : "deny", STR_ARG(decision.rule));
}

void policy_test_run(const struct config *config, const char *file, struct str text, struct arena *arena,
                     struct policy_test_report *ret)
{
    *ret = (struct policy_test_report){ .file = file };
    struct str rest = text, line, words[WORDS_MAX];
    for (int number = 1; str_cut(&rest, '\n', &line); number++) {
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        size_t count = split(line, words);
        if (count == 0)
            continue;
        if (count != 8 || !str_is(words[5], "=>") || !(str_is(words[6], "allow") || str_is(words[6], "deny")))
            fail_line(ret, number, "a line that is not an expectation");
        else
            run_line(config, words, number, arena, ret);
    }
}
