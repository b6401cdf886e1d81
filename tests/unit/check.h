#pragma once
/* What every unit test includes: cmocka, and checks for results. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/result.h"

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
