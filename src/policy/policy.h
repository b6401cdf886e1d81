#pragma once
/* The decisions: pure functions over the snapshot. No clock, no I/O, nothing allocated but in the caller's arena.
 *
 * A question is (the principal's role, the customer's home region, the class of records, the action, the place). Every
 * question has an answer, and the answer is "deny" unless a rule allows it and no rule denies it. A member that is
 * unknown is refused under its own name. Whether the principal is of that customer is auth's to check, not policy's. */
#include "base/json.h"
#include "config/config.h"

/* Where it would happen: one of our regions, or a country in which we have none. Both NULL: unknown. */
struct policy_place {
    const struct region *region;
    const struct country *country; /* ignored when region is set */
};

struct policy_question {
    enum role role;
    enum action action;
    const struct region *home;
    const struct data_class *class; /* NULL: unknown, or the action is not about a class */
    struct policy_place place;
};

struct policy_decision {
    bool allowed;
    /* Its name; of no file: "default-deny", "role-unknown", "home-unknown", "class-unknown", "action-unknown",
     * "place-unknown". */
    struct str rule;
    const char *file; /* NULL: no rule of a file */
    int line;
    const char *reason; /* a sentence */
};

/* Takes well under 200 ns: every request waits for it. */
struct policy_decision policy_decide(const struct config *config, const struct policy_question *question);

/* The same for code that goes on only if it is allowed. E_POLICY names the rule and gives its reason; *ret_decision
 * (may be NULL) is set either way. */
result policy_require(const struct config *config, const struct policy_question *question,
                      struct policy_decision *ret_decision) MUST_USE;

/* ---- in words ---- for the CLI and for expectations. place: "home", "eu-fr", "region:eu-fr", "country:FR".
 * class: "-" or empty when the action is not about one. */
struct policy_words {
    struct str role, home, class, action, place;
};
struct policy_question policy_question_from(const struct config *config, const struct policy_words *words);

/* The decision, the rule and where it is declared, the reason, and why each earlier rule did not match. */
struct str policy_explain(const struct config *config, const struct policy_words *words, struct arena *arena);

/* The rules in words, one paragraph each. */
struct str policy_show(const struct config *config, struct arena *arena);

/* ---- the vendor's services ---- */
bool policy_service_leaves(const struct service *service, const struct region *home);
/* Those that cannot be kept in the region: what a customer must acknowledge. In the order of the files. Returns how
 * many; at most `max` are set. */
size_t policy_services_leaving(const struct config *config, const struct region *home,
                               const struct service **ret, size_t max);

/* The whole list, with its version, as a document to be kept: JSON, the same bytes for the same list however the files
 * are laid out. */
struct str policy_services_document(const struct config *config, struct arena *arena);

/* Of such a document: the names of those that could not be kept in the region, which a customer acknowledged. The
 * caller owns *ret, an array of strings in the order of the alphabet. E_FORMAT: the document is not such a list. */
result policy_services_acknowledged(struct str document, struct str region, json_t **ret) MUST_USE;

/* What differs in the list `to`, in words: "service \"e-mail\": where was \"...\", is \"...\"". Empty: nothing. */
struct str policy_services_difference(struct str from, struct str to, struct arena *arena);

/* ---- expectations ---- policies/NAME.test, a line each:
 *     ROLE HOME CLASS ACTION PLACE => allow|deny RULE      # comment
 * RULE is the rule that decides. `text` is the file's, `file` its name for messages. A line that is no expectation is a
 * failure. */
enum { POLICY_FAILURES_MAX = 64 };
struct policy_failure {
    int line;
    const char *expected, *got;
};
struct policy_test_report {
    const char *file;
    size_t passed, failed;
    struct policy_failure failures[POLICY_FAILURES_MAX]; /* the first of them */
    uint32_t decided[CONFIG_RULES_MAX]; /* how often config.rules[i] decided what was expected */
};
void policy_test_run(const struct config *config, const char *file, struct str text, struct arena *arena,
                     struct policy_test_report *ret);
