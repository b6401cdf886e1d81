/* The shipped policy, by the expectations that ship with it. */
#include "config/shipped.h"

#include "policy/policy.h"

#include <time.h>

static struct arena arena;
static struct config *config;

static int set_up(void **state)
{
    arena_init(&arena);
    check_ok(config_load(SOURCE_DIR, &config, NULL));
    return 0;
}

static int tear_down(void **state)
{
    config_free(config);
    arena_done(&arena);
    return 0;
}

static struct policy_decision decide(const char *role, const char *home, const char *class,
                                     const char *action, const char *place)
{
    const struct policy_words words = { str_from(role), str_from(home), str_from(class), str_from(action),
                                        str_from(place) };
    const struct policy_question question = policy_question_from(config, &words);
    return policy_decide(config, &question);
}

static void the_shipped_expectations_hold_and_try_every_rule(void **state)
{
    static struct policy_test_report report;
    struct config_words files;
    uint32_t decided[CONFIG_RULES_MAX] = { 0 };
    check_ok(config_list_files(SOURCE_DIR, "policies", ".test", &arena, &files));
    assert_true(files.count > 0);
    for (size_t i = 0; i < files.count; i++) {
        struct str text;
        check_ok(config_file_text(SOURCE_DIR, files.items[i].text.ptr, &arena, &text));
        policy_test_run(config, files.items[i].text.ptr, text, &arena, &report);
        if (report.failed > 0)
            fail_msg("%s:%d: expected %s, got %s", report.file, report.failures[0].line,
                     report.failures[0].expected, report.failures[0].got);
        for (size_t rule = 0; rule < config->rule_count; rule++)
            decided[rule] += report.decided[rule];
    }
    for (size_t rule = 0; rule < config->rule_count; rule++)
        if (decided[rule] == 0)
            fail_msg("no expectation has the rule %s decide", config->rules[rule].name.ptr);
}

/* The expectations are worth something: without a rule some of them fail. */
static void the_shipped_expectations_miss_every_rule_that_is_taken_away(void **state)
{
    static struct policy_test_report report;
    struct str text;
    check_ok(config_file_text(SOURCE_DIR, "policies/residency.test", &arena, &text));
    for (size_t rule = 0; rule < config->rule_count; rule++) {
        uint32_t actions = config->rules[rule].action_mask;
        config->rules[rule].action_mask = 0;
        policy_test_run(config, "residency.test", text, &arena, &report);
        config->rules[rule].action_mask = actions;
        if (report.failed == 0)
            fail_msg("nobody misses the rule %s", config->rules[rule].name.ptr);
    }
}

static void p1_what_nobody_knows_is_refused_by_its_own_name(void **state)
{
    static const struct {
        const char *role, *home, *class, *action, *place, *rule;
    } unknown[] = {
        { "root", "eu-fr", "health", "store", "home", "role-unknown" },
        { "unknown", "eu-fr", "health", "store", "home", "role-unknown" },
        { "", "eu-fr", "health", "store", "home", "role-unknown" },
        { "customer-app", "eu", "health", "store", "eu-fr", "home-unknown" },
        { "customer-app", "", "health", "store", "eu-fr", "home-unknown" },
        { "customer-app", "eu-fr", "Health", "store", "home", "class-unknown" },
        { "customer-app", "eu-fr", "", "store", "home", "class-unknown" },
        { "customer-app", "eu-fr", "-", "store", "home", "class-unknown" },
        { "customer-app", "eu-fr", "health", "unknown", "home", "action-unknown" },
        { "customer-app", "eu-fr", "health", "any", "home", "action-unknown" },
        { "customer-app", "eu-fr", "health", "store", "", "place-unknown" },
        { "customer-app", "eu-fr", "health", "store", "country:fr", "place-unknown" },
        { "customer-app", "eu-fr", "health", "store", "country:BR", "place-unknown" },
        { "customer-app", "eu-fr", "health", "store", "bloc:EEA", "place-unknown" },
        { "customer-app", "eu-fr", "health", "store", "region:", "place-unknown" },
    };
    for (size_t i = 0; i < COUNT(unknown); i++) {
        const struct policy_decision decision =
            decide(unknown[i].role, unknown[i].home, unknown[i].class, unknown[i].action, unknown[i].place);
        assert_false(decision.allowed);
        assert_string_equal(decision.rule.ptr, unknown[i].rule);
        assert_null(decision.file);
        assert_non_null(decision.reason);
    }
}

