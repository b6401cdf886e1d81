/* domicile node check, against hosts of every kind. */
#include "host.h"

#include "cli/cli.h"

/* ---- a configuration whose nodes are these servers ---- */

static struct str shipped(const char *name)
{
    struct str text;
    check_ok(config_file_text(SOURCE_DIR, name, &test_arena, &text));
    return text;
}

static void write_file(const char *dir, const char *name, struct str text)
{
    FILE *file = fopen(arena_printf(&test_arena, "%s/%s", dir, name), "we");
    assert_non_null(file);
    assert_int_equal(fwrite(text.ptr, 1, text.len, file), text.len);
    fclose(file);
}

static const char *ssh_of(const char *server, const char *state)
{
    return server == NULL
               ? ""
               : arena_printf(&test_arena,
                              " ssh = { address = \"127.0.0.1\"; port = %u; user = \"%s\"; private_key = "
                              "\"%s\"; host_key = \"%s\"; state = \"%s\"; };",
                              host_port(server), getenv("SSHT_USER"), host_path("user"),
                              host_text(host_path("host.pub")), state);
}

/* The shipped region with one node, and ssh at it; server NULL: without. */
static struct str region(const char *file, const char *cell, const char *node, const char *server,
                         const char *state)
{
    const char *text = shipped(file).ptr, *cells = strstr(text, "cells = (");
    assert_non_null(cells);
    return str_from(arena_printf(
        &test_arena,
        "%.*scells = ( { name = \"%s\"; nodes = ( { %s; port = 15432;%s } ); ca = \"ca.crt\";\n"
        "gateway = { certificate = \"g.crt\"; private_key = \"g.key\"; };\n"
        "admin = { certificate = \"a.crt\"; private_key = \"a.key\"; }; primary = \"%.3s\"; } );\n",
        (int)(cells - text), text, cell, node, ssh_of(server, state), strchr(node, '"') + 1));
}

static const char *configure(const char *eu_server, const char *us_server, const char *state)
{
    const char *dir = host_path("config");
    struct config_words names;
    mkdir(dir, 0755);
    mkdir(host_path("config/regions"), 0755);
    mkdir(host_path("config/policies"), 0755);
    check_ok(config_list_files(SOURCE_DIR, "policies", ".cfg", &test_arena, &names));
    for (size_t i = 0; i < names.count; i++)
        write_file(dir, names.items[i].text.ptr, shipped(names.items[i].text.ptr));
    write_file(dir, "regions/eu-fr.cfg",
               region("regions/eu-fr.cfg", "eu-fr-1",
                      "name = \"eu1\"; site = \"par1\"; address = \"127.10.1.1\"", eu_server, state));
    write_file(dir, "regions/us.cfg",
               region("regions/us.cfg", "us-1", "name = \"us1\"; site = \"iad1\"; address = \"127.20.1.1\"",
                      us_server, state));
    return dir;
}

/* ---- the command ---- */

struct said {
    int status;
    char *out, *err;
    size_t out_len, err_len;
};

static struct said check_node(const char *dir, const char *node, const char *option)
{
    struct said said = { 0 };
    FILE *out = open_memstream(&said.out, &said.out_len), *err = open_memstream(&said.err, &said.err_len);
    const char *words[] = { "domicile", "node", "check", "--config", dir, NULL, NULL, NULL };
    int count = 5;
    if (option != NULL)
        words[count++] = option;
    if (node != NULL)
        words[count++] = node;
    struct cli cli;
    cli_init(&cli, out, err);
    said.status = cli_run(&cli, count, (char **)words);
    cli_done(&cli);
    fclose(out);
    fclose(err);
    return said;
}

static void said_done(struct said *said)
{
    free(said->out);
    free(said->err);
}

static void check_says(const char *text, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strstr(text, *words) == NULL)
            fail_msg("it does not say \"%s\" but:\n%s", *words, text);
}

static int set_up(void **state)
{
    arena_init(&test_arena);
    return 0;
}

static int tear_down(void **state)
{
    arena_done(&test_arena);
    return 0;
}

static void a_good_host_is_told_with_its_algorithms(void **state)
{
    const char *dir = configure("good", NULL, scratch("state-cli"));
    struct said said = check_node(dir, "eu1", NULL);
    assert_string_equal(said.err, "");
    assert_int_equal(said.status, 0);
    check_says(said.out, WORDS("eu1  127.0.0.1:", "ok", "SSH-2.0-OpenSSH_",
                               "ssh-ed25519 SHA256:", "matches the pin", "curve25519-sha256", "aes256-ctr",
                               "hmac-sha2-512", " ms", "works in", "strict kex    offered, not used\n"));
    said_done(&said);
    said = check_node(dir, NULL, NULL); /* the other node has no ssh, and is left out */
    assert_int_equal(said.status, 0);
    assert_null(strstr(said.out, "us1"));
    said_done(&said);
}

static void json_has_the_same(void **state)
{
    struct said said = check_node(configure("good", NULL, scratch("state-cli")), "eu1", "--json");
    json_t *json = json_loads(said.out, 0, NULL), *node, *negotiated;
    const char *name, *kex, *mac;
    double trip;
    int good, guard, strict;
    assert_int_equal(said.status, 0);
    assert_non_null(json);
    assert_int_equal(json_unpack(json, "{s:[o]}", "nodes", &node), 0);
    assert_int_equal(json_unpack(node, "{s:s,s:b,s:o,s:F,s:b}", "node", &name, "good", &good, "negotiated",
                                 &negotiated, "round_trip_ms", &trip, "guard", &guard),
                     0);
    assert_int_equal(json_unpack(negotiated, "{s:s,s:s,s:b}", "key_exchange", &kex, "mac_in", &mac,
                                 "strict_kex_offered", &strict),
                     0);
    assert_true(strict);
    assert_string_equal(name, "eu1");
    assert_string_equal(kex, "curve25519-sha256");
    assert_string_equal(mac, "hmac-sha2-512");
    assert_true(good && guard && trip > 0 && trip < 10000);
    json_decref(json);
    said_done(&said);
}

