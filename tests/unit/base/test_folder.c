#include "check.h"

#include "base/arena.h"
#include "base/folder.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct arena arena;
static char dir[64];
static const char *folder;

static int set_up(void **context)
{
    arena_init(&arena);
    strcpy(dir, "/tmp/domicile-folder.XXXXXX");
    assert_non_null(mkdtemp(dir));
    folder = arena_printf(&arena, "%s/state", dir);
    return 0;
}

static int tear_down(void **context)
{
    (void)(unlink(folder) == 0 || rmdir(folder) == 0);
    assert_int_equal(rmdir(dir), 0);
    arena_done(&arena);
    return 0;
}

static struct stat status_of(const char *path)
{
    struct stat status;
    assert_int_equal(lstat(path, &status), 0);
    return status;
}

static void it_is_made_and_opened_again(void **context)
{
    int fd;
    mode_t before = umask(0);
    for (int i = 0; i < 2; i++) {
        check_ok(folder_open_private(folder, E_IO, &fd));
        assert_int_equal(close(fd), 0);
        assert_int_equal(status_of(folder).st_mode, S_IFDIR | 0700);
    }
    umask(before);
}

static void it_is_refused_when_others_may_enter_or_it_is_a_link(void **context)
{
    int fd;
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(chmod(folder, 0750), 0);
    check_fails(E_JOURNAL, folder_open_private(folder, E_JOURNAL, &fd));
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(symlink(dir, folder), 0);
    check_fails(E_IO, folder_open_private(folder, E_IO, &fd));
}

static void what_root_makes_belongs_to_whoever_has_the_folder_above(void **context)
{
    enum { SOMEBODY = 12345 };
    int fd;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(dir, SOMEBODY, SOMEBODY), 0);
    check_ok(folder_open_private(folder, E_IO, &fd));
    assert_int_equal(status_of(folder).st_uid, SOMEBODY);
    const char *path = arena_printf(&arena, "%s/file", folder);
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(file >= 0 && folder_give(fd, file));
    assert_int_equal(status_of(path).st_uid, SOMEBODY);
    close(file);
    assert_int_equal(unlink(path), 0);
    close(fd);
    check_ok(folder_open_private(folder, E_IO, &fd)); /* and root comes in again */
    close(fd);
    assert_int_equal(seteuid(SOMEBODY + 1), 0);
    result r = folder_open_private(folder, E_IO, &fd);
    assert_int_equal(seteuid(0), 0);
    check_fails(E_IO, r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_is_made_and_opened_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_is_refused_when_others_may_enter_or_it_is_a_link, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_root_makes_belongs_to_whoever_has_the_folder_above, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