static void p1_numbers_beyond_the_enums_are_refused(void **state)
{
    struct policy_question question = { .role = (enum role)77,
                                        .action = ACTION_STORE,
                                        .home = &config->regions[0],
                                        .class = &config->classes[0],
                                        .place = { .region = &config->regions[0] } };
    assert_string_equal(policy_decide(config, &question).rule.ptr, "role-unknown");
    question.role = ROLE_CUSTOMER_APP;
    assert_true(policy_decide(config, &question).allowed);
    question.action = (enum action)77;
    assert_string_equal(policy_decide(config, &question).rule.ptr, "action-unknown");
}

static void p1_what_no_rule_allows_is_denied(void **state)
{
    const struct policy_decision decision = decide("system", "eu-fr", "health", "read", "home");
    assert_false(decision.allowed);
    assert_string_equal(decision.rule.ptr, "default-deny");
}

static void p2_health_of_eu_fr_is_stored_only_in_the_eea(void **state)
{
    for (size_t i = 0; i < config->country_count; i++) {
        const struct country *country = &config->countries[i];
        bool eea = country->blocs >> config_find_bloc(config, STR("EEA"))->index & 1;
        for (enum role role = ROLE_UNKNOWN; role < ROLE_COUNT; role++)
            for (enum action action = ACTION_UNKNOWN + 1; action < ACTION_COUNT; action++) {
                const struct policy_question question = { .role = role,
                                                          .action = action,
                                                          .home = config_find_region(config, STR("eu-fr")),
                                                          .class = config_find_class(config, STR("health")),
                                                          .place = { .country = country } };
                if (!eea && action_is_about_class(action))
                    assert_false(policy_decide(config, &question).allowed);
            }
    }
    assert_false(decide("customer-app", "eu-fr", "health", "store", "us").allowed);
    assert_true(decide("customer-app", "eu-fr", "health", "store", "eu-fr").allowed);
}

static void a_decision_names_rule_file_and_line(void **state)
{
    const struct policy_decision decision = decide("customer-app", "eu-fr", "health", "store", "region:us");
    assert_string_equal(decision.rule.ptr, "health-stays-in-eea");
    assert_string_equal(decision.file, "policies/residency.cfg");
    struct str text, rest, line = { 0 };
    check_ok(config_file_text(SOURCE_DIR, decision.file, &arena, &text));
    rest = text;
    for (int i = 0; i <= decision.line; i++)
        assert_true(str_cut(&rest, '\n', &line));
    assert_non_null(strstr(arena_cstr(&arena, line), "health-stays-in-eea"));
}

static void a_refusal_is_an_error_with_the_rule_s_name(void **state)
{
    const struct policy_words words = { STR("customer-app"), STR("eu-fr"), STR("health"), STR("store"),
                                        STR("us") };
    struct policy_question question = policy_question_from(config, &words);
    struct policy_decision decision = { 0 };
    result r = policy_require(config, &question, &decision);
    assert_int_equal(r.error.code, E_POLICY);
    assert_non_null(strstr(r.error.what, "\"health-stays-in-eea\""));
    assert_string_equal(decision.rule.ptr, "health-stays-in-eea");
    question.place = (struct policy_place){ .region = question.home };
    check_ok(policy_require(config, &question, &decision));
    assert_string_equal(decision.rule.ptr, "customers-use-their-records");
    check_ok(policy_require(config, &question, NULL));
}

/* ---- in words ---- */
static void an_explanation_tells_decision_rule_reason_and_trail(void **state)
{
    const struct policy_words words = { STR("customer-app"), STR("eu-fr"), STR("health"), STR("store"),
                                        STR("us") };
    const char *text = policy_explain(config, &words, &arena).ptr;
    assert_ptr_equal(
        strstr(text, "DENY: customer-app may not store health records of a customer of eu-fr in us"), text);
    assert_non_null(strstr(text, "rule    health-stays-in-eea (policies/residency.cfg:"));
    assert_non_null(strstr(text, "reason  Health data of a customer in the EEA"));
    assert_non_null(strstr(text, "matches and decides"));
    for (size_t i = 0; i < config->rule_count; i++)
        assert_non_null(strstr(text, config->rules[i].name.ptr));
}

