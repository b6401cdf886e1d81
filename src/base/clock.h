#pragma once
/* The two clocks, injectable: tests set a fake and nothing sleeps for luck. */
#include "base/str.h"

#include <stdint.h>

#define MS(n) ((uint64_t)(n))
#define SEC(n) ((uint64_t)(n)*1000)

uint64_t clock_monotonic_ns(void); /* never goes back; for limits and durations */
int64_t clock_wall_ms(void); /* ms since 1970-01-01 UTC; may jump; for what people and other hosts read */

/* NULL restores the system's clocks. */
struct clock_source {
    uint64_t (*monotonic_ns)(void);
    int64_t (*wall_ms)(void);
};
void clock_set_source(const struct clock_source *source);

enum { CLOCK_TEXT_SIZE = 25 };
void clock_format(int64_t wall_ms, char text[CLOCK_TEXT_SIZE]); /* RFC 3339, "2026-01-31T12:00:00.000Z" */
/* What clock_format makes; the milliseconds, or all of the time, may be left out ("2026-01-31"). False: it is no such
 * text. */
bool clock_parse(struct str text, int64_t *ret_wall_ms);
