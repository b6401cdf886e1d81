/* Files: whole, with their mode, at once, or not at all. */
#include "host.h"

#include <dirent.h>
#include <limits.h>

static char *make_bytes(size_t size)
{
    char *bytes = arena_alloc(&test_arena, size + 1);
    uint32_t state = 12345;
    for (size_t i = 0; i < size; i++) {
        state = state * 1664525 + 1013904223;
        bytes[i] = (char)(state >> 24);
    }
    return bytes;
}

static bool holds(const char *path, struct str bytes)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    char *text = malloc(bytes.len + 1);
    size_t got = fread(text, 1, bytes.len + 1, file);
    fclose(file);
    bool same = got == bytes.len && memcmp(text, bytes.ptr, got) == 0;
    free(text);
    return same;
}

static unsigned mode_of(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_mode & 07777;
}

/* What is in the scratch directory `name`, but for what it says. */
static const char *left_in(struct ssh *ssh, const char *name)
{
    return run_shell(ssh, arena_printf(&test_arena, "ls -A %s", scratch(name))).out.ptr;
}

static const char *folder(struct ssh *ssh, const char *name)
{
    run_shell(ssh, arena_printf(&test_arena, "mkdir %s", scratch(name)));
    return scratch(name);
}

ON_LOOP(small_files_arrive_with_content_and_mode)
{
    static const struct {
        const char *name;
        size_t size;
        uint32_t mode;
    } files[] = { { "empty", 0, 0600 },
                  { "one", 1, 0644 },
                  { "odd $(x) 'name'\n", 70000, 0755 },
                  { "ro", 262144, 0400 },
                  { "more", 262145, 0640 } };
    struct ssh *ssh = host_connect();
    const char *in = folder(ssh, "small");
    for (size_t i = 0; i < COUNT(files); i++) {
        const char *path = arena_printf(&test_arena, "%s/%s", in, files[i].name);
        const struct ssh_file file = { .path = path,
                                       .bytes = { make_bytes(files[i].size), files[i].size },
                                       .mode = files[i].mode,
                                       .within_ms = SEC(10) };
        check_ok(ssh_put(ssh, &test_arena, &file));
        assert_true(holds(path, file.bytes));
        assert_int_equal(mode_of(path), files[i].mode);
    }
    assert_null(strstr(left_in(ssh, "small"), ".domicile-"));
    ssh_close(ssh);
}

ON_LOOP(fifty_megabytes_stream_from_a_local_file_and_the_loop_turns_meanwhile)
{
    size_t size = 50 << 20;
    struct ssh *ssh = host_connect();
    const char *local = host_path("local"), *path = arena_printf(&test_arena, "%s/big", folder(ssh, "big"));
    char *bytes = make_bytes(size);
    FILE *out = fopen(local, "we");
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    fclose(out);
    const struct ssh_file file = { .path = path, .local = local, .mode = 0640, .within_ms = SEC(60) };
    uint64_t begin = now_ms(), turns = loop_stats().turns;
    check_ok(ssh_put(ssh, &test_arena, &file));
    print_message("           50 MiB in %llu ms, %llu turns\n", (unsigned long long)(now_ms() - begin),
                  (unsigned long long)(loop_stats().turns - turns));
    assert_true(loop_stats().turns - turns >= size / (256 * 1024)); /* no turn is kept for longer */
    assert_true(holds(path, (struct str){ bytes, size }));
    assert_int_equal(mode_of(path), 0640);
    unlink(local);
    run_shell(ssh, arena_printf(&test_arena, "rm %s", path));
    ssh_close(ssh);
}

ON_LOOP(a_file_that_is_there_is_replaced_at_once)
{
    struct ssh *ssh = host_connect();
    const char *path = arena_printf(&test_arena, "%s/file", folder(ssh, "replace"));
    run_shell(ssh,
              arena_printf(&test_arena, "echo old >%s; chmod 444 %s; ln %s %s.kept", path, path, path, path));
    const struct ssh_file file = { .path = path, .bytes = STR("new"), .mode = 0600, .within_ms = SEC(10) };
    check_ok(ssh_put(ssh, &test_arena, &file));
    assert_true(holds(path, STR("new")));
    assert_int_equal(mode_of(path), 0600);
    assert_true(
        holds(arena_printf(&test_arena, "%s.kept", path), STR("old\n"))); /* it was not written into */
    ssh_close(ssh);
}