static void weak_and_changed_hosts_are_refused(void **state)
{
    struct said said = check_node(configure("changed", "etm", scratch("state-cli")), "eu1", "--json");
    assert_int_equal(said.status, 7);
    check_says(said.out, WORDS("\"host-key\"", "but the pin is"));
    check_says(said.err, WORDS("\"code\":\"host-key\""));
    said_done(&said);
    said = check_node(host_path("config"), "us1", NULL);
    assert_int_equal(said.status, 7);
    check_says(said.out, WORDS("us1", "no MAC of", "etm@openssh.com"));
    check_says(said.err, WORDS("no MAC of", "hint: Allow the algorithms"));
    said_done(&said);
    said = check_node(configure("good", "weak-kex", scratch("state-cli")), NULL, NULL); /* one is enough */
    assert_int_equal(said.status, 7);
    check_says(said.out, WORDS("eu1  127.0.0.1:", "works in", "us1  127.0.0.1:", "no key exchange of"));
    said_done(&said);
}

static void a_guard_that_cannot_work_is_told(void **state)
{
    struct said said = check_node(configure("good", NULL, "/proc/domicile"), "eu1", NULL);
    assert_int_equal(said.status, 8);
    check_says(said.out, WORDS("/proc/domicile", "not tested"));
    check_says(said.err, WORDS("the guard on \"eu1\" cannot work", "hint: "));
    said_done(&said);
}

static void a_guard_that_has_seen_more_works(void **state)
{
    const char *directory = scratch("state-seen");
    struct said said = check_node(configure("good", NULL, directory), "eu1", NULL);
    assert_int_equal(said.status, 0);
    assert_false(is_there(scratch("state-seen/guard"))); /* it changed nothing */
    said_done(&said);
    write_file(directory, "guard", STR("9 1 1\n"));
    assert_int_equal(chmod(scratch("state-seen/guard"), 0644), 0);
    said = check_node(host_path("config"), "eu1", NULL);
    assert_int_equal(said.status, 0);
    check_says(said.out, WORDS("works in"));
    said_done(&said);
}

static void without_ssh_it_says_what_to_add(void **state)
{
    const char *dir = configure(NULL, NULL, "/x");
    struct said said = check_node(dir, "eu1", NULL);
    assert_int_equal(said.status, 7);
    check_says(said.err, WORDS("the node \"eu1\"", "regions/eu-fr.cfg:", "has no ssh",
                               "hint: Add to the node", "host_key"));
    said_done(&said);
    said = check_node(dir, NULL, NULL);
    assert_int_equal(said.status, 4);
    said_done(&said);
    said = check_node(dir, "eu9", NULL);
    assert_int_equal(said.status, 4);
    check_says(said.err, WORDS("there is no node \"eu9\""));
    said_done(&said);
}

static void its_commands_are_recorded(void **state)
{
    static const char *const steps[] = { "round-trip", "round-trip", "round-trip", "guard" };
    const char *dir = configure("good", NULL, scratch("state-cli")),
               *state_path = arena_printf(&test_arena, "%s/state", dir),
               *away = arena_printf(&test_arena, "%s/state-away", dir);
    struct said said;
    rename(state_path, away); /* of the tests before */
    said = check_node(dir, "eu1", NULL);
    assert_int_equal(said.status, 0);
    assert_string_equal(said.err, "");
    said_done(&said);
    json_t *lines = looks_of(state_path);
    assert_int_equal(json_array_size(lines), 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(look_text(lines, i, "run"), "node-check");
        assert_string_equal(look_text(lines, i, "step"), steps[i]);
        assert_string_equal(look_text(lines, i, "host"), "eu1");
    }
    json_decref(lines);
}

static void what_cannot_be_recorded_is_told_and_asked_all_the_same(void **state)
{
    const char *dir = configure("good", NULL, scratch("state-cli"));
    write_file(dir, "domicile.cfg", STR("state_path = \"regions/eu-fr.cfg\";\n")); /* a file */
    struct said said = check_node(dir, "eu1", NULL);
    assert_int_equal(said.status, 0);
    check_says(said.out, WORDS("works in"));
    check_says(said.err, WORDS("domicile: warning: the log of commands", "Not a directory", "\nhint: "));
    assert_null(strstr(strstr(said.err, "warning") + 1, "warning")); /* once */
    said_done(&said);
    said = check_node(dir, "eu1", "--json");
    assert_int_equal(said.status, 0);
    json_t *json = json_loads(said.err, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(json_object_get(json, "warning"), "code")), "io");
    json_decref(json);
    said_done(&said);
    assert_int_equal(unlink(arena_printf(&test_arena, "%s/domicile.cfg", dir)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_good_host_is_told_with_its_algorithms, set_up, tear_down),
        cmocka_unit_test_setup_teardown(json_has_the_same, set_up, tear_down),
        cmocka_unit_test_setup_teardown(weak_and_changed_hosts_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_guard_that_cannot_work_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_guard_that_has_seen_more_works, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_ssh_it_says_what_to_add, set_up, tear_down),
        cmocka_unit_test_setup_teardown(its_commands_are_recorded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_recorded_is_told_and_asked_all_the_same, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