static void an_explanation_names_the_place(void **state)
{
    static const struct {
        const char *place, *said;
    } places[] = { { "us", " in us (US in US)\n" },
                   { "country:DE", " in DE\n" },
                   { "home", " in eu-fr (FR in EEA)\n" },
                   { "mars", " in \"mars\"\n" } };
    for (size_t i = 0; i < COUNT(places); i++) {
        const struct policy_words words = { STR("customer-app"), STR("eu-fr"), STR("operational"),
                                            STR("store"), str_from(places[i].place) };
        const char *text = policy_explain(config, &words, &arena).ptr;
        if (strstr(text, places[i].said) == NULL)
            fail_msg("%s: %s", places[i].place, text);
    }
}

static void an_explanation_of_the_unknown_says_what_is_unknown(void **state)
{
    const struct policy_words words = { STR("customer-app"), STR("eu-fr"), STR("gossip"), STR("store"),
                                        STR("home") };
    const char *text = policy_explain(config, &words, &arena).ptr;
    assert_non_null(strstr(text, "rule    class-unknown (built in)"));
    assert_non_null(strstr(text, "gossip"));
    const struct policy_words nothing = { 0 };
    assert_non_null(strstr(policy_explain(config, &nothing, &arena).ptr, "role-unknown"));
}

static void the_default_is_explained_too(void **state)
{
    const struct policy_words words = { STR("system"), STR("us"), STR("health"), STR("read"), STR("home") };
    assert_non_null(
        strstr(policy_explain(config, &words, &arena).ptr, "=> deny  default-deny: no rule allows it"));
}

static void all_rules_are_shown(void **state)
{
    const char *text = policy_show(config, &arena).ptr;
    for (size_t i = 0; i < config->rule_count; i++) {
        assert_non_null(strstr(text, config->rules[i].name.ptr));
        assert_non_null(strstr(text, config->rules[i].reason));
    }
}

/* ---- services ---- */
static void each_region_has_its_own_list_of_services_that_leave(void **state)
{
    const struct service *leaving[CONFIG_SERVICES_MAX];
    static const char *const eu[] = { "push-notifications", "e-mail", "support-tickets" };
    static const char *const us[] = { "push-notifications", "e-mail", "billing" };
    size_t count = policy_services_leaving(config, config_find_region(config, STR("eu-fr")), leaving,
                                           CONFIG_SERVICES_MAX);
    assert_int_equal(count, 3);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(leaving[i]->name.ptr, eu[i]);
    count =
        policy_services_leaving(config, config_find_region(config, STR("us")), leaving, CONFIG_SERVICES_MAX);
    assert_int_equal(count, 3);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(leaving[i]->name.ptr, us[i]);
        assert_non_null(leaving[i]->reason);
        assert_non_null(leaving[i]->where);
    }
    leaving[1] = NULL;
    assert_int_equal(policy_services_leaving(config, config_find_region(config, STR("us")), leaving, 1), 3);
    assert_null(leaving[1]);
}

