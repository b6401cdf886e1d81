/* What a gateway asks of hosts is recorded; where it cannot be, the gateway says so once and asks on. */
#include "host.h"

#include "base/log.h"
#include "control/watches.h"

#include <string.h>

static struct config config;
static struct cell cell;
static struct region region;
static struct node node;
static struct control_watch *watch;
static size_t warnings;
static char said[1024];

static void on_line(void *context, enum log_level level, const char *line)
{
    (void)context;
    assert_int_equal(level, LOG_WARNING);
    warnings++;
    snprintf(said, sizeof said, "%s", line);
}

static void begin(const char *state_path)
{
    region = (struct region){ .name = { "eu-fr", 5 }, .cells = &cell, .cell_count = 1 };
    config = (struct config){ .regions = &region, .region_count = 1, .state_path = state_path };
    cell = (struct cell){
        .name = { "eu-fr-1", 7 }, .region = &region, .nodes = &node, .node_count = 1, .primary = &node
    };
    node = (struct node){ .name = { "eu1", 3 },
                          .ssh = { .address = "127.0.0.1",
                                   .port = host_port("good"),
                                   .user = getenv("SSHT_USER"),
                                   .private_key = host_path("user"),
                                   .host_key = host_text(host_path("host.pub")) },
                          .paths = { .data = host_path("scratch") } };
    warnings = 0;
    log_set_sink(on_line, NULL);
    check_ok(control_watch_new(&config, &cell, &watch));
}

static void end(void)
{
    control_watch_free(watch);
    log_set_sink(NULL, NULL);
}

static void ask_for_the_disk(void)
{
    struct health_host facts;
    host_reader_disks(watch->reader);
    control_watch_facts(watch, &node, &facts);
    assert_true(facts.disk_free_bytes.known);
}

ON_LOOP(what_a_gateway_asks_is_recorded)
{
    begin(scratch("gateway-state"));
    ask_for_the_disk();
    ask_for_the_disk();
    json_t *lines = looks_of(config.state_path);
    assert_int_equal(json_array_size(lines), 2);
    assert_string_equal(look_text(lines, 1, "run"), "gateway");
    assert_string_equal(look_text(lines, 1, "host"), "eu1");
    json_decref(lines);
    assert_int_equal(warnings, 0);
    end();
}

ON_LOOP(without_a_record_it_warns_once_and_asks_on)
{
    begin(host_path("user")); /* a file */
    ask_for_the_disk();
    ask_for_the_disk();
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(said, "cell 'eu-fr-1': commands on its hosts are not recorded"));
    assert_non_null(strstr(said, "Not a directory"));
    assert_non_null(strstr(said, "state_path"));
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_gateway_asks_is_recorded),
        cmocka_unit_test(without_a_record_it_warns_once_and_asks_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