ON_LOOP(what_the_host_refuses_is_told_and_leaves_nothing)
{
    struct ssh *ssh = host_connect();
    const char *in = folder(ssh, "refused");
    run_shell(ssh, arena_printf(&test_arena, "mkdir -p %s/directory/full", in));
    struct ssh_file file = { .bytes = STR("x"), .mode = 0600, .within_ms = SEC(10) };
    file.path = arena_printf(&test_arena, "%s/directory", in);
    check_fails(E_IO, ssh_put(ssh, &test_arena, &file));
    file.path = arena_printf(&test_arena, "%s/none/file", in);
    check_fails(E_IO, ssh_put(ssh, &test_arena, &file));
    file.path = "/proc/file";
    check_fails(E_IO, ssh_put(ssh, &test_arena, &file));
    file.path = "relative";
    check_fails(E_ARGUMENT, ssh_put(ssh, &test_arena, &file));
    file.path = arena_printf(&test_arena, "%s/", in);
    check_fails(E_ARGUMENT, ssh_put(ssh, &test_arena, &file));
    char longer[PATH_MAX];
    memset(longer, '/', sizeof longer);
    memcpy(longer + sizeof longer - 5, "file", 5);
    file.path = longer; /* the temporary file beside it would be too long */
    check_fails(E_LIMIT, ssh_put(ssh, &test_arena, &file));
    file.path = arena_printf(&test_arena, "%s/file", in);
    file.local = host_path("no-such-file");
    check_fails(E_IO, ssh_put(ssh, &test_arena, &file));
    file.local = "/dev/zero";
    check_fails(E_IO, ssh_put(ssh, &test_arena, &file));
    assert_string_equal(left_in(ssh, "refused"), "directory\n");
    ssh_close(ssh);
}

ON_LOOP(a_file_that_finds_no_room_leaves_the_old_one_and_nothing_else)
{
    const struct ssh_options options = host_options("small");
    struct ssh *ssh = host_open(&options);
    struct ssh_file file = { .path = arena_printf(&test_arena, "%s/file", folder(ssh, "full")),
                             .bytes = STR("old"),
                             .mode = 0600,
                             .within_ms = SEC(10) };
    check_ok(ssh_put(ssh, &test_arena, &file));
    file.bytes = (struct str){ make_bytes(1 << 20), 1 << 20 };
    check_fails(E_IO, ssh_put(ssh, &test_arena, &file));
    assert_true(ssh_serves(ssh));
    assert_true(holds(file.path, STR("old")));
    assert_string_equal(left_in(ssh, "full"), "file\n");
    ssh_close(ssh);
}

ON_LOOP(a_straggler_s_file_does_not_appear)
{
    struct ssh *ssh = host_connect();
    const char *path = arena_printf(&test_arena, "%s/file", folder(ssh, "straggler"));
    struct ssh_guard guard = { scratch("state-put"), { 4, 1, 1 } };
    struct ssh_file file = {
        .path = path, .bytes = STR("late"), .mode = 0600, .within_ms = SEC(10), .guard = &guard
    };
    check_ok(ssh_put(ssh, &test_arena, &file));
    guard.token.fence = 3;
    file.bytes = STR("straggler");
    check_fails(E_STALE, ssh_put(ssh, &test_arena, &file));
    assert_true(holds(path, STR("late")));
    assert_string_equal(left_in(ssh, "straggler"), "file\n");
    ssh_close(ssh);
}

/* The new name is there. */
static bool is_begun(const char *in)
{
    DIR *open = opendir(in);
    const struct dirent *entry;
    bool found = false;
    assert_non_null(open);
    while ((entry = readdir(open)) != NULL)
        found |= strstr(entry->d_name, ".domicile-") != NULL;
    closedir(open);
    return found;
}

struct putting {
    struct ssh *ssh;
    const struct ssh_file *file;
    result outcome;
};

static void put(void *arg)
{
    struct putting *putting = arg;
    putting->outcome = ssh_put(putting->ssh, &test_arena, putting->file);
}

static pid_t server_of(struct ssh *ssh)
{
    return (pid_t)atoi(run_shell(ssh, "echo $PPID").out.ptr);
}

