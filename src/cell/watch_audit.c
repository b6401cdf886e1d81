/* Findings in the cell itself, and the one thing that the watch does about one. */
#include "cell/watch_internal.h"

#include "base/clock.h"

/* Between 1970 and 2000, as PostgreSQL counts. */
#define POSTGRES_EPOCH_MS 946684800000LL

static const char event_sql[] = "SELECT domicile.finding_event($1, $2, $3, $4, $5, $6, $7, $8)";
static const char open_sql[] =
    "SELECT channel, node, subject, evidence, began_at FROM domicile.findings_open()";

static result record_one(const struct cell_watch *watch, const struct watch_event *event,
                         struct pg_conn *conn)
{
    const struct watch_finding *finding = &event->finding;
    const struct pg_value params[] = {
        pg_text(watch->known.cell->region->name),
        pg_text(str_from(watch_event_word(event->kind))),
        pg_text(str_from(finding->channel->id)),
        pg_text(str_from(watch_severity_word(finding->channel->severity))),
        pg_text(str_from(finding->node)),
        pg_text(str_from(finding->subject)),
        pg_text(str_from(finding->evidence)),
        pg_int8((event->at_ms - POSTGRES_EPOCH_MS) * 1000),
    };
    struct pg_reply reply = PG_REPLY_INIT;
    TRY(pg_exec(conn, event_sql, params, sizeof params / sizeof params[0], &reply));
    bool foreign = str_is(pg_reply_str(&reply, 0, 0), "region");
    pg_reply_done(&reply);
    return foreign ? FAIL(E_REGION_STAMP, "Check the addresses in the region's file.",
                          "the cell \"%s\" is not of region \"%s\"", watch->known.cell->name.ptr,
                          watch->known.cell->region->name.ptr)
                   : OK;
}

result watch_record(struct cell_watch *watch, struct pg_conn *conn)
{
    result r = OK;
    size_t done = 0;
    while (done < watch->findings.event_count && !failed(r)) {
        r = record_one(watch, &watch->findings.events[done], conn);
        done += !failed(r);
    }
    watch_events_forget(watch, done);
    if (watch->findings.event_count == 0)
        watch->findings.events_dropped = 0;
    return r;
}

result watch_recall(struct cell_watch *watch, struct pg_conn *conn)
{
    struct arena arena;
    struct pg_reply reply = PG_REPLY_INIT;
    TRY(pg_exec(conn, open_sql, NULL, 0, &reply));
    arena_init(&arena);
    for (size_t row = 0; row < pg_reply_rows(&reply); row++) {
        const struct watch_finding finding = {
            .channel = watch_channel_named(pg_reply_str(&reply, row, 0)),
            .node = arena_cstr(&arena, pg_reply_str(&reply, row, 1)),
            .subject = arena_cstr(&arena, pg_reply_str(&reply, row, 2)),
            .evidence = arena_cstr(&arena, pg_reply_str(&reply, row, 3)),
            .began_ms = pg_reply_number(&reply, row, 4) / 1000 + POSTGRES_EPOCH_MS,
        };
        if (finding.channel != NULL)
            watch_remember(&watch->findings, &finding);
    }
    arena_done(&arena);
    pg_reply_done(&reply);
    return OK;
}

/* ---- sever ---- */

/* Whatever is known to be there stays there. */
static void note_failure(struct cell_watch *watch, const struct node *node,
                         const struct watch_channel *channel, const struct error *why)
{
    for (size_t i = 0; i < watch->findings.count; i++) {
        struct watch_finding finding = watch->findings.items[i].finding;
        if (finding.channel != channel || strcmp(finding.node, node->name.ptr) != 0)
            continue;
        finding.evidence = why->what;
        watch_note_severed(&watch->findings, &finding, false, clock_wall_ms());
    }
}

/* The server is asked again, whatever the findings are: there may have been no place for this one. */
result watch_sever(struct cell_watch *watch, const struct node *node, struct pg_conn *conn)
{
    if (!watch->known.cell->watch.sever)
        return OK;
    const struct watch_channel *channel = watch_channel_named(STR("replication-abroad"));
    const struct pg_value known = pg_text(str_from(watch->known.json));
    struct pg_reply reply = PG_REPLY_INIT;
    result r = pg_exec(conn, watch_text_sever, &known, 1, &reply);
    bool refused = failed(r) && r.error.code == E_SQL;
    watch_node_of(watch, node)->sever_refused = refused;
    if (failed(r))
        note_failure(watch, node, channel, &r.error);
    if (refused)
        watch_blind(watch, node->name.ptr, WATCH_SEVER_REFUSED, r.error.what);
    if (failed(r))
        return refused ? OK : r;
    struct arena arena;
    arena_init(&arena);
    for (size_t row = 0; row < pg_reply_rows(&reply); row++) {
        int64_t now = clock_wall_ms();
        const struct watch_finding finding = { channel, node->name.ptr,
                                               arena_cstr(&arena, pg_reply_str(&reply, row, 0)), "", now };
        watch_note_severed(&watch->findings, &finding, pg_reply_number(&reply, row, 1) == 1, now);
    }
    arena_done(&arena);
    pg_reply_done(&reply);
    return OK;
}
