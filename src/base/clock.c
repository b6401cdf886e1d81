#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const struct clock_source *source_in_use;

uint64_t clock_monotonic_ns(void)
{
    if (source_in_use != NULL)
        return source_in_use->monotonic_ns();
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

int64_t clock_wall_ms(void)
{
    if (source_in_use != NULL)
        return source_in_use->wall_ms();
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void clock_set_source(const struct clock_source *source)
{
    source_in_use = source;
}

void clock_format(int64_t wall_ms, char text[CLOCK_TEXT_SIZE])
{
    int64_t seconds = wall_ms / 1000, ms = wall_ms % 1000;
    if (ms < 0) {
        seconds--;
        ms += 1000;
    }
    time_t time = (time_t)seconds;
    struct tm tm;
    gmtime_r(&time, &tm);
    char day[CLOCK_TEXT_SIZE];
    if (strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm) != 19)
        day[0] = '\0';
    snprintf(text, CLOCK_TEXT_SIZE, "%.19s.%03dZ", day, (int)ms);
}

/* strptime takes much; what it took must come out as it went in. */
bool clock_parse(struct str text, int64_t *ret_wall_ms)
{
    static const char missing[] = "T00:00:00.000Z";
    char whole[CLOCK_TEXT_SIZE], again[CLOCK_TEXT_SIZE];
    size_t kept = text.len == 20 ? 19 : text.len; /* without the Z, which comes after the milliseconds */
    if (text.len != 10 && text.len != 24 && (text.len != 20 || text.ptr[19] != 'Z'))
        return false;
    snprintf(whole, sizeof whole, "%.*s%s", (int)kept, text.ptr, kept < 24 ? missing + kept - 10 : "");
    struct tm tm = { 0 };
    const char *rest = strptime(whole, "%Y-%m-%dT%H:%M:%S.", &tm);
    if (rest == NULL)
        return false;
    *ret_wall_ms = (int64_t)timegm(&tm) * 1000 + strtol(rest, NULL, 10);
    clock_format(*ret_wall_ms, again);
    return strcmp(whole, again) == 0;
}
