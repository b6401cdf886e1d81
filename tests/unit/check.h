#pragma once
/* What every test includes: cmocka, and the checks. A check that fails ends its test. The checks are our own, under
 * cmocka's names, since cmocka's jump to the test from where they stand, and must not jump off a fiber's stack: on_loop.h
 * leads back to the test's own stack first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/result.h"

struct check_finding {
    const char *file;
    int line;
    char text[2048];
};
static struct check_finding check_found;
static void (*check_leave)(void); /* of on_loop.h; does not return if this is a loop's stack */

static inline _Noreturn void check_end_test(void)
{
    print_error("[  ERROR   ] --- %s\n", check_found.text);
    _fail(check_found.file, check_found.line);
    abort(); /* not in a test */
}

static inline _Noreturn PRINTF(3, 4)
void check_failed(const char *file, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(check_found.text, sizeof check_found.text, format, args);
    va_end(args);
    check_found.file = file;
    check_found.line = line;
    if (check_leave != NULL)
        check_leave();
    check_end_test();
}

static inline void check_numbers(bool equal, long long a, long long b, const char *what, const char *file,
                                 int line)
{
    if ((a == b) != equal)
        check_failed(file, line, "%s: %lld (0x%llx) and %lld (0x%llx)", what, a, (unsigned long long)a, b,
                     (unsigned long long)b);
}

static inline void check_pointers(bool equal, const void *a, const void *b, const char *what,
                                  const char *file, int line)
{
    if ((a == b) != equal)
        check_failed(file, line, "%s: %p and %p", what, a, b);
}

static inline void check_strings(bool equal, const char *a, const char *b, const char *what, const char *file,
                                 int line)
{
    if (a == NULL || b == NULL || (strcmp(a, b) == 0) != equal)
        check_failed(file, line, "%s: \"%.900s\" and \"%.900s\"", what, a != NULL ? a : "(NULL)",
                     b != NULL ? b : "(NULL)");
}

static inline void check_bytes(bool equal, const void *a, const void *b, size_t size, const char *what,
                               const char *file, int line)
{
    const unsigned char *left = a, *right = b;
    size_t at = 0;
    while (at < size && left[at] == right[at])
        at++;
    if ((at == size) != equal)
        check_failed(file, line, "%s: %zu bytes, the first that differs is number %zu", what, size, at);
}

static inline void check_range(unsigned long long value, unsigned long long least, unsigned long long most,
                               const char *what, const char *file, int line)
{
    if (value < least || value > most)
        check_failed(file, line, "%s is %llu, not within %llu and %llu", what, value, least, most);
}

#undef fail
#undef fail_msg
#undef assert_true
#undef assert_false
#undef assert_null
#undef assert_non_null
#undef assert_int_equal
#undef assert_int_not_equal
#undef assert_ptr_equal
#undef assert_ptr_not_equal
#undef assert_string_equal
#undef assert_string_not_equal
#undef assert_memory_equal
#undef assert_memory_not_equal
#undef assert_in_range

#define CHECK_HERE_ __FILE__, __LINE__
#define fail() check_failed(CHECK_HERE_, "failed")
#define fail_msg(...) check_failed(CHECK_HERE_, __VA_ARGS__)
#define assert_true(c) ((c) ? (void)0 : check_failed(CHECK_HERE_, "%s", #c))
#define assert_false(c) (!(c) ? (void)0 : check_failed(CHECK_HERE_, "not: %s", #c))
#define assert_null(a) ((a) == NULL ? (void)0 : check_failed(CHECK_HERE_, "%s == NULL", #a))
#define assert_non_null(a) ((a) != NULL ? (void)0 : check_failed(CHECK_HERE_, "%s != NULL", #a))
#define assert_int_equal(a, b) check_numbers(true, (long long)(a), (long long)(b), #a " == " #b, CHECK_HERE_)
#define assert_int_not_equal(a, b)                                                                           \
    check_numbers(false, (long long)(a), (long long)(b), #a " != " #b, CHECK_HERE_)
#define assert_ptr_equal(a, b) check_pointers(true, a, b, #a " == " #b, CHECK_HERE_)
#define assert_ptr_not_equal(a, b) check_pointers(false, a, b, #a " != " #b, CHECK_HERE_)
#define assert_string_equal(a, b) check_strings(true, a, b, #a " == " #b, CHECK_HERE_)
#define assert_string_not_equal(a, b) check_strings(false, a, b, #a " != " #b, CHECK_HERE_)
#define assert_memory_equal(a, b, size) check_bytes(true, a, b, size, #a " == " #b, CHECK_HERE_)
#define assert_memory_not_equal(a, b, size) check_bytes(false, a, b, size, #a " != " #b, CHECK_HERE_)
#define assert_in_range(value, least, most)                                                                  \
    check_range((unsigned long long)(value), (unsigned long long)(least), (unsigned long long)(most),        \
                #value, CHECK_HERE_)

/* ---- results ---- */
#define check_ok(expression)                                                                                 \
    do {                                                                                                     \
        const result check_result_ = (expression);                                                           \
        if (failed(check_result_))                                                                           \
            fail_msg("%s failed: %s: %s", #expression, error_name(check_result_.error.code),                 \
                     check_result_.error.what);                                                              \
    } while (0)

#define check_fails(expected, expression)                                                                    \
    do {                                                                                                     \
        const result check_result_ = (expression);                                                           \
        if (check_result_.error.code != (expected))                                                          \
            fail_msg("%s gave %s (%s), expected %s", #expression, error_name(check_result_.error.code),      \
                     check_result_.error.what, error_name(expected));                                        \
    } while (0)
