/* Several looks as one remote command: what each finds, and that one does not touch the next. */
#include "host.h"

#include "hosts/hosts.h"

#include <string.h>

static struct cell cell;
static struct node node;
static struct cell_hosts *hosts;
static struct runbook_call call;
static struct host_log *record;

static void warn(void *context, const struct error *why) {}

static void begin(void)
{
    const struct host_log_options options = { scratch("state"), "facts", warn, NULL };
    node = (struct node){ .name = { "eu1", 3 },
                          .ssh = { .address = "127.0.0.1",
                                   .port = host_port("good"),
                                   .user = getenv("SSHT_USER"),
                                   .private_key = host_path("user"),
                                   .host_key = host_text(host_path("host.pub")) } };
    cell = (struct cell){ .nodes = &node, .node_count = 1, .primary = &node };
    call = runbook_call_to_look("look", &test_arena);
    record = host_log_new(&options);
    check_ok(cell_hosts_new(&cell, record, &hosts));
}

static void end(void)
{
    cell_hosts_free(hosts);
    host_log_free(record);
}

static const char *file_of(const char *name, const char *bytes, size_t len, mode_t mode)
{
    const char *path = scratch(name);
    remove(path);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

static void is(struct str found, const char *bytes, size_t len)
{
    assert_non_null(found.ptr);
    assert_int_equal(found.len, len);
    assert_memory_equal(found.ptr, bytes, len);
}

ON_LOOP(each_look_finds_its_own)
{
    begin();
    struct host_fact facts[] = {
        { .path = file_of("plain", "one\ntwo\n\n", 9, 0644) },
        { .path = file_of("bytes", "\0\036\n7\xff", 5, 0644) },
        { .path = file_of("nothing", "", 0, 0644) },
        { .path = scratch("it's \"not\" $there; exit 3") },
        { .argv = HOST_ARGV("sh", "-c", "cat; echo said; echo wrong >&2; exit 7") },
        { .argv = HOST_ARGV("cat"), .input = STR("asked\n") },
        { .argv = HOST_ARGV("no-such-program-here") },
        { .argv = HOST_ARGV("sh", "-c", "kill -9 $$") },
        { .argv = HOST_ARGV("printf", "%s|", "a", "b c", "d", "e", "f", "g", "h", "$1") },
    };
    check_ok(host_ask(hosts, &node, &call, facts, sizeof facts / sizeof facts[0]));
    is(facts[0].out, "one\ntwo\n\n", 9);
    is(facts[1].out, "\0\036\n7\xff", 5);
    is(facts[2].out, "", 0);
    assert_null(facts[3].out.ptr);
    is(facts[4].out, "said\n", 5);
    assert_int_equal(facts[4].exit_status, 7);
    is(last_line(facts[4].err), "wrong", 5);
    is(facts[5].out, "asked\n", 6);
    assert_int_equal(facts[5].exit_status, 0);
    assert_int_equal(last_line(facts[5].err).len, 0);
    assert_int_equal(facts[6].exit_status, 127);
    assert_int_equal(facts[7].exit_status, 128 + 9);
    is(facts[8].out, "a|b c|d|e|f|g|h|$1|", 19);
    json_t *looks = looks_of(scratch("state"));
    assert_int_equal(json_array_size(looks), 1);
    json_decref(looks);
    end();
}

ON_LOOP(what_cannot_be_read_is_no_fact)
{
    begin();
    struct host_fact folder = { .path = scratch("") };
    result r = host_ask(hosts, &node, &call, &folder, 1);
    check_fails(E_HOST, r);
    assert_non_null(strstr(r.error.what, "cannot be read"));
    struct host_fact large[] = {
        { .argv = HOST_ARGV("echo", "small") },
        { .argv = HOST_ARGV("head", "-c", "70000", "/dev/zero") },
        { .argv = HOST_ARGV("echo", "small") },
    };
    check_fails(E_LIMIT, host_ask(hosts, &node, &call, large, 3));
    large[1].argv = HOST_ARGV("head", "-c", "70000000", "/dev/zero");
    check_fails(E_LIMIT, host_ask(hosts, &node, &call, large, 3));
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_look_finds_its_own),
        cmocka_unit_test(what_cannot_be_read_is_no_fact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
