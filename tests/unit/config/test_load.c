#include "config/shipped.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct config_errors errors;

static int set_up(void **state)
{
    config_errors_init(&errors);
    return 0;
}

static int tear_down(void **state)
{
    config_errors_done(&errors);
    return 0;
}

static void the_shipped_configuration_is_the_sandbox_s(void **state)
{
    struct config *config = NULL;
    check_ok(config_load(SOURCE_DIR, &config, &errors));
    assert_int_equal(errors.count, 0);
    assert_int_equal(config->region_count, 2);
    const struct region *eu = config_find_region(config, STR("eu-fr"));
    assert_ptr_equal(eu, &config->regions[0]);
    assert_string_equal(eu->endpoint, "https://127.10.0.1:8443");
    assert_string_equal(eu->listen[0].address, "127.10.0.1");
    assert_int_equal(eu->listen[0].port, 8443);
    assert_true(eu->listen[0].tls);
    assert_int_equal(eu->status_count, 1);
    assert_string_equal(eu->status[0].address, "127.10.0.1");
    assert_int_equal(eu->status[0].port, 8444);
    assert_false(eu->status[0].tls);
    assert_string_equal(eu->jurisdiction.country, "FR");
    assert_string_equal(eu->jurisdiction.bloc.ptr, "EEA");
    assert_string_equal(eu->tls.certificate, SOURCE_DIR "/tls/eu-fr/gateway.crt");
    assert_string_equal(eu->token.public_key, SOURCE_DIR "/keys/eu-fr/token.pub");
    assert_string_equal(eu->root_key.file, SOURCE_DIR "/keys/eu-fr/root.key");
    const struct cell *cell = config_find_cell(eu, STR("eu-fr-1"));
    assert_non_null(cell);
    assert_ptr_equal(cell->primary, &cell->nodes[0]);
    assert_string_equal(cell->primary->address, "127.10.1.1");
    assert_int_equal(cell->primary->port, 15432);
    assert_string_equal(cell->primary->site->name.ptr, "par1");
    assert_ptr_equal(cell->region, eu);
    assert_string_equal(cell->gateway.private_key, SOURCE_DIR "/pg/eu-fr/gateway.key");
    assert_string_equal(config->directory_path, SOURCE_DIR "/directory.sqlite");
    config_free(config);
}

static void a_node_has_ssh_or_it_has_not(void **state)
{
    struct shipped shipped;
    struct config *config = NULL;
    shipped_init(&shipped);
    shipped_change(&shipped, "regions/us.cfg", "port = 10022;", "");
    shipped_change(&shipped, "regions/us.cfg", "state = \"/var/lib/domicile/us1/state\";", "");
    shipped_change(&shipped, "regions/us.cfg", "nodes = (",
                   "nodes = ( { name = \"us9\"; site = \"cbf1\"; address = \"127.20.9.1\"; },");
    check_ok(shipped_load(&shipped, &config, NULL));
    const struct node_ssh *ssh = &config_find_node(config, STR("us1"))->ssh;
    assert_string_equal(ssh->user, "domicile");
    assert_string_equal(ssh->address, "127.20.1.1"); /* the node's */
    assert_int_equal(ssh->port, 22);
    assert_string_equal(ssh->private_key, "/etc/domicile/ssh/us/operator");
    assert_string_equal(ssh->state, "/var/lib/domicile");
    assert_int_equal(config_find_node(config, STR("us2"))->ssh.port, 10022);
    assert_null(config_find_node(config, STR("us9"))->ssh.user);
    assert_null(config_find_node(config, STR("us8")));
    config_free(config);
    shipped_done(&shipped);
}

static void what_is_left_out_has_its_preset(void **state)
{
    struct config *config = NULL;
    check_ok(config_load(SOURCE_DIR, &config, &errors));
    const struct region *us = config_find_region(config, STR("us"));
    assert_int_equal(us->limits.max_headers, 100);
    assert_int_equal(us->limits.max_requests_per_connection, 10000);
    assert_int_equal(us->limits.idle_ms, 60000);
    assert_int_equal(us->root_key.command_within_ms, 10000);
    assert_int_equal(us->cells[0].pool.connect_within_ms, 5000);
    assert_string_equal(config->log_level, "info");
    config_free(config);
}

static void the_data_register_has_four_classes(void **state)
{
    static const struct {
        const char *name;
        bool sealed, audit_reads;
    } expected[] = { { "health", true, true },
                     { "identity", true, true },
                     { "telemetry", true, false },
                     { "operational", false, false } };
    struct config *config = NULL;
    check_ok(config_load(SOURCE_DIR, &config, &errors));
    assert_int_equal(config->class_count, 4);
    for (size_t i = 0; i < 4; i++) {
        const struct data_class *class = config_find_class(config, str_from(expected[i].name));
        assert_non_null(class);
        assert_int_equal(class->index, i);
        assert_int_equal(class->sealed, expected[i].sealed);
        assert_int_equal(class->audit_reads, expected[i].audit_reads);
    }
    assert_null(config_find_class(config, STR("gossip")));
    config_free(config);
}

