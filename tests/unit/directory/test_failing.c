/* What the disk and the memory can refuse: an error, and nothing left open. */
#include "failing.h"

#include "directory/directory_test.h"
#include "directory/index.h"
#include "directory/sqlite_file.h"

static void a_file_whose_name_is_not_on_the_disk_is_an_error(void **state)
{
    int before = open_files();
    fail_at("fsync", 0, EIO);
    result r = sqlite_file_create(path);
    assert_true(has_failed());
    assert_int_equal(r.error.code, E_DIRECTORY);
    assert_non_null(strstr(r.error.what, strerror(EIO)));
    check_ok(sqlite_file_create(path)); /* it is there */
    assert_int_equal(open_files(), before);
}

static void an_index_without_memory_keeps_what_it_has(void **state)
{
    struct directory_index *index = directory_index_new();
    struct directory_entry first = entry_of("clinic-1", "eu-fr", 1), got;
    fail_at("aligned_alloc", 0, ENOMEM);
    check_fails(E_MEMORY, directory_index_put(index, &first));
    assert_true(has_failed());
    assert_false(directory_index_find(index, STR("clinic-1"), &got));
    check_ok(directory_index_put(index, &first));
    fail_at("aligned_alloc", 0, ENOMEM);
    size_t kept = 1;
    for (; failing.name != NULL; kept++) { /* until a part must grow */
        char id[32];
        snprintf(id, sizeof id, "other-%zu", kept);
        struct directory_entry entry = entry_of(id, "eu-fr", 1);
        result r = directory_index_put(index, &entry);
        assert_int_equal(r.error.code, failing.name != NULL ? E_OK : E_MEMORY);
    }
    assert_int_equal(directory_index_stats(index).entries, kept - 1);
    assert_true(directory_index_find(index, STR("clinic-1"), &got));
    directory_index_free(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_whose_name_is_not_on_the_disk_is_an_error, make_folder,
                                        remove_folder),
        cmocka_unit_test(an_index_without_memory_keeps_what_it_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