/* Cancelled, late, or cut off, somewhere in the middle: the target is as it was. */
ON_LOOP(an_upload_that_is_broken_off_leaves_no_target)
{
    enum { CANCELLED, LATE, CUT, WAYS };
    size_t size = 48 << 20;
    char *bytes = make_bytes(size);
    for (int way = 0; way < WAYS; way++) {
        struct ssh *ssh = host_connect();
        pid_t server = server_of(ssh);
        const char *in = folder(ssh, arena_printf(&test_arena, "broken-%d", way));
        const struct ssh_file file = { .path = arena_printf(&test_arena, "%s/file", in),
                                       .bytes = { bytes, size },
                                       .mode = 0600,
                                       .within_ms = way == LATE ? 60 : SEC(60) };
        struct putting putting = { ssh, &file, OK };
        struct scope scope = SCOPE_INIT;
        check_ok(fiber_spawn(&scope, "put", put, &putting));
        UNTIL(is_begun(in));
        if (way == CANCELLED)
            scope_cancel(&scope);
        else if (way == CUT)
            assert_int_equal(kill(server, SIGKILL), 0);
        check_ok(scope_join(&scope));
        check_fails(way == CANCELLED ? E_CANCELLED
                    : way == LATE    ? E_DEADLINE
                                     : E_UNAVAILABLE,
                    putting.outcome);
        assert_false(ssh_serves(ssh));
        assert_false(is_there(file.path));
        ssh_close(ssh);
    }
}

static pid_t child_of(pid_t parent)
{
    return pid_in(arena_printf(&test_arena, "/proc/%d/task/%d/children", (int)parent, (int)parent));
}

ON_LOOP(a_file_server_that_dies_is_noticed_and_leaves_the_old_file)
{
    size_t size = 48 << 20;
    struct ssh *ssh = host_connect();
    pid_t server = server_of(ssh);
    const char *in = folder(ssh, "dies"), *path = arena_printf(&test_arena, "%s/file", in);
    run_shell(ssh, arena_printf(&test_arena, "echo old >%s", path));
    const struct ssh_file file = {
        .path = path, .bytes = { make_bytes(size), size }, .mode = 0600, .within_ms = SEC(10)
    };
    struct putting putting = { ssh, &file, OK };
    struct scope scope = SCOPE_INIT;
    UNTIL(child_of(server) == 0);
    check_ok(fiber_spawn(&scope, "put", put, &putting));
    UNTIL(is_begun(in));
    assert_int_equal(kill(child_of(server), SIGKILL), 0);
    uint64_t begin = now_ms();
    check_ok(scope_join(&scope));
    assert_in_range(now_ms() - begin, 0, 2000);
    check_fails(E_UNAVAILABLE, putting.outcome);
    assert_false(ssh_serves(ssh));
    assert_true(holds(path, STR("old\n")));
    ssh_close(ssh);
}

ON_LOOP(a_host_without_sftp_says_so)
{
    const struct ssh_options options = host_options("no-sftp");
    struct ssh *ssh = host_open(&options);
    const struct ssh_file file = {
        .path = scratch("no-sftp"), .bytes = STR("x"), .mode = 0600, .within_ms = SEC(5)
    };
    check_fails(E_SSH, ssh_put(ssh, &test_arena, &file));
    assert_false(is_there(file.path));
    ssh_close(ssh);
}

struct seen {
    size_t count;
    char argv[512], digest[SSH_DIGEST_SIZE];
};

static void see(void *context, const struct ssh_trace *trace)
{
    struct seen *seen = context;
    seen->count++;
    snprintf(seen->argv, sizeof seen->argv, "%s %s", trace->argv[0], trace->argv[1]);
    memcpy(seen->digest, trace->digest, sizeof seen->digest);
}

ON_LOOP(a_file_is_recorded_with_its_digest)
{
    struct seen seen = { 0 };
    struct ssh_options options = host_options("good");
    options.record = see;
    options.record_context = &seen;
    struct ssh *ssh = host_open(&options);
    const struct ssh_file file = {
        .path = scratch("recorded"), .bytes = STR("abc"), .mode = 0600, .within_ms = SEC(5)
    };
    check_ok(ssh_put(ssh, &test_arena, &file));
    assert_int_equal(seen.count, 2); /* the rename, and the file */
    assert_string_equal(seen.argv, arena_printf(&test_arena, "put %s", file.path));
    assert_string_equal(seen.digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    ssh_close(ssh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_files_arrive_with_content_and_mode),
        cmocka_unit_test(fifty_megabytes_stream_from_a_local_file_and_the_loop_turns_meanwhile),
        cmocka_unit_test(a_file_that_is_there_is_replaced_at_once),
        cmocka_unit_test(what_the_host_refuses_is_told_and_leaves_nothing),
        cmocka_unit_test(a_file_that_finds_no_room_leaves_the_old_one_and_nothing_else),
        cmocka_unit_test(a_file_server_that_dies_is_noticed_and_leaves_the_old_file),
        cmocka_unit_test(a_straggler_s_file_does_not_appear),
        cmocka_unit_test(an_upload_that_is_broken_off_leaves_no_target),
        cmocka_unit_test(a_host_without_sftp_says_so),
        cmocka_unit_test(a_file_is_recorded_with_its_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
