#include "check.h"

#include "base/secret.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* ASan and TSan make mlock(2) do nothing. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MLOCK_LOCKS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MLOCK_LOCKS 0
#endif
#endif
#ifndef MLOCK_LOCKS
#define MLOCK_LOCKS 1
#endif

static void new_secrets_are_zero_apart_and_writable(void **state)
{
    const size_t sizes[] = { 1, 31, 32, 33, 64, 100, 1000, SECRET_MAX };
    struct secret secrets[COUNT(sizes)];
    for (size_t i = 0; i < COUNT(sizes); i++) {
        check_ok(secret_new(&secrets[i], sizes[i]));
        assert_int_equal(secrets[i].len, sizes[i]);
        assert_int_equal((uintptr_t)secrets[i].ptr % 16, 0);
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(secrets[i].ptr[k], 0);
        memset(secrets[i].ptr, (int)i + 1, sizes[i]);
    }
    for (size_t i = 0; i < COUNT(sizes); i++)
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(secrets[i].ptr[k], i + 1);
    for (size_t i = 0; i < COUNT(sizes); i++)
        secret_free(&secrets[i]);
}

/* Memory of secrets is never given back, so it may be looked at after it was freed; but for the link of the free list. */
static void a_freed_secret_is_wiped_and_empty(void **state)
{
    struct secret secret;
    check_ok(secret_new(&secret, 1000));
    memset(secret.ptr, 0xAA, 1000);
    const uint8_t *was = secret.ptr;
    secret_free(&secret);
    assert_null(secret.ptr);
    assert_int_equal(secret.len, 0);
    for (size_t i = sizeof(void *); i < 1000; i++)
        assert_int_equal(was[i], 0);
    secret_free(&secret); /* an empty one: nothing */
    struct secret again;
    check_ok(secret_new(&again, 600));
    assert_ptr_equal(again.ptr, was); /* used again, and zero again */
    for (size_t i = 0; i < 600; i++)
        assert_int_equal(again.ptr[i], 0);
    secret_free(&again);
}

static void blocks_that_were_freed_together_come_back_zero(void **state)
{
    struct secret secrets[4];
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 4; i++) {
            check_ok(secret_new(&secrets[i], 48));
            for (size_t k = 0; k < 48; k++)
                assert_int_equal(secrets[i].ptr[k], 0);
        }
        for (size_t i = 0; i < 4; i++)
            secret_free(&secrets[i]);
    }
}

/* The flags of the mapping that holds `address`, from /proc/self/smaps (proc(5)). */
static void mapping_flags(const void *address, char *ret, size_t size)
{
    FILE *smaps = fopen("/proc/self/smaps", "r");
    assert_non_null(smaps);
    char line[512];
    bool inside = false;
    uint64_t begin, end;
    ret[0] = '\0';
    while (fgets(line, sizeof line, smaps) != NULL) {
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &begin, &end) == 2)
            inside = (uintptr_t)address >= begin && (uintptr_t)address < end;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            snprintf(ret, size, "%s", line + 8);
    }
    fclose(smaps);
    assert_true(ret[0] != '\0');
}

static void p2_secrets_are_locked_and_in_no_core_file_and_no_child(void **state)
{
    struct secret secret;
    char flags[512];
    check_ok(secret_new(&secret, 32));
    memset(secret.ptr, 0x5A, 32);
    mapping_flags(secret.ptr, flags, sizeof flags);
    assert_non_null(strstr(flags, " dd "));
    assert_non_null(strstr(flags, " wf "));
    if (MLOCK_LOCKS)
        assert_non_null(strstr(flags, " lo "));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bool wiped = true;
        for (size_t i = 0; i < 32; i++)
            wiped = wiped && secret.ptr[i] == 0;
        _exit(wiped ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(secret.ptr[31], 0x5A);
    secret_free(&secret);
}

/* As an ordinary user who may not lock a page. */
static int allocate_without_permission(void)
{
    const struct rlimit none = { 0, 0 };
    struct secret secret;
    if (setrlimit(RLIMIT_MEMLOCK, &none) != 0 || (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0))
        return 2;
    for (int i = 0; i < 1000; i++) {
        result r = secret_new(&secret, SECRET_MAX);
        if (failed(r))
            return r.error.code == E_RESOURCE && strstr(r.error.hint, "LimitMEMLOCK") != NULL ? 0 : 3;
    }
    return 4;
}

static void memory_that_cannot_be_locked_is_not_used(void **state)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(allocate_without_permission());
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), MLOCK_LOCKS ? 0 : 4);
}

static void equality_and_wiping(void **state)
{
    uint8_t a[64], b[64];
    memset(a, 7, sizeof a);
    memset(b, 7, sizeof b);
    assert_true(secret_equal(a, b, sizeof a));
    for (size_t i = 0; i < sizeof a; i++) {
        b[i] ^= 0x80;
        assert_false(secret_equal(a, b, sizeof a));
        b[i] ^= 0x80;
    }
    assert_true(secret_equal(a, b, 0));
    secret_wipe(a, 63);
    for (size_t i = 0; i < 63; i++)
        assert_int_equal(a[i], 0);
    assert_int_equal(a[63], 7);
}

static void random_bytes_fill_the_buffer_and_differ(void **state)
{
    uint8_t large[100000], other[32], one[32];
    bool seen[256] = { false };
    memset(large, 0, sizeof large);
    random_bytes(large, sizeof large);
    for (size_t i = 0; i < sizeof large; i++)
        seen[large[i]] = true;
    for (size_t i = 0; i < 256; i++)
        assert_true(seen[i]);
    assert_true(memcmp(large + sizeof large - 32, (uint8_t[32]){ 0 }, 32) != 0);
    random_bytes(one, sizeof one);
    random_bytes(other, sizeof other);
    assert_true(memcmp(one, other, sizeof one) != 0);
    random_bytes(one, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_secrets_are_zero_apart_and_writable),
        cmocka_unit_test(a_freed_secret_is_wiped_and_empty),
        cmocka_unit_test(blocks_that_were_freed_together_come_back_zero),
        cmocka_unit_test(p2_secrets_are_locked_and_in_no_core_file_and_no_child),
        cmocka_unit_test(memory_that_cannot_be_locked_is_not_used),
        cmocka_unit_test(equality_and_wiping),
        cmocka_unit_test(random_bytes_fill_the_buffer_and_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
