#pragma once
/* Who asks: what a verified token says. */
#include "config/vocabulary.h"

struct principal {
    enum role role;
    int64_t issued_ms, expires_ms; /* wall clock, as in the token */
    char client[64];               /* the client's id */
    char customer[64];             /* empty for the vendor's staff */
    char region[64];               /* the audience: the one region where the token is good */
};

/* Clocks of two hosts may differ that much. */
enum { TOKEN_SKEW_MS = 30 * 1000 };

static inline bool principal_is_expired(const struct principal *principal, int64_t wall_ms)
{
    return wall_ms >= principal->expires_ms + TOKEN_SKEW_MS;
}
