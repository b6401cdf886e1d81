/* What the disk, the memory and the kernel can refuse: an error, nothing half done, nothing left open. */
#include "failing.h"
#include "seal_test.h"

#include "base/clock.h"
#include "seal/key_file.h"
#include "seal/keyring.h"

#include <stdio.h>

#define HEX_32 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static char folder[] = "/tmp/domicile-failing-XXXXXX", path[64];

static int make_folder(void **state)
{
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/root.key", folder);
    return 0;
}

static int drop_folder(void **state)
{
    return rmdir(folder);
}

static void p8_a_key_file_is_there_whole_or_not_at_all(void **state)
{
    static const struct {
        const char *call;
        int after, code;
    } failures[] = {
        { "write", 0, ENOSPC }, { "fchmod", 0, EPERM }, { "fsync", 0, EIO }, { "fsync", 1, EIO }
    };
    int before = open_files();
    for (size_t i = 0; i < COUNT(failures); i++) {
        fail_at(failures[i].call, failures[i].after, failures[i].code);
        result r = rootkey_generate_file(path);
        assert_true(has_failed());
        assert_int_equal(r.error.code, E_IO);
        assert_non_null(strstr(r.error.what, strerror(failures[i].code)));
        assert_int_not_equal(access(path, F_OK), 0);
    }
    assert_int_equal(open_files(), before);
}

static void a_key_file_that_cannot_be_read_is_closed_again(void **state)
{
    struct root_key key = { 0 };
    check_ok(rootkey_generate_file(path));
    int before = open_files();
    fail_at("fstat", 0, EIO);
    check_fails(E_KEY_PROVIDER, rootkey_load_file(path, &key));
    assert_true(has_failed());
    fail_at("read", 0, EIO);
    check_fails(E_KEY_PROVIDER, rootkey_load_file(path, &key));
    assert_true(has_failed());
    check_ok(rootkey_load_file(path, &key));
    rootkey_free(&key);
    assert_int_equal(open_files(), before);
    unlink(path);
}

static result run(const char *script, struct root_key *ret)
{
    char *argv[] = { "/bin/sh", "-c", (char *)script, NULL };
    return rootkey_load_command(argv, SEC(20), ret);
}

static void a_key_command_that_cannot_be_watched_gives_none(void **state)
{
    static const struct {
        const char *call;
        int after;
        enum error_code code;
    } failures[] = { { "pipe2", 0, E_RESOURCE },    { "pidfd_open", 0, E_RESOURCE },
                     { "read", 0, E_KEY_PROVIDER }, { "read", 1, E_KEY_PROVIDER },
                     { "poll", 0, E_KEY_PROVIDER }, { "poll", 2, E_KEY_PROVIDER } };
    struct root_key key = { 0 };
    int before = open_files();
    for (size_t i = 0; i < COUNT(failures); i++) {
        fail_at(failures[i].call, failures[i].after, EMFILE);
        result r = run("echo " HEX_32, &key);
        assert_true(has_failed());
        assert_int_equal(r.error.code, failures[i].code);
        assert_null(key.secret.ptr);
    }
    assert_int_equal(open_files(), before);
}

static void a_signal_does_not_end_the_wait_for_a_key(void **state)
{
    static const char *const calls[] = { "poll", "read" };
    struct root_key key = { 0 };
    for (size_t i = 0; i < 2; i++) {
        fail_at(calls[i], 0, EINTR);
        check_ok(run("echo " HEX_32, &key));
        assert_true(has_failed());
        assert_int_equal(key.secret.ptr[31], 31);
        rootkey_free(&key);
    }
}

static void a_ring_without_memory_is_refused(void **state)
{
    struct keyring *ring = NULL;
    for (int after = 0; after < 2; after++) {
        fail_at("calloc", after, ENOMEM);
        check_fails(E_MEMORY, keyring_new(&ring, 10, SEC(300)));
        assert_true(has_failed());
        assert_null(ring);
    }
    check_ok(keyring_new(&ring, 10, SEC(300)));
    struct class_key key = key_of(1, 1);
    fail_at("calloc", 0, ENOMEM);
    check_fails(E_MEMORY, keyring_put(ring, STR("ab"), STR("health"), &key, true));
    assert_true(has_failed());
    assert_null(key.secret.ptr); /* taken, and wiped */
    assert_int_equal(keyring_count(ring), 0);
    keyring_free(ring);
}

/* It is not taken for a key that was altered: the hint would send the operator to the backups. */
static void no_memory_for_secrets_is_said_as_such(void **state)
{
    struct class_key_name name = {
        .region = STR("eu-fr"), .customer = STR("clinique"), .class = STR("health"), .version = 1
    };
    struct root_key root = root_of(1);
    struct class_key keys[4096], back = { 0 };
    uint8_t wrapped[CLASSKEY_WRAPPED_BYTES];
    keys[0] = key_of(1, 1);
    check_ok(classkey_wrap(&root, &name, &keys[0], wrapped));
    size_t count = 1;
    fail_at("mlock", 0, ENOMEM);
    while (failing.name != NULL) { /* until the pool must grow, and cannot */
        result r = classkey_generate(1, &keys[count]);
        if (failing.name == NULL)
            check_fails(E_RESOURCE, r);
        else
            check_ok(r);
        assert_true(++count < 4096);
    }
    count--; /* the last is none */
    fail_at("mmap", 0, ENOMEM);
    check_fails(E_RESOURCE,
                classkey_unwrap(&root, &name, (struct str){ (char *)wrapped, sizeof wrapped }, &back));
    assert_true(has_failed());
    assert_null(back.secret.ptr);
    check_ok(classkey_unwrap(&root, &name, (struct str){ (char *)wrapped, sizeof wrapped }, &back));
    classkey_free(&back);
    while (count > 0)
        classkey_free(&keys[--count]);
    rootkey_free(&root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p8_a_key_file_is_there_whole_or_not_at_all),
        cmocka_unit_test(a_key_file_that_cannot_be_read_is_closed_again),
        cmocka_unit_test(a_key_command_that_cannot_be_watched_gives_none),
        cmocka_unit_test(a_signal_does_not_end_the_wait_for_a_key),
        cmocka_unit_test(a_ring_without_memory_is_refused),
        cmocka_unit_test(no_memory_for_secrets_is_said_as_such),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
