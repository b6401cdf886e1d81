/* Records that must be sealed and are not: each round checks some pages of the table, a pass checks all. A finding stays
 * until a whole pass has not seen it. */
#include "watch/watch_internal.h"

#include "base/clock.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROWS_MAX = 100 }; /* that domicile.watch_unsealed returns, beside the first */

static const char look_sql[] = "SELECT pages, customer, class, records, sample FROM domicile.watch_unsealed("
                               "ARRAY(SELECT jsonb_array_elements_text($1::text::jsonb)), $2, $3)";

static char *sealed_classes(const struct config *config, struct arena *arena)
{
    const char *list = "";
    for (size_t i = 0; i < config->class_count; i++)
        if (config->classes[i].sealed)
            list = arena_printf(arena, "%s%s\"%s\"", list, list[0] == '\0' ? "" : ",",
                                config->classes[i].name.ptr);
    return arena_printf(arena, "[%s]", list);
}

/* False: there is no place for it. */
static bool keep(struct watch_sealed *sealed, const char *subject, const char *evidence)
{
    struct watch_unsealed *place = NULL;
    for (size_t i = 0; i < sealed->count && place == NULL; i++)
        if (strcmp(sealed->found[i].subject, subject) == 0)
            place = &sealed->found[i];
    if (place == NULL && sealed->count < WATCH_UNSEALED_MAX)
        place = &sealed->found[sealed->count++];
    if (place == NULL)
        return false;
    free(place->subject);
    free(place->evidence);
    *place = (struct watch_unsealed){ strdup(subject), strdup(evidence), sealed->pass };
    must(place->subject != NULL && place->evidence != NULL);
    return true;
}

static void forget_older(struct watch_sealed *sealed)
{
    size_t kept = 0;
    for (size_t i = 0; i < sealed->count; i++) {
        if (sealed->found[i].pass + 1 < sealed->pass) {
            free(sealed->found[i].subject);
            free(sealed->found[i].evidence);
            continue;
        }
        sealed->found[kept++] = sealed->found[i];
    }
    memset(&sealed->found[kept], 0, (WATCH_UNSEALED_MAX - kept) * sizeof sealed->found[0]);
    sealed->count = kept;
}

static void take_rows(struct watch_sealed *sealed, const struct pg_reply *reply)
{
    for (size_t row = 1; row < pg_reply_rows(reply); row++) {
        char subject[WATCH_TEXT_MAX], evidence[WATCH_TEXT_MAX];
        text_fit(subject, sizeof subject, "class %.*s of customer %.*s", STR_ARG(pg_reply_str(reply, row, 2)),
                 STR_ARG(pg_reply_str(reply, row, 1)));
        text_fit(evidence, sizeof evidence, "%lld records, the first key is %.*s",
                 (long long)pg_reply_number(reply, row, 3), STR_ARG(pg_reply_str(reply, row, 4)));
        sealed->overflow |= !keep(sealed, subject, evidence);
    }
    sealed->overflow |= pg_reply_rows(reply) > ROWS_MAX;
    sealed->next_page += WATCH_PAGES_A_ROUND;
    if (sealed->next_page >= pg_reply_number(reply, 0, 0)) {
        sealed->next_page = 0;
        sealed->pass++;
        sealed->overflowed = sealed->overflow;
        sealed->overflow = false;
        forget_older(sealed);
    }
}

/* found[] has the records of two passes. A finding from before this daemon started may be on pages that are not checked yet. */
static bool is_gone(const struct cell_watch *watch, const struct held_finding *held)
{
    bool recalled = held->seen_at == 0;
    return held->seen_at < watch->clock && (!recalled || watch->sealed.pass > 0);
}

static void compare(struct cell_watch *watch)
{
    const struct watch_channel *channel = watch_channel_named(STR("cleartext"));
    const struct watch_sealed *sealed = &watch->sealed;
    for (size_t i = 0; i < sealed->count; i++)
        watch_note(watch, channel, watch->known.cell->name.ptr, str_from(sealed->found[i].subject),
                   str_from(sealed->found[i].evidence), clock_wall_ms());
    for (size_t i = watch->findings.count; i-- > 0;)
        if (watch->findings.items[i].finding.channel == channel && is_gone(watch, &watch->findings.items[i]))
            watch_gone(&watch->findings, &watch->findings.items[i], clock_wall_ms());
}

result watch_sealed_look(struct cell_watch *watch, struct watch_node *node, struct pg_conn *conn)
{
    struct arena arena;
    arena_init(&arena);
    const struct pg_value params[] = { pg_text(str_from(sealed_classes(watch->known.config, &arena))),
                                       pg_int8(watch->sealed.next_page), pg_int8(WATCH_PAGES_A_ROUND) };
    struct pg_reply reply = PG_REPLY_INIT;
    result r = pg_exec(conn, look_sql, params, 3, &reply);
    arena_done(&arena);
    if (failed(r)) {
        if (r.error.code != E_SQL)
            return r;
        watch_blind(watch, node->node->name.ptr, "cleartext", r.error.what);
        return OK;
    }
    take_rows(&watch->sealed, &reply);
    pg_reply_done(&reply);
    if (watch->sealed.overflow || watch->sealed.overflowed)
        watch_blind(watch, node->node->name.ptr, WATCH_SEALED_OVERFLOW,
                    "too many findings of cleartext; some may not be shown");
    compare(watch);
    return OK;
}

void watch_sealed_done(struct watch_sealed *sealed)
{
    for (size_t i = 0; i < sealed->count; i++) {
        free(sealed->found[i].subject);
        free(sealed->found[i].evidence);
    }
}
