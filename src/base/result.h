#pragma once
/* Errors: the one way to report them.
 *
 * A function that can fail returns `result`, and the compiler makes the caller look at it. An error is a
 * value: a code from error.def, what happened (lower case, no period, the object's name in quotes), a hint (a
 * sentence that says what to do next; a static string) and where it was made. The first cause
 * wins: callers pass it up unchanged with TRY. Libraries never log; the caller that decides does, once. Bugs
 * abort with must(). */
#include "base/count.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF(text, first) __attribute__((format(printf, text, first)))
#define CLEANUP(done) __attribute__((cleanup(done)))

enum error_code {
    E_OK = 0,
#define X(code, slug, http, exit, title) code,
#include "base/error.def"
#undef X
    E_COUNT
};

/* It is passed by value, on fibers' stacks: measured, 344 costs 1 ns a call more than 216, and 1000 a third. */
enum { ERROR_WHAT_SIZE = 344 };

struct error {
    enum error_code code;
    int line;
    const char *file;
    const char *hint;           /* may be NULL; static */
    char what[ERROR_WHAT_SIZE]; /* see text_fit for what is longer */
};

typedef struct result {
    struct error error;
} result;

#define OK ((result){ .error = { .code = E_OK } })

static inline bool failed(const result r)
{
    return r.error.code != E_OK;
}

/* FAIL(code, hint, format, ...): an error made here. hint is a string literal or NULL. */
#define FAIL(code, hint, ...) error_sure((code), error_make((code), __FILE__, __LINE__, (hint), __VA_ARGS__))
result error_make(enum error_code code, const char *file, int line, const char *hint, const char *format, ...)
    PRINTF(5, 6)
MUST_USE;

/* Lets the compiler and the analyser see that what FAIL makes has failed. */
static inline result error_sure(enum error_code code, result r)
{
    r.error.code = code;
    return r;
}

/* Returns from the calling function if the expression failed. */
#define TRY(expression)                                                                                      \
    do {                                                                                                     \
        const result try_result_ = (expression);                                                             \
        if (__builtin_expect(failed(try_result_), 0))                                                        \
            return try_result_;                                                                              \
    } while (0)

/* The same, with a jump to the function's clean-up; `r` is a result variable of the function. */
#define TRY_OR(r, label, expression)                                                                         \
    do {                                                                                                     \
        (r) = (expression);                                                                                  \
        if (__builtin_expect(failed(r), 0))                                                                  \
            goto label;                                                                                      \
    } while (0)

/* A bug: says what and aborts, without unwinding. */
#define must(condition) ((condition) ? (void)0 : must_failed(#condition, __FILE__, __LINE__))
_Noreturn void must_failed(const char *condition, const char *file, int line);

const char *error_name(enum error_code code);  /* "E_POLICY" */
const char *error_slug(enum error_code code);  /* "policy" */
const char *error_title(enum error_code code); /* "The residency policy refuses this" */
int error_http_status(enum error_code code);
int error_exit_status(enum error_code code);
