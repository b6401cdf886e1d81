#pragma once
/* guard.sh, as embed.cmake generates it, and its exit statuses. */

extern const char guard_text[];

enum { GUARD_OVER = 75, GUARD_BROKEN = 76, GUARD_STILL_RUNS = 77, GUARD_TIMED_OUT = 124 };