static const struct policy_rule *rule_of(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->rule_count; i++)
        if (str_is(config->rules[i].name, name))
            return &config->rules[i];
    fail_msg("there is no rule \"%s\"", name);
    return NULL;
}

static void every_word_of_a_rule_counts(void **state)
{
    struct config *config = NULL;
    check_ok(config_load(SOURCE_DIR, &config, &errors));
    const struct policy_rule *bloc = rule_of(config, "personal-data-stays-in-bloc"),
                             *staff = rule_of(config, "staff-touches-no-records"),
                             *eea = rule_of(config, "health-stays-in-eea");
    assert_int_equal(bloc->class_mask, 1 << config_find_class(config, STR("identity"))->index |
                                           1 << config_find_class(config, STR("telemetry"))->index);
    assert_int_equal(bloc->role_mask, UINT32_MAX);
    assert_false(bloc->any_class);
    assert_int_equal(staff->role_mask,
                     1 << ROLE_ONBOARDING | 1 << ROLE_SYSADMIN | 1 << ROLE_SECURITY | 1 << ROLE_COMPLIANCE);
    assert_int_equal(staff->action_mask, 1 << ACTION_STORE | 1 << ACTION_READ | 1 << ACTION_LIST |
                                             1 << ACTION_DELETE | 1 << ACTION_EXPORT);
    assert_true(staff->class_mask == UINT64_MAX && staff->any_class);
    assert_int_equal(eea->home_mask, 1 << config_find_region(config, STR("eu-fr"))->index);
    assert_int_equal(eea->action_mask, UINT32_MAX);
    config_free(config);
}

static void a_country_reaches_the_regions_in_it(void **state)
{
    struct shipped shipped;
    struct config *config = NULL;
    shipped_init(&shipped);
    shipped_change(&shipped, "policies/residency.cfg", "outside = [ \"bloc:EEA\" ]",
                   "places = [ \"country:US\", \"country:DE\" ]");
    check_ok(shipped_load(&shipped, &config, &errors));
    const struct region *eu = config_find_region(config, STR("eu-fr")),
                        *us = config_find_region(config, STR("us"));
    const struct policy_reach *reach = &rule_of(config, "health-stays-in-eea")->reach[eu->index];
    const struct country *de = config_find_country(config, STR("DE")),
                         *fr = config_find_country(config, STR("FR"));
    assert_int_equal(reach->regions, 1 << us->index);
    assert_true(reach->countries[de->index / 64] >> de->index % 64 & 1);
    assert_false(reach->countries[fr->index / 64] >> fr->index % 64 & 1);
    config_free(config);
    shipped_done(&shipped);
}

static const char *replaced(struct arena *arena, const char *text, const char *from, const char *to)
{
    const char *made = "";
    for (const char *at; (at = strstr(text, from)) != NULL; text = at + strlen(from))
        made = arena_printf(arena, "%s%.*s%s", made, (int)(at - text), text, to);
    return arena_printf(arena, "%s%s", made, text);
}

/* A region like the shipped one of the United States, with names and addresses of its own. */
static struct config_text another_region(struct shipped *shipped, int number)
{
    const char *text = shipped_file(shipped, "regions/us.cfg")->text.ptr;
    const char *const names[][2] = { { "\"us\"", "\"r%d\"" }, { "us-1", "r%d-1" },      { "us1", "r%da" },
                                     { "us2", "r%db" },       { "/us/", "/r%d/" },      { "iad1", "iad-r%d" },
                                     { "cbf1", "cbf-r%d" },   { "127.20.", "127.1%d." } };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *number_at = strstr(names[i][1], "%d");
        text = replaced(&shipped->arena, text, names[i][0],
                        arena_printf(&shipped->arena, "%.*s%d%s", (int)(number_at - names[i][1]), names[i][1],
                                     number, number_at + 2));
    }
    return (struct config_text){ arena_printf(&shipped->arena, "regions/r%d.cfg", number), str_from(text) };
}

