/* The list of services as a document: what is kept of what customers acknowledged. */
#include "config/shipped.h"

#include "policy/policy.h"

static struct shipped shipped;
static struct arena arena;
#define FILE_OF_SERVICES "policies/services.cfg"

static int set_up(void **state)
{
    shipped_init(&shipped);
    arena_init(&arena);
    return 0;
}

static int tear_down(void **state)
{
    shipped_done(&shipped);
    arena_done(&arena);
    return 0;
}

static struct str document(void)
{
    struct config *config = NULL;
    check_ok(shipped_load(&shipped, &config, NULL));
    struct str text = policy_services_document(config, &arena);
    config_free(config);
    return text;
}

static void change(const char *from, const char *to)
{
    shipped_change(&shipped, FILE_OF_SERVICES, from, to);
}

static void check_names(struct str text, const char *region, const char *expected)
{
    json_t *names = NULL;
    const char *found = "";
    check_ok(policy_services_acknowledged(text, str_from(region), &names));
    for (size_t i = 0; i < json_array_size(names); i++)
        found = arena_printf(&arena, "%s %s", found, json_string_value(json_array_get(names, i)));
    json_decref(names);
    assert_string_equal(found, expected);
}

static void a_document_says_which_services_leave_which_region(void **state)
{
    struct str text = document();
    check_names(text, "eu-fr", " e-mail push-notifications support-tickets");
    check_names(text, "us", " billing e-mail push-notifications");
    check_names(text, "mars", " billing e-mail push-notifications support-tickets");
    assert_non_null(strstr(text.ptr, "\"services_version\":1"));
}

static void the_same_list_is_the_same_bytes(void **state)
{
    static const char analytics[] =
        "    { name = \"analytics\"; title = \"Analytics on health data and telemetry\"; "
        "regional = true; },\n";
    struct str before = document();
    change(analytics, "");
    change("services = (\n", arena_printf(&arena, "# moved\nservices = (\n%s", analytics));
    change("regions = [ \"us\" ];", "regions = [ \"us\", \"eu-fr\" ];");
    struct str both = document();
    assert_false(str_eq(before, both));
    change("regions = [ \"us\", \"eu-fr\" ];", "regions = [ \"eu-fr\", \"us\" ];");
    assert_true(str_eq(both, document()));
    change("regions = [ \"eu-fr\", \"us\" ];", "regions = [ \"us\" ];");
    assert_true(str_eq(before, document()));
}

static void every_change_is_another_document_and_is_named(void **state)
{
    static const struct {
        const char *from, *to, *what;
    } changes[] = {
        { "title = \"Billing\"", "title = \"Invoices\"",
          "service \"billing\": title was \"Billing\", is \"Invoices\"" },
        { "regions = [ \"us\" ];", "", "service \"support-tickets\": regions was [\"us\"], is []" },
        { "where = \"the vendor's accounting in France\"", "where = \"the Moon\"",
          "service \"billing\": where was \"the vendor's accounting in France\", is \"the Moon\"" },
        { "it carries an address and a link, no record.", "it carries all.",
          "service \"e-mail\": reason was \"The recipient's own mail provider decides where mail is kept; it "
          "carries an "
          "address and a link, no record.\", is \"The recipient's own mail provider decides where mail is "
          "kept; it "
          "carries all.\"" },
        { "name = \"analytics\"; title", "name = \"statistics\"; title", "service \"analytics\" is gone" },
        { "services = (", "services = ( { name = \"fax\"; title = \"Fax\"; regional = true; },",
          "service \"fax\" is new" },
        { "{ name = \"analytics\"; title = \"Analytics on health data and telemetry\"; regional = true; }",
          "{ name = \"analytics\"; title = \"Analytics on health data and telemetry\"; regional = false;"
          " reason = \"r\"; where = \"w\"; }",
          "service \"analytics\": regional was true, is false" },
    };
    struct str before = document();
    assert_int_equal(policy_services_difference(before, before, &arena).len, 0);
    for (size_t i = 0; i < COUNT(changes); i++) {
        change(changes[i].from, changes[i].to);
        struct str after = document();
        assert_false(str_eq(before, after));
        assert_string_equal(policy_services_difference(before, after, &arena).ptr, changes[i].what);
        tear_down(state);
        set_up(state);
        before = document();
    }
}

static void p8_what_is_no_such_document_is_an_error(void **state)
{
    static const char *const bad[] = { "",
                                       "{",
                                       "[]",
                                       "{}",
                                       "{\"services\":1}",
                                       "{\"services\":[1]}",
                                       "{\"services\":[{\"name\":\"x\"}]}",
                                       "{\"services\":[{\"name\":1,\"regional\":false}]}" };
    json_t *names = NULL;
    for (size_t i = 0; i < COUNT(bad); i++) {
        check_fails(E_FORMAT, policy_services_acknowledged(str_from(bad[i]), STR("us"), &names));
        (void)policy_services_difference(str_from(bad[i]), document(), &arena);
    }
    assert_null(names);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_document_says_which_services_leave_which_region),
        TEST(the_same_list_is_the_same_bytes),
        TEST(every_change_is_another_document_and_is_named),
        TEST(p8_what_is_no_such_document_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