/* ---- expectations ---- */
static void expectations_that_fail_are_reported_with_their_line(void **state)
{
    static struct policy_test_report report;
    const char *text = "# a comment\n"
                       "\n"
                       "customer-app eu-fr health store us => deny health-stays-in-eea # right\n"
                       "customer-app eu-fr health store us => allow health-stays-in-eea\r\n"
                       "customer-app eu-fr health store us => deny default-deny\n"
                       "\tcustomer-app  eu-fr health store home => allow customers-use-their-records\t\r\n"
                       "custmer-app eu-fr health store us => deny health-stays-in-eea\n"
                       "customer-app eu-fr health store us => deny\n"
                       "customer-app eu-fr health store us -> deny health-stays-in-eea\n"
                       "customer-app eu-fr health store us => refuse health-stays-in-eea\n"
                       "customer-app eu-fr health store us => deny health-stays-in-eea too\n"
                       "customer-app eu-fr health store us => deny health-stays-in-eea too much";
    static const struct {
        int line;
        const char *got;
    } expected[] = {
        { 4, "deny health-stays-in-eea" },
        { 5, "deny health-stays-in-eea" },
        { 7, "deny role-unknown" },
        { 8, "a line that is not an expectation" },
        { 9, "a line that is not an expectation" },
        { 10, "a line that is not an expectation" },
        { 11, "a line that is not an expectation" },
        { 12, "a line that is not an expectation" },
    };
    policy_test_run(config, "x.test", str_from(text), &arena, &report);
    assert_int_equal(report.passed, 2);
    assert_int_equal(report.failed, COUNT(expected));
    for (size_t i = 0; i < report.failed; i++) {
        assert_int_equal(report.failures[i].line, expected[i].line);
        assert_string_equal(report.failures[i].got, expected[i].got);
    }
    assert_string_equal(report.failures[0].expected, "allow health-stays-in-eea");
}

static void more_failures_than_there_is_room_for_are_counted(void **state)
{
    static struct policy_test_report report;
    char text[4 * POLICY_FAILURES_MAX + 1] = "";
    for (size_t i = 0; i < sizeof text - 1; i++)
        text[i] = i % 2 == 0 ? 'x' : '\n';
    policy_test_run(config, "x.test", str_from(text), &arena, &report);
    assert_int_equal(report.failed, 2 * POLICY_FAILURES_MAX);
    const char *wrong = ""; /* and such that are expectations, and do not hold */
    for (int i = 0; i < POLICY_FAILURES_MAX + 1; i++)
        wrong = arena_printf(&arena, "%scustomer-app eu-fr health store us => allow nothing\n", wrong);
    policy_test_run(config, "x.test", str_from(wrong), &arena, &report);
    assert_int_equal(report.failed, POLICY_FAILURES_MAX + 1);
    assert_int_equal(report.failures[POLICY_FAILURES_MAX - 1].line, POLICY_FAILURES_MAX);
}

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The bound is far above what it takes, so that a slow machine does not matter; the figure is printed. */
static void a_decision_is_quick(void **state)
{
    enum { ROUNDS = 200000 };
    const struct policy_words words = { STR("customer-app"), STR("eu-fr"), STR("health"), STR("store"),
                                        STR("home") };
    const struct policy_question question = policy_question_from(config, &words);
    size_t allowed = 0;
    uint64_t began_ns = cpu_ns();
    for (int i = 0; i < ROUNDS; i++)
        allowed += policy_decide(config, &question).allowed;
    uint64_t each_ns = (cpu_ns() - began_ns) / ROUNDS;
    print_message("a decision takes %llu ns\n", (unsigned long long)each_ns);
    assert_int_equal(allowed, ROUNDS);
    assert_true(each_ns < 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shipped_expectations_hold_and_try_every_rule),
        cmocka_unit_test(the_shipped_expectations_miss_every_rule_that_is_taken_away),
        cmocka_unit_test(p1_what_nobody_knows_is_refused_by_its_own_name),
        cmocka_unit_test(p1_numbers_beyond_the_enums_are_refused),
        cmocka_unit_test(p1_what_no_rule_allows_is_denied),
        cmocka_unit_test(p2_health_of_eu_fr_is_stored_only_in_the_eea),
        cmocka_unit_test(a_decision_names_rule_file_and_line),
        cmocka_unit_test(a_refusal_is_an_error_with_the_rule_s_name),
        cmocka_unit_test(an_explanation_tells_decision_rule_reason_and_trail),
        cmocka_unit_test(an_explanation_names_the_place),
        cmocka_unit_test(an_explanation_of_the_unknown_says_what_is_unknown),
        cmocka_unit_test(the_default_is_explained_too),
        cmocka_unit_test(all_rules_are_shown),
        cmocka_unit_test(each_region_has_its_own_list_of_services_that_leave),
        cmocka_unit_test(expectations_that_fail_are_reported_with_their_line),
        cmocka_unit_test(more_failures_than_there_is_room_for_are_counted),
        cmocka_unit_test(a_decision_is_quick),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