static void p8_so_many_regions_are_read_and_not_more(void **state)
{
    struct shipped shipped;
    struct config *config = NULL;
    struct config_text texts[SHIPPED_FILES_MAX + CONFIG_REGIONS_MAX];
    shipped_init(&shipped);
    shipped_change(&shipped, "policies/residency.cfg", "outside = [ \"bloc:EEA\" ]",
                   "places = [ \"country:US\" ]");
    memcpy(texts, shipped.texts, shipped.count * sizeof texts[0]);
    size_t count = shipped.count;
    for (int more = 0; more < CONFIG_REGIONS_MAX - 2; more++)
        texts[count++] = another_region(&shipped, 10 + more);
    check_ok(config_load_texts("/etc/domicile", texts, count, &config, &errors));
    assert_int_equal(config->region_count, CONFIG_REGIONS_MAX);
    const struct region *eu = config_find_region(config, STR("eu-fr"));
    assert_int_equal(rule_of(config, "health-stays-in-eea")->reach[eu->index].regions,
                     UINT32_MAX & ~(UINT32_C(1) << eu->index)); /* all the others are in the United States */
    config_free(config);
    texts[count++] = another_region(&shipped, 99);
    check_fails(E_CONFIG, config_load_texts("/etc/domicile", texts, count, &config, &errors));
    assert_non_null(strstr(errors.items[0].what, "more than 32 regions"));
    shipped_done(&shipped);
}

static void a_top_file_sets_the_directory(void **state)
{
    struct shipped shipped;
    shipped_init(&shipped);
    shipped_add(&shipped, "domicile.cfg",
                "directory = \"/var/lib/domicile/d.sqlite\";\nlog_level = \"debug\";\n");
    struct config *config = NULL;
    check_ok(shipped_load(&shipped, &config, &errors));
    assert_string_equal(config->directory_path, "/var/lib/domicile/d.sqlite");
    assert_string_equal(config->log_level, "debug");
    config_free(config);
    shipped_done(&shipped);
}

static void the_digest_names_the_files_contents(void **state)
{
    struct shipped shipped;
    shipped_init(&shipped);
    struct config *first = NULL, *second = NULL, *third = NULL;
    check_ok(shipped_load(&shipped, &first, &errors));
    check_ok(shipped_load(&shipped, &second, &errors));
    shipped_change(&shipped, "regions/us.cfg", "# A jurisdiction", "# A  jurisdiction");
    check_ok(shipped_load(&shipped, &third, &errors));
    assert_int_equal(strlen(first->digest), 64);
    assert_string_equal(first->digest, second->digest);
    assert_string_not_equal(first->digest, third->digest);
    config_free(first);
    config_free(second);
    config_free(third);
    shipped_done(&shipped);
}

/* ---- on the disk ---- */
static void write_file(const char *dir, const char *name, struct str text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text.ptr, text.len), (ssize_t)text.len);
    close(fd);
}

static void make_directory(char *dir, const char *subdirectory)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, subdirectory);
    assert_int_equal(mkdir(path, 0755), 0);
}

static void remove_file(const char *dir, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(remove(path), 0);
}

static void a_file_is_named_by_its_whole_path_or_from_the_directory(void **state)
{
    char dir[] = "/tmp/domicile-config-XXXXXX", path[64];
    struct arena arena;
    struct str text;
    arena_init(&arena);
    assert_non_null(mkdtemp(dir));
    write_file(dir, "x.cfg", STR("one = 1;"));
    snprintf(path, sizeof path, "%s/x.cfg", dir);
    check_ok(config_file_text("/nowhere", path, &arena, &text));
    assert_true(str_is(text, "one = 1;"));
    check_ok(config_file_text(dir, "x.cfg", &arena, &text));
    assert_true(str_is(text, "one = 1;"));
    check_fails(E_CONFIG, config_file_text("/nowhere", "x.cfg", &arena, &text));
    remove_file(dir, "x.cfg");
    remove_file(dir, "");
    arena_done(&arena);
}

static void a_directory_that_is_not_there_is_said_so(void **state)
{
    struct config *config = NULL;
    check_fails(E_CONFIG, config_load("/nonexistent/domicile", &config, &errors));
    assert_null(config);
    assert_int_equal(errors.count, 1);
    assert_non_null(strstr(errors.items[0].what, "/nonexistent/domicile"));
}

static void an_empty_directory_has_no_region(void **state)
{
    char dir[] = "/tmp/domicile-config-XXXXXX";
    assert_non_null(mkdtemp(dir));
    make_directory(dir, "regions");
    make_directory(dir, "policies");
    struct config *config = NULL;
    check_fails(E_CONFIG, config_load(dir, &config, &errors));
    assert_string_equal(errors.items[0].what, "no region is declared");
    write_file(dir, "regions/.hidden.cfg", STR("not = \"read\";"));
    write_file(dir, "regions/us.cfg~", STR("not = \"read\";"));
    config_errors_done(&errors);
    config_errors_init(&errors);
    check_fails(E_CONFIG, config_load(dir, &config, &errors));
    assert_string_equal(errors.items[0].what, "no region is declared");
    make_directory(dir, "regions/folder.cfg");
    check_fails(E_CONFIG, config_load(dir, &config, NULL));
    remove_file(dir, "regions/folder.cfg");
    remove_file(dir, "regions/.hidden.cfg");
    remove_file(dir, "regions/us.cfg~");
    remove_file(dir, "regions");
    remove_file(dir, "policies");
    remove_file(dir, "");
}

