#include "seal_test.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/domicile-rootkey-XXXXXX";
static char path[64];

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

static int drop_file(void **state)
{
    unlink(path);
    return 0;
}

static void write_file(struct str text, mode_t mode)
{
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text.ptr, text.len), text.len);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

#define HEX_32 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define BASE64_32 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static void a_key_is_raw_hexadecimal_or_base64(void **state)
{
    uint8_t raw[32];
    for (size_t i = 0; i < sizeof raw; i++)
        raw[i] = (uint8_t)i;
    const struct str forms[] = { { (char *)raw, 32 }, STR(HEX_32),    STR(HEX_32 "\n"),
                                 STR(HEX_32 "\r\n"),  STR(BASE64_32), STR(BASE64_32 "\n") };
    for (size_t i = 0; i < COUNT(forms); i++) {
        struct root_key key = { 0 };
        write_file(forms[i], i % 2 == 0 ? 0600 : 0400);
        check_ok(rootkey_load_file(path, &key));
        assert_memory_equal(key.secret.ptr, raw, sizeof raw);
        rootkey_free(&key);
    }
}

static void what_is_no_key_is_refused(void **state)
{
    static const char long_text[4096] = { 'a' };
    const char zeros[32] = { 0 };
    const struct str forms[] = { STR(""),
                                 STR("\n"),
                                 STR("short"),
                                 STR(HEX_32 "0"),
                                 STR(HEX_32 "00"),
                                 STR(" " HEX_32),
                                 STR(HEX_32 "\n\n"),
                                 STR("g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"),
                                 STR("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg=="),
                                 { zeros, sizeof zeros },
                                 { long_text, 128 },
                                 { long_text, sizeof long_text } };
    for (size_t i = 0; i < COUNT(forms); i++) {
        struct root_key key = { 0 };
        write_file(forms[i], 0600);
        check_fails(E_KEY_PROVIDER, rootkey_load_file(path, &key));
        assert_null(key.secret.ptr);
    }
}

static void p2_a_key_that_others_may_read_is_refused(void **state)
{
    const mode_t modes[] = { 0640, 0604, 0660, 0644, 0700, 0601 };
    struct root_key key = { 0 };
    for (size_t i = 0; i < COUNT(modes); i++) {
        write_file(STR(HEX_32), modes[i]);
        check_fails(E_KEY_PROVIDER, rootkey_load_file(path, &key));
    }
    check_fails(E_KEY_PROVIDER, rootkey_load_file("/dev/null", &key));
    check_fails(E_KEY_PROVIDER, rootkey_load_file(folder, &key));
    check_fails(E_KEY_PROVIDER, rootkey_load_file("/nowhere/root.key", &key));
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    check_fails(E_KEY_PROVIDER, rootkey_load_file(path, &key)); /* and does not wait for a writer */
}

static void a_generated_file_loads_and_is_never_overwritten(void **state)
{
    struct root_key first = { 0 }, second = { 0 };
    struct stat status;
    mode_t before = umask(0);
    check_ok(rootkey_generate_file(path));
    umask(before);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    check_ok(rootkey_load_file(path, &first));
    check_fails(E_CONFLICT, rootkey_generate_file(path));
    check_ok(rootkey_load_file(path, &second));
    assert_memory_equal(first.secret.ptr, second.secret.ptr, ROOTKEY_BYTES);
    rootkey_free(&second);
    unlink(path);
    check_ok(rootkey_generate_file(path));
    check_ok(rootkey_load_file(path, &second));
    assert_memory_not_equal(first.secret.ptr, second.secret.ptr, ROOTKEY_BYTES);
    check_fails(E_IO, rootkey_generate_file("/nowhere/root.key"));
    rootkey_free(&first);
    rootkey_free(&second);
}

static void a_fingerprint_tells_keys_apart_and_shows_none(void **state)
{
    struct root_key one = root_of(1), two = root_of(2);
    char text[ROOTKEY_FINGERPRINT_SIZE], other[ROOTKEY_FINGERPRINT_SIZE];
    rootkey_fingerprint(&one, text);
    rootkey_fingerprint(&two, other);
    assert_string_equal(text, "8104f540ccfc2f06892896ae841ad934");
    assert_string_not_equal(text, other);
    rootkey_free(&one);
    rootkey_free(&two);
}

