/* Whose a key file is, and who could exchange it. */
#include "seal_test.h"

#include "seal/key_file.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SOMEBODY = 12345 };

static char folder[PATH_MAX]; /* of this user alone, below /tmp */

static int begin(void **state)
{
    snprintf(folder, sizeof folder, "/tmp/domicile-key-XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static const char *path_of(const char *name)
{
    static char paths[4][PATH_MAX];
    static size_t next;
    char *path = paths[next++ % COUNT(paths)];
    assert_in_range(snprintf(path, PATH_MAX, "%s/%s", folder, name), 1, PATH_MAX - 1);
    return path;
}

static int end(void **state)
{
    static const char *const names[] = { "open/link", "open/root.key", "open", "link", "root.key", "way" };
    for (size_t i = 0; i < COUNT(names); i++)
        if (unlink(path_of(names[i])) != 0)
            rmdir(path_of(names[i]));
    return rmdir(folder);
}

static void make(const char *name)
{
    check_ok(key_file_create(path_of(name), 0600, STR("a key")));
}

static void make_folder(const char *name, mode_t mode)
{
    assert_int_equal(mkdir(path_of(name), 0700), 0);
    assert_int_equal(chmod(path_of(name), mode), 0);
}

static void is_taken(const char *path)
{
    int fd = -1;
    check_ok(key_file_open(path, E_KEY_PROVIDER, &fd));
    assert_int_equal(close(fd), 0);
}

static void is_refused(const char *path, const char *why)
{
    int fd = -1;
    result r = key_file_open(path, E_KEY_PROVIDER, &fd);
    check_fails(E_KEY_PROVIDER, r);
    if (strstr(r.error.what, why) == NULL)
        fail_msg("not \"%s\": %s", why, r.error.what);
    assert_int_equal(fd, -1);
}

static void p2_somebody_elses_key_is_refused_for_root_as_well(void **state)
{
    make("root.key");
    is_taken(path_of("root.key"));
    if (geteuid() != 0)
        return; /* nobody can make such a file, and the mode keeps out those of others */
    assert_int_equal(chown(path_of("root.key"), SOMEBODY, (gid_t)-1), 0);
    is_refused(path_of("root.key"), "belongs to user 12345");
}

static void p2_a_key_that_others_can_exchange_is_refused(void **state)
{
    make_folder("open", 0777);
    make("open/root.key");
    is_refused(path_of("open/root.key"), "everybody can write");
    assert_int_equal(chmod(path_of("open"), 01777), 0);
    is_taken(path_of("open/root.key"));
    assert_int_equal(chmod(path_of("open"), 0775), 0); /* a group's */
    is_taken(path_of("open/root.key"));
}

static void p2_a_link_is_looked_at_on_both_sides(void **state)
{
    make_folder("open", 0777);
    make("open/root.key");
    make("root.key");
    assert_int_equal(symlink("open/root.key", path_of("link")), 0);
    is_refused(path_of("link"), "everybody can write");
    assert_int_equal(symlink("../root.key", path_of("open/link")), 0);
    is_refused(path_of("open/link"), "everybody can write");
    assert_int_equal(symlink("root.key", path_of("way")), 0);
    is_taken(path_of("way"));
    if (geteuid() != 0)
        return;
    assert_int_equal(chmod(path_of("open"), 01777), 0);
    is_taken(path_of("open/link"));
    assert_int_equal(lchown(path_of("open/link"), SOMEBODY, (gid_t)-1), 0);
    is_refused(path_of("open/link"), "everybody can write");
}

static void a_path_from_here_is_a_path_as_well(void **state)
{
    make_folder("open", 0777);
    make("open/root.key");
    make("root.key");
    int before = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(chdir(folder), 0);
    is_taken("root.key");
    is_taken("./root.key");
    is_refused("open/root.key", "everybody can write");
    assert_int_equal(chdir("open"), 0);
    is_refused("root.key", "everybody can write");
    assert_int_equal(fchdir(before), 0);
    close(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(p2_somebody_elses_key_is_refused_for_root_as_well, begin, end),
        cmocka_unit_test_setup_teardown(p2_a_key_that_others_can_exchange_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(p2_a_link_is_looked_at_on_both_sides, begin, end),
        cmocka_unit_test_setup_teardown(a_path_from_here_is_a_path_as_well, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