static void errors_may_be_left_out(void **state)
{
    struct config *config = NULL;
    result r = config_load_texts("/etc", NULL, 0, &config, NULL);
    assert_int_equal(r.error.code, E_CONFIG);
    assert_non_null(strstr(r.error.what, "more)"));
    assert_non_null(r.error.hint);
}

/* ---- files that the snapshot names ---- */
static const char *const needed[] = { "tls/us/gateway.crt", "tls/us/gateway.key", "keys/us/token.key",
                                      "keys/us/root.key",   "pg/us/ca.crt",       "pg/us/gateway.crt",
                                      "pg/us/gateway.key",  "keys/us/token.pub",  "keys/eu-fr/token.pub",
                                      "pg/us/monitor.crt",  "pg/us/monitor.key" };
enum { NEEDED = COUNT(needed) };
static const char *const folders[] = { "tls", "keys", "pg", "tls/us", "keys/us", "keys/eu-fr", "pg/us" };
enum { FOLDERS = COUNT(folders) };

static void set_mode(const char *dir, const char *name, mode_t mode)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(chmod(path, mode), 0);
}

static result check_files(const struct config *config)
{
    config_errors_done(&errors);
    config_errors_init(&errors);
    return config_check_files(config, config_find_region(config, STR("us")), &errors);
}

static void files_are_there_and_private_ones_closed(void **state)
{
    char dir[] = "/tmp/domicile-files-XXXXXX";
    assert_non_null(mkdtemp(dir));
    for (size_t i = 0; i < FOLDERS; i++)
        make_directory(dir, folders[i]);
    struct shipped shipped;
    shipped_init(&shipped);
    struct config *config = NULL;
    check_ok(config_load_texts(dir, shipped.texts, shipped.count, &config, &errors));

    check_fails(E_CONFIG, check_files(config));
    assert_int_equal(errors.count, NEEDED);
    for (size_t i = 0; i < NEEDED; i++) {
        write_file(dir, needed[i], STR("x"));
        set_mode(dir, needed[i], strstr(needed[i], ".key") != NULL ? 0600 : 0644);
    }
    check_ok(check_files(config));

    static const struct {
        const char *name;
        mode_t mode;
        bool fine;
    } modes[] = { { "tls/us/gateway.key", 0640, true },  { "tls/us/gateway.key", 0644, false },
                  { "tls/us/gateway.key", 0660, false }, { "keys/us/root.key", 0640, false },
                  { "keys/us/root.key", 0400, true },    { "keys/us/token.key", 0604, false },
                  { "pg/us/gateway.key", 0644, false },  { "keys/eu-fr/token.pub", 0666, false },
                  { "tls/us/gateway.crt", 0664, false }, { "tls/us/gateway.crt", 0444, true } };
    for (size_t i = 0; i < COUNT(modes); i++) {
        set_mode(dir, modes[i].name, modes[i].mode);
        if (failed(check_files(config)) == modes[i].fine)
            fail_msg("%s with mode %03o", modes[i].name, (unsigned)modes[i].mode);
        assert_int_equal(errors.count, modes[i].fine ? 0 : 1);
        set_mode(dir, modes[i].name, strstr(modes[i].name, ".key") != NULL ? 0600 : 0644);
    }
    check_ok(check_files(config));

    remove_file(dir, "keys/us/root.key");
    make_directory(dir, "keys/us/root.key");
    check_fails(E_CONFIG, check_files(config));
    assert_non_null(strstr(errors.items[0].what, "is not a file"));

    for (size_t i = 0; i < NEEDED; i++)
        remove_file(dir, needed[i]);
    for (size_t i = FOLDERS; i > 0; i--)
        remove_file(dir, folders[i - 1]);
    remove_file(dir, "");
    config_free(config);
    shipped_done(&shipped);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_shipped_configuration_is_the_sandbox_s),
        TEST(a_node_has_ssh_or_it_has_not),
        TEST(what_is_left_out_has_its_preset),
        TEST(the_data_register_has_four_classes),
        TEST(every_word_of_a_rule_counts),
        TEST(a_country_reaches_the_regions_in_it),
        TEST(p8_so_many_regions_are_read_and_not_more),
        TEST(a_top_file_sets_the_directory),
        TEST(the_digest_names_the_files_contents),
        TEST(a_file_is_named_by_its_whole_path_or_from_the_directory),
        TEST(a_directory_that_is_not_there_is_said_so),
        TEST(an_empty_directory_has_no_region),
        TEST(errors_may_be_left_out),
        TEST(files_are_there_and_private_ones_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
