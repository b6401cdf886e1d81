/* Vantages of domicile.cfg, and sockets as nodes declare them. */
#include "config/shipped.h"

static struct config_errors errors;

static result load(const char *top, struct config **ret)
{
    struct shipped shipped;
    shipped_init(&shipped);
    shipped_add(&shipped, "domicile.cfg", top);
    config_errors_init(&errors);
    result r = shipped_load(&shipped, ret, &errors);
    shipped_done(&shipped);
    return r;
}

#define ONE(latitude, longitude)                                                                             \
    "{ name = \"par-noc\"; country = \"FR\"; latitude = " latitude "; longitude = " longitude "; }"

static void vantages_have_coordinates(void **state)
{
    struct config *config = NULL;
    check_ok(
        load("vantages = ( " ONE("48.8566", "-2") ",\n { name = \"pole\"; country = \"AQ\"; latitude = -90;"
                                                  " longitude = 180.0; } );\nvantage = \"pole\";",
             &config));
    assert_int_equal(config->vantage_count, 2);
    assert_true(config->vantages[0].latitude == 48.8566 && config->vantages[0].longitude == -2);
    assert_ptr_equal(config->vantage, &config->vantages[1]);
    assert_true(config->vantage->latitude == -90 && config->vantage->longitude == 180);
    assert_null(config_find_vantage(config, STR("nowhere")));
    config_free(config);
    config_errors_done(&errors);
    check_ok(load("log_level = \"info\";", &config));
    assert_null(config->vantage);
    config_free(config);
    config_errors_done(&errors);
}

static void vantages_that_make_no_sense_are_refused(void **state)
{
    static const struct {
        const char *top, *complaint;
    } wrong[] = {
        { "vantages = ( " ONE("90.1", "0") " );", "it must be from -90 to 90" },
        { "vantages = ( " ONE("-90.1", "0") " );", "it must be from -90 to 90" },
        { "vantages = ( " ONE("0", "181") " );", "it must be from -180 to 180" },
        { "vantages = ( " ONE("\"48\"", "0") " );", "is not a number of degrees" },
        { "vantages = ( " ONE("true", "0") " );", "is not a number of degrees" },
        { "vantages = ( { name = \"a1\"; country = \"FR\"; latitude = 0; } );", "lacks \"longitude\"" },
        { "vantages = ( " ONE("1", "0") "," ONE("2", "0") " );", "is declared twice" },
        { "vantage = \"par-noc\";", "which is not declared" },
        { "vantages = ( " ONE("1", "0") " ); vantage = \"lon-noc\";", "which is not declared" },
        { "vantages = ( { name = \"a1\"; country = \"France\"; latitude = 0; longitude = 0; } );",
          "two capital letters" },
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct config *config = NULL;
        check_fails(E_CONFIG, load(wrong[i].top, &config));
        if (strstr(errors.items[0].what, wrong[i].complaint) == NULL)
            fail_msg("%s: %s", wrong[i].top, errors.items[0].what);
        config_errors_done(&errors);
    }
}

static void sockets_are_read(void **state)
{
    struct config_socket socket;
    assert_true(config_socket_parse(STR("192.0.2.1:9100"), &socket));
    assert_int_equal(socket.address.length, 4);
    assert_int_equal(socket.port, 9100);
    assert_false(socket.udp);
    assert_true(config_socket_parse(STR("[2001:db8::1]:25"), &socket));
    assert_int_equal(socket.address.length, 16);
    assert_true(config_socket_parse(STR("*:68/udp"), &socket));
    assert_int_equal(socket.address.length, 0);
    assert_true(socket.udp);
    static const char *const wrong[] = { "",
                                         "9100",
                                         ":9100",
                                         "192.0.2.1",
                                         "192.0.2.1:0",
                                         "192.0.2.1:",
                                         "192.0.2.1:65536",
                                         "192.0.2.1:+1",
                                         "192.0.2.1/32:80",
                                         "::1:80",
                                         "[::1:80",
                                         "[192.0.2.1]:80",
                                         "host:80",
                                         "*:80/tcp",
                                         "/udp",
                                         "**:80",
                                         "[]:80",
                                         "192.0.2.1:80 " };
    for (size_t i = 0; i < COUNT(wrong); i++)
        if (config_socket_parse(str_from(wrong[i]), &socket))
            fail_msg("\"%s\" is taken for a socket", wrong[i]);
    assert_false(config_socket_parse((struct str){ "1.2.3.4\0:80", 11 }, &socket));
}

static void a_node_declares_them(void **state)
{
    struct shipped shipped;
    struct config *config = NULL;
    shipped_init(&shipped);
    shipped_change(&shipped, "regions/us.cfg", "\"127.20.1.1\"; port = 15432;",
                   "\"127.20.1.1\"; port = 15432; shared_host = true; disk_encryption = \"LUKS\";\n"
                   "listens = [ \"*:68/udp\", \"nonsense\" ];");
    config_errors_init(&errors);
    check_fails(E_CONFIG, shipped_load(&shipped, &config, &errors));
    assert_int_equal(errors.count, 1);
    assert_non_null(strstr(errors.items[0].what, "\"nonsense\" of the node \"us1\" is not a socket"));
    config_errors_done(&errors);
    shipped_change(&shipped, "regions/us.cfg", ", \"nonsense\"", "");
    check_ok(shipped_load(&shipped, &config, NULL));
    const struct node *node = config_find_node(config, STR("us1"));
    assert_true(node->shared_host);
    assert_string_equal(node->disk_encryption, "LUKS");
    assert_string_equal(node->ssh.config, "/etc/ssh/sshd_config");
    assert_string_equal(config_cell_of(config, node)->name.ptr, "us-1");
    assert_false(config_find_node(config, STR("eu1"))->shared_host);
    config_free(config);
    shipped_done(&shipped);
}

static void a_changed_place_shows(void **state)
{
    struct config *from = NULL, *to = NULL;
    struct config_changes changes;
    struct arena arena;
    arena_init(&arena);
    check_ok(load("vantages = ( " ONE("1.5", "0") " );", &from));
    config_errors_done(&errors);
    check_ok(load("vantages = ( " ONE("2.5", "0") " );", &to));
    config_errors_done(&errors);
    config_compare(from, to, &arena, &changes);
    assert_int_equal(changes.count, 1);
    assert_string_equal(changes.items[0].what, "vantage \"par-noc\": latitude was 1.5, is 2.5");
    assert_false(changes.items[0].restart);
    config_free(from);
    config_free(to);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vantages_have_coordinates),
        cmocka_unit_test(vantages_that_make_no_sense_are_refused),
        cmocka_unit_test(sockets_are_read),
        cmocka_unit_test(a_node_declares_them),
        cmocka_unit_test(a_changed_place_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
