/* Networks: what is one, and what is in it. */
#include "check.h"

#include "config/config.h"

static struct config_network parsed(const char *text)
{
    struct config_network network;
    if (!config_network_parse(str_from(text), &network))
        fail_msg("\"%s\" is no network", text);
    return network;
}

static bool has(const char *network, const char *address)
{
    const struct config_network outer = parsed(network), inner = parsed(address);
    return config_network_has(&outer, &inner);
}

static void what_is_a_network(void **state)
{
    static const char *const wrong[] = { "",
                                         "/8",
                                         "10.0.0.0/",
                                         "10.0.0.0/33",
                                         "10.0.0.1/24",
                                         "10.0.0",
                                         "10.0.0.0/08",
                                         "10.0.0.0/8/8",
                                         "::1/64",
                                         "::/129",
                                         "eu1.example",
                                         "10.0.0.0 /8",
                                         "1.2.3.4.5",
                                         "10.0.0.0/-1" };
    struct config_network network;
    for (size_t i = 0; i < COUNT(wrong); i++)
        if (config_network_parse(str_from(wrong[i]), &network))
            fail_msg("\"%s\" is a network", wrong[i]);
    assert_int_equal(parsed("0.0.0.0/0").bits, 0);
    assert_int_equal(parsed("192.0.2.7").bits, 32);
    assert_int_equal(parsed("2001:db8::/33").length, 16);
}

static void what_is_in_a_network(void **state)
{
    assert_true(has("127.10.0.0/16", "127.10.255.1"));
    assert_false(has("127.10.0.0/16", "127.11.0.1"));
    assert_true(has("10.0.0.0/9", "10.127.0.0/16"));
    assert_false(has("10.0.0.0/9", "10.128.0.1"));
    assert_false(has("10.0.0.0/9", "10.0.0.0/8"));
    assert_true(has("0.0.0.0/0", "203.0.113.9"));
    assert_false(has("0.0.0.0/0", "::1"));
    assert_true(has("2001:db8::/33", "2001:db8:7fff::1"));
    assert_false(has("2001:db8::/33", "2001:db8:8000::1"));
    assert_true(has("192.0.2.7", "192.0.2.7"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_a_network),
        cmocka_unit_test(what_is_in_a_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