static result run(const char *script, uint64_t within_ms, struct root_key *ret)
{
    char *argv[] = { "/bin/sh", "-c", (char *)script, NULL };
    return rootkey_load_command(argv, within_ms, ret);
}

static void a_command_gives_the_key(void **state)
{
    struct root_key key = { 0 };
    check_ok(run("cat; printf " HEX_32, SEC(20), &key));
    assert_int_equal(key.secret.ptr[31], 31);
    rootkey_free(&key);
    check_ok(run("printf 00010203; sleep 0.05; echo 0405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
                 SEC(20), &key));
    rootkey_free(&key);
}

static void a_command_that_fails_gives_none(void **state)
{
    static const char *const scripts[] = { "printf " HEX_32 "; exit 3", "printf " HEX_32 "; kill -9 $$",
                                           "exit 0", "yes", "echo no key" };
    struct root_key key = { 0 };
    for (size_t i = 0; i < COUNT(scripts); i++) {
        result r = run(scripts[i], SEC(20), &key);
        assert_int_equal(r.error.code, E_KEY_PROVIDER);
        assert_non_null(strstr(r.error.what, "\"/bin/sh\""));
        assert_null(key.secret.ptr);
    }
    char *nowhere[] = { "/nowhere/command", NULL }, *relative[] = { "sh", NULL }, *none[] = { NULL };
    check_fails(E_KEY_PROVIDER, rootkey_load_command(nowhere, SEC(1), &key));
    check_fails(E_KEY_PROVIDER, rootkey_load_command(relative, SEC(1), &key));
    check_fails(E_KEY_PROVIDER, rootkey_load_command(none, SEC(1), &key));
}

static void a_command_that_hangs_is_killed_with_its_children(void **state)
{
    static const char *const scripts[] = { ("sleep 60; printf " HEX_32),
                                           "while :; do printf ''; sleep 0.01; done", "exec >&-; sleep 60" };
    struct root_key key = { 0 };
    for (size_t i = 0; i < COUNT(scripts); i++) {
        uint64_t begun_ns = clock_monotonic_ns();
        check_fails(E_KEY_PROVIDER, run(scripts[i], MS(50), &key));
        assert_true(clock_monotonic_ns() - begun_ns < SEC(20) * 1000000);
    }
    char script[160];
    snprintf(script, sizeof script, "sleep 60 & echo $! > %s; wait", path);
    check_fails(E_KEY_PROVIDER, run(script, MS(500), &key));
    FILE *file = fopen(path, "r");
    int child = 0;
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%d", &child), 1);
    fclose(file);
    int tries = 0;
    while (kill(child, 0) == 0 && tries++ < 500) { /* an orphan may wait for init to reap it */
        char stat_path[64], state_of[256] = "";
        snprintf(stat_path, sizeof stat_path, "/proc/%d/stat", child);
        file = fopen(stat_path, "r");
        size_t got = file != NULL ? fread(state_of, 1, sizeof state_of - 1, file) : 0;
        if (file != NULL)
            fclose(file);
        if (got == 0 || strstr(state_of, ") Z ") != NULL)
            return;
        usleep(10000);
    }
    assert_true(tries < 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_key_is_raw_hexadecimal_or_base64, drop_file),
        cmocka_unit_test_teardown(what_is_no_key_is_refused, drop_file),
        cmocka_unit_test_teardown(p2_a_key_that_others_may_read_is_refused, drop_file),
        cmocka_unit_test_teardown(a_generated_file_loads_and_is_never_overwritten, drop_file),
        cmocka_unit_test(a_fingerprint_tells_keys_apart_and_shows_none),
        cmocka_unit_test(a_command_gives_the_key),
        cmocka_unit_test(a_command_that_fails_gives_none),
        cmocka_unit_test_teardown(a_command_that_hangs_is_killed_with_its_children, drop_file),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
