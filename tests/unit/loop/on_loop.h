#pragma once
/* Tests whose bodies are fibers. */
#include "check.h"

#include "base/text.h"
#include "loop/fiber.h"

#include <stdio.h>

/* cmocka's fail() jumps, and must not jump off a fiber's stack: what a fiber finds is kept and judged outside. */
static char found[256];
#define expect(condition)                                                                                    \
    do {                                                                                                     \
        if (!(condition) && found[0] == '\0')                                                                \
            text_fit(found, sizeof found, "%s:%d: %s", __FILE__, __LINE__, #condition);                      \
    } while (0)
#define expect_code(expected, expression) expect((expression).error.code == (expected))

static inline void on_loop(void (*body)(void *arg))
{
    found[0] = '\0';
    check_ok(loop_run(body, NULL));
    if (found[0] != '\0')
        fail_msg("%s", found);
}
