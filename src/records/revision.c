#include "records/revision.h"

#include "base/clock.h"
#include "base/secret.h"

#include <stdio.h>

enum { BELOW_MS_BITS = 16, STEP = 1 << REVISION_PROCESS_BITS };

void revision_clock_init(struct revision_clock *clock)
{
    uint16_t drawn;
    random_bytes(&drawn, sizeof drawn);
    *clock = (struct revision_clock){ .process = drawn % STEP };
}

/* A clock that is behind its last revision, or busier than 64 a millisecond, borrows from the milliseconds to come. */
int64_t revision_next(struct revision_clock *clock)
{
    int64_t now = clock_wall_ms();
    if (now < 0)
        now = 0;
    int64_t by_wall = now << BELOW_MS_BITS, by_last = clock->last - clock->last % STEP + STEP;
    clock->last = (by_wall > clock->last ? by_wall : by_last) + clock->process;
    return clock->last;
}

/* What a cell says is not trusted to push the clock to its end. */
void revision_observe(struct revision_clock *clock, int64_t seen)
{
    if (seen > clock->last && seen < INT64_MAX / 2)
        clock->last = seen;
}

void revision_format_etag(int64_t revision, char etag[REVISION_ETAG_SIZE])
{
    snprintf(etag, REVISION_ETAG_SIZE, "\"%016llx\"", (unsigned long long)revision);
}

bool revision_parse_etag(struct str etag, int64_t *ret)
{
    if (etag.len != REVISION_ETAG_SIZE - 1 || etag.ptr[0] != '"' || etag.ptr[etag.len - 1] != '"')
        return false;
    uint64_t value = 0;
    for (size_t i = 1; i < etag.len - 1; i++) {
        char c = etag.ptr[i];
        if (c >= '0' && c <= '9')
            value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    if (value == 0 || value > INT64_MAX)
        return false;
    *ret = (int64_t)value;
    return true;
}
