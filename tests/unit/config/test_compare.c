#include "config/shipped.h"

struct both {
    struct shipped shipped;
    struct config *from, *to;
    struct arena arena;
    struct config_changes changes;
};

static int set_up(void **state)
{
    static struct both both;
    both = (struct both){ 0 };
    shipped_init(&both.shipped);
    arena_init(&both.arena);
    check_ok(shipped_load(&both.shipped, &both.from, NULL));
    *state = &both;
    return 0;
}

static int tear_down(void **state)
{
    struct both *both = *state;
    config_free(both->from);
    config_free(both->to);
    arena_done(&both->arena);
    shipped_done(&both->shipped);
    return 0;
}

static void reload(struct both *both)
{
    config_free(both->to);
    both->to = NULL;
    check_ok(shipped_load(&both->shipped, &both->to, NULL));
}

static void check_one_change(struct both *both, const char *what, bool restart)
{
    reload(both);
    check_ok(config_compare(both->from, both->to, &both->arena, &both->changes));
    assert_int_equal(both->changes.count, 1);
    assert_string_equal(both->changes.items[0].what, what);
    assert_int_equal(both->changes.items[0].restart, restart);
}

static void nothing_changed(void **state)
{
    struct both *both = *state;
    shipped_change(&both->shipped, "regions/us.cfg", "# A jurisdiction", "\n\n# A jurisdiction");
    reload(both);
    check_ok(config_compare(both->from, both->to, &both->arena, &both->changes));
    assert_int_equal(both->changes.count, 0);
}

static void a_number_changed(void **state)
{
    shipped_change(&((struct both *)*state)->shipped, "regions/us.cfg", "drain_ms = 10000", "drain_ms = 500");
    check_one_change(*state, "region \"us\": limits.drain_ms was 10000, is 500", true);
}

static void an_endpoint_changed_and_needs_no_restart(void **state)
{
    shipped_change(&((struct both *)*state)->shipped, "regions/us.cfg", "https://127.20.0.1:8443",
                   "https://us.example.com");
    check_one_change(*state,
                     "region \"us\": endpoint was \"https://127.20.0.1:8443\", is \"https://us.example.com\"",
                     false);
}

static void a_listen_address_changed_and_needs_a_restart(void **state)
{
    shipped_change(&((struct both *)*state)->shipped, "regions/us.cfg", "port = 8443", "port = 8444");
    check_one_change(*state, "region \"us\": listen address 1: port was 8443, is 8444", true);
}

static void a_node_is_new(void **state)
{
    shipped_change(&((struct both *)*state)->shipped, "regions/us.cfg", "nodes = (",
                   "nodes = ( { name = \"us3\"; site = \"cbf1\"; address = \"127.20.3.1\"; },");
    check_one_change(*state, "region \"us\": cell \"us-1\": node \"us3\" is new", true);
}

static void a_rule_changed(void **state)
{
    shipped_change(&((struct both *)*state)->shipped, "policies/residency.cfg", "outside = [ \"bloc:EEA\" ]",
                   "outside = [ \"bloc:EEA\", \"bloc:US\" ]");
    check_one_change(*state, "rule \"health-stays-in-eea\": outside was [bloc:EEA], is [bloc:EEA bloc:US]",
                     false);
}

static void a_rule_is_gone_and_another_new(void **state)
{
    struct both *both = *state;
    shipped_change(&both->shipped, "policies/residency.cfg", "audit-is-read-at-home", "audit-is-read");
    reload(both);
    check_ok(config_compare(both->from, both->to, &both->arena, &both->changes));
    assert_int_equal(both->changes.count, 2);
    assert_string_equal(both->changes.items[0].what, "rule \"audit-is-read-at-home\" is gone");
    assert_string_equal(both->changes.items[1].what, "rule \"audit-is-read\" is new");
}

static void services_do_not_change_behind_the_customers_back(void **state)
{
    struct both *both = *state;
    shipped_change(&both->shipped, "policies/services.cfg", "name = \"analytics\"; title",
                   "name = \"statistics\"; title");
    reload(both);
    result r = config_compare(both->from, both->to, &both->arena, &both->changes);
    assert_int_equal(r.error.code, E_CONFIG);
    assert_non_null(strstr(r.error.what, "services_version is still 1"));
    shipped_change(&both->shipped, "policies/services.cfg", "services_version = 1", "services_version = 2");
    reload(both);
    check_ok(config_compare(both->from, both->to, &both->arena, &both->changes));
    assert_int_equal(both->changes.count, 3);
}

static void services_version_never_shrinks(void **state)
{
    struct both *both = *state;
    shipped_change(&both->shipped, "policies/services.cfg", "services_version = 1", "services_version = 2");
    reload(both);
    check_fails(E_CONFIG, config_compare(both->to, both->from, &both->arena, &both->changes));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(nothing_changed),
        TEST(a_number_changed),
        TEST(an_endpoint_changed_and_needs_no_restart),
        TEST(a_listen_address_changed_and_needs_a_restart),
        TEST(a_node_is_new),
        TEST(a_rule_changed),
        TEST(a_rule_is_gone_and_another_new),
        TEST(services_do_not_change_behind_the_customers_back),
        TEST(services_version_never_shrinks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
