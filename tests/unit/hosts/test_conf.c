/* The files of a data directory as they are written. */
#include "check.h"

#include "hosts/conf.h"

static struct arena arena;

static struct node nodes[] = {
    { .name = { "eu1", 3 },
      .address = "192.0.2.1",
      .port = 5432,
      .ssh = { .user = "pg" },
      .paths = { .tls = "/srv/tls", .log = "/srv/l%g/pg.log" } },
    { .name = { "eu-2", 4 },
      .address = "eu2.example",
      .port = 5433,
      .ssh = { .user = "a \"b" },
      .paths = { .tls = "/srv/tls", .log = "/srv/l%g/pg.log" } },
    { .name = { "eu3", 3 },
      .address = "2001:db8::3",
      .port = 5432,
      .ssh = { .user = "pg" },
      .paths = { .tls = "/srv/tls", .log = "/srv/l%g/pg.log" } },
};
static struct config_word client_words[] = { { { "192.0.2.0/24", 12 }, 0 }, { { "2001:db8::9", 11 }, 0 } };
static struct region region = { .name = { "eu-fr", 5 } };
static struct cell cell = { .name = { "eu-fr-1", 7 },
                            .database = "domicile",
                            .nodes = nodes,
                            .node_count = 3,
                            .primary = &nodes[0],
                            .clients = { client_words, 2 },
                            .monitor = { .slot_max_mib = 1000 },
                            .region = &region };
static const struct node *const standbys[] = { &nodes[1], &nodes[2] };

static int set_up(void **state)
{
    arena_init(&arena);
    return 0;
}

static int tear_down(void **state)
{
    arena_done(&arena);
    return 0;
}

static bool has(struct str text, const char *part)
{
    return memmem(text.ptr, text.len, part, strlen(part)) != NULL;
}

static struct conf_node of(size_t node, size_t awaited)
{
    return (struct conf_node){ .node = &nodes[node],
                               .upstream = node == 0 ? NULL : &nodes[0],
                               .socket = "/srv/it's/socket",
                               .standbys = standbys,
                               .standby_count = awaited,
                               .certificate = STR("PEM"),
                               .hba = STR("rules") };
}

static struct str conf_of(size_t node, size_t awaited)
{
    const struct conf_node at = of(node, awaited);
    return conf_text(&arena, &cell, &at);
}

static void values_are_quoted(void **state)
{
    struct str primary = conf_of(0, 2), standby = conf_of(1, 0);
    assert_true(has(primary, "unix_socket_directories = '/srv/it''s/socket'\n"));
    assert_true(has(primary, "synchronous_standby_names = 'ANY 1 (\"eu-2\", \"eu3\")'\n"));
    assert_true(has(primary, "max_slot_wal_keep_size = '1500MB'\n"));
    assert_false(has(primary, "primary_conninfo"));
    assert_true(has(standby, "primary_conninfo = 'host=''192.0.2.1'' port=5432 user=domicile_replication "
                             "application_name=''eu-2'' sslmode=verify-full "));
    assert_true(has(standby, "primary_slot_name = 'eu_2'\n"));
    assert_false(has(standby, "synchronous_standby_names"));
    assert_false(has(conf_of(0, 0), "synchronous_standby_names"));
}

/* A path of a configuration file has up to 512 bytes, each of which may be a quote. */
static void a_line_is_as_long_as_its_paths(void **state)
{
    char path[2049] = "/";
    memset(path + 1, '\'', sizeof path - 2);
    path[sizeof path - 1] = '\0';
    nodes[1].paths.tls = path;
    struct str text = conf_of(1, 0);
    nodes[1].paths.tls = "/srv/tls";
    const char *at = memmem(text.ptr, text.len, "primary_conninfo = ", 19);
    assert_non_null(at);
    assert_true(strcspn(at, "\n") > 4096);
    assert_true(has(text, "sslmode=verify-full"));
}

/* A server is asked for the digest of what it runs with: it is another one after every change. */
static void the_digest_is_of_all_of_it(void **state)
{
    const char *before = conf_running(&arena, conf_of(0, 2));
    assert_int_equal(strlen(before), 64);
    assert_string_equal(conf_running(&arena, conf_of(0, 2)), before);
    assert_string_not_equal(conf_running(&arena, conf_of(0, 1)), before);
    struct conf_node at = of(0, 2);
    at.certificate = STR("another PEM");
    assert_string_not_equal(conf_running(&arena, conf_text(&arena, &cell, &at)), before);
    at = of(0, 2);
    at.hba = STR("other rules");
    assert_string_not_equal(conf_running(&arena, conf_text(&arena, &cell, &at)), before);
    assert_string_equal(conf_running(&arena, STR("port = 5432\n")), "");
    assert_string_equal(conf_running(&arena, (struct str){ 0 }), "");
}

static void rules_are_for_certificates_alone(void **state)
{
    struct str hba = conf_hba(&arena, &cell, NULL), rest = hba, line, first;
    size_t rules = 0;
    while (str_cut(&rest, '\n', &line)) {
        if (line.len == 0 || line.ptr[0] == '#')
            continue;
        rules++;
        str_cut(&line, ' ', &first);
        assert_true(rules == 1 ? str_is(first, "local") && has(line, "peer map=domicile")
                               : str_is(first, "hostssl") && has(line, "  cert"));
    }
    assert_int_equal(rules, conf_hba_rules(&cell, NULL));
    assert_true(has(hba, "hostssl  \"domicile\"  domicile_gateway  2001:db8::9/128  cert\n"));
    assert_true(has(hba, "hostssl  replication  domicile_replication  192.0.2.1/32  cert\n"));
    assert_true(has(hba, "hostssl  replication  domicile_replication  eu2.example  cert\n"));
    assert_true(has(hba, "hostssl  replication  domicile_replication  2001:db8::3/128  cert\n"));
    assert_false(has(hba, "domicile_monitor") || has(hba, "hostssl  all"));
}

static void one_that_leaves_has_no_rule(void **state)
{
    struct str hba = conf_hba(&arena, &cell, &nodes[1]);
    assert_false(has(hba, "eu2.example"));
    assert_int_equal(conf_hba_rules(&cell, &nodes[1]), conf_hba_rules(&cell, NULL) - 1);
}

static void the_map_names_the_user(void **state)
{
    assert_true(has(conf_ident(&arena, &nodes[0]), "\ndomicile  \"pg\"  postgres\n"));
    assert_true(has(conf_ident(&arena, &nodes[1]), "\ndomicile  \"a \"\"b\"  postgres\n"));
}

static void the_include_is_the_last_word(void **state)
{
    struct str with = conf_with_include(&arena, STR("port = 1"));
    assert_true(str_is(with, "port = 1\ninclude = 'domicile.conf'\n"));
    assert_null(conf_with_include(&arena, with).ptr);
    assert_null(conf_with_include(&arena, STR("  include = 'domicile.conf'  \n# a comment\n\n")).ptr);
    assert_non_null(conf_with_include(&arena, STR("include = 'domicile.conf'\nport = 2\n")).ptr);
    assert_non_null(conf_with_include(&arena, STR("# include = 'domicile.conf'\n")).ptr);
    assert_true(str_is(conf_with_include(&arena, STR("")), "include = 'domicile.conf'\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(values_are_quoted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_line_is_as_long_as_its_paths, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_digest_is_of_all_of_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rules_are_for_certificates_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_leaves_has_no_rule, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_map_names_the_user, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_include_is_the_last_word, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
