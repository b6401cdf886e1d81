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
    config_compare(both->from, both->to, &both->arena, &both->changes);
    assert_int_equal(both->changes.count, 1);
    assert_string_equal(both->changes.items[0].what, what);
    assert_int_equal(both->changes.items[0].restart, restart);
}

static void nothing_changed(void **state)
{
    struct both *both = *state;
    shipped_change(&both->shipped, "regions/us.cfg", "# A jurisdiction", "\n\n# A jurisdiction");
    reload(both);
    config_compare(both->from, both->to, &both->arena, &both->changes);
    assert_int_equal(both->changes.count, 0);
}

static void a_number_changed(void **state)
{
    shipped_change(&((struct both *)*state)->shipped, "regions/us.cfg", "drain_ms = 10000", "drain_ms = 500");
    check_one_change(*state, "region \"us\": limits.drain_ms was 10000, is 500", false);
}

/* What the server is told once is announced for the restart; what a reload sets is not. */
static void limits_say_each_when_they_take_effect(void **state)
{
    static const struct {
        const char *key;
        uint32_t preset;
        bool restart;
    } limits[] = {
        { "max_head_bytes", 16384, true },
        { "max_headers", 100, true },
        { "max_body_bytes", 1048576, false },
        { "max_connections", 20000, true },
        { "max_streams", 100, true },
        { "max_requests_per_connection", 10000, true },
        { "max_requests", 8000, true },
        { "max_requests_per_address", 2000, true },
        { "max_bytes", 536870912, true },
        { "max_bytes_per_address", 134217728, true },
        { "max_bytes_per_connection", 4194304, true },
        { "handshake_within_ms", 10000, true },
        { "head_within_ms", 10000, true },
        { "body_within_ms", 30000, false },
        { "stream_within_ms", 900000, false },
        { "idle_ms", 60000, true },
        { "stall_ms", 20000, true },
        { "drain_ms", 10000, false },
    };
    struct both *both = *state;
    shipped_change(&both->shipped, "regions/us.cfg",
                   "{\n"
                   "    max_head_bytes = 16384;\n"
                   "    max_body_bytes = 1048576;\n"
                   "    # Requests at once, and bytes held for clients; beyond them 503. A proxy in front of "
                   "the gateway has one address for all\n"
                   "    # its clients: then give the two of an address the values of the others.\n"
                   "    max_requests = 8000;\n"
                   "    max_requests_per_address = 2000;\n"
                   "    max_bytes = 536870912;\n"
                   "    max_bytes_per_address = 134217728;\n"
                   "    max_bytes_per_connection = 4194304;\n"
                   "    drain_ms = 10000;\n"
                   "};",
                   "{ };");
    for (size_t i = 0; i < COUNT(limits); i++) {
        const char *set =
            arena_printf(&both->arena, "limits = { %s = %u; };", limits[i].key, limits[i].preset / 2);
        shipped_change(&both->shipped, "regions/us.cfg", "limits = { };", set);
        check_one_change(*state,
                         arena_printf(&both->arena, "region \"us\": limits.%s was %u, is %u", limits[i].key,
                                      limits[i].preset, limits[i].preset / 2),
                         limits[i].restart);
        shipped_change(&both->shipped, "regions/us.cfg", set, "limits = { };");
    }
}

static void a_certificate_of_another_path_needs_no_restart(void **state)
{
    shipped_change(&((struct both *)*state)->shipped, "regions/us.cfg",
                   "certificate = \"tls/us/gateway.crt\"", "certificate = \"/tls/new.crt\"");
    check_one_change(
        *state,
        "region \"us\": tls.certificate was \"/etc/domicile/tls/us/gateway.crt\", is \"/tls/new.crt\"",
        false);
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
    shipped_change(&((struct both *)*state)->shipped, "regions/us.cfg", "port = 8443", "port = 8445");
    check_one_change(*state, "region \"us\": listen address 1: port was 8443, is 8445", true);
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
    config_compare(both->from, both->to, &both->arena, &both->changes);
    assert_int_equal(both->changes.count, 2);
    assert_string_equal(both->changes.items[0].what, "rule \"audit-is-read-at-home\" is gone");
    assert_string_equal(both->changes.items[1].what, "rule \"audit-is-read\" is new");
}

static void services_changed(void **state)
{
    struct both *both = *state;
    shipped_change(&both->shipped, "policies/services.cfg", "name = \"analytics\"; title",
                   "name = \"statistics\"; title");
    shipped_change(&both->shipped, "policies/services.cfg", "services_version = 1", "services_version = 2");
    reload(both);
    config_compare(both->from, both->to, &both->arena, &both->changes);
    assert_int_equal(both->changes.count, 3);
    assert_string_equal(both->changes.items[0].what, "services_version was 1, is 2");
    assert_string_equal(both->changes.items[1].what, "service \"analytics\" is gone");
    assert_string_equal(both->changes.items[2].what, "service \"statistics\" is new");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(nothing_changed),
        TEST(a_number_changed),
        TEST(limits_say_each_when_they_take_effect),
        TEST(a_certificate_of_another_path_needs_no_restart),
        TEST(an_endpoint_changed_and_needs_no_restart),
        TEST(a_listen_address_changed_and_needs_a_restart),
        TEST(a_node_is_new),
        TEST(a_rule_changed),
        TEST(a_rule_is_gone_and_another_new),
        TEST(services_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
