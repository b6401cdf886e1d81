/* The table of channels, from watch.def. */
#include "watch/watch_internal.h"

#define QUERY(name, where)
#define CHANNEL(id, severity, query, title, advice, blinds)                                                  \
    { id, WATCH_##severity, WATCH_QUERY_##query == WATCH_QUERY_none ? NULL : #query, title, advice, blinds },
const struct watch_channel watch_channels[] = {
#include "watch/watch.def"
};
#undef CHANNEL
#define CHANNEL(id, severity, query, title, advice, blinds) WATCH_QUERY_##query,
static const enum watch_query_id channel_queries[] = {
#include "watch/watch.def"
};
#undef QUERY
#undef CHANNEL
const size_t watch_channel_count = COUNT(watch_channels);

#define QUERY(name, where) { #name, watch_text_##name, WATCH_##where },
#define CHANNEL(id, severity, query, title, advice, blinds)
const struct watch_query watch_queries[WATCH_QUERY_COUNT] = {
#include "watch/watch.def"
};
#undef QUERY
#undef CHANNEL

const struct watch_channel *watch_channel_named(struct str id)
{
    for (size_t i = 0; i < watch_channel_count; i++)
        if (str_is(id, watch_channels[i].id))
            return &watch_channels[i];
    return NULL;
}

enum watch_query_id watch_channel_query(const struct watch_channel *channel)
{
    return channel_queries[channel - watch_channels];
}

const char *watch_query_sql(const char *name)
{
    for (size_t i = 0; i < WATCH_QUERY_COUNT; i++)
        if (i != WATCH_QUERY_none && strcmp(watch_queries[i].name, name) == 0)
            return watch_queries[i].sql;
    return NULL;
}

const char *watch_severity_word(enum watch_severity severity)
{
    static const char *const words[] = { [WATCH_INFO] = "info",
                                         [WATCH_WARNING] = "warning",
                                         [WATCH_HIGH] = "high",
                                         [WATCH_CRITICAL] = "critical" };
    return words[severity];
}

const char *watch_event_word(enum watch_event_kind kind)
{
    static const char *const words[] = { [WATCH_BEGIN] = "begin",
                                         [WATCH_END] = "end",
                                         [WATCH_SEVERED] = "severed",
                                         [WATCH_NOT_SEVERED] = "not-severed" };
    return words[kind];
}

const char *watch_grants(void)
{
    return watch_text_grants;
}

const char *watch_describe(void)
{
    return watch_text_describe;
}

const char *watch_shipped(void)
{
    return watch_text_shipped;
}
