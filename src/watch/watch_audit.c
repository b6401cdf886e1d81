/* Findings in the cell itself, and the watch's only action: sever. */
#include "watch/watch_internal.h"

#include "base/clock.h"

/* Between 1970 and 2000, as PostgreSQL counts. */
#define POSTGRES_EPOCH_MS 946684800000LL

static const char event_sql[] = "SELECT domicile.finding_event($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
static const char open_sql[] =
    "SELECT channel, node, subject, evidence, began_at FROM domicile.findings_open()";
static const char ended_sql[] =
    "SELECT channel, node, subject, evidence, began_at, ended_at FROM domicile.findings_ended($1)";

static result outcome_error(const struct cell *cell, struct str outcome)
{
    if (str_is(outcome, "region"))
        return FAIL(E_REGION_STAMP, "Check the addresses in the region's file.",
                    "the cell \"%s\" does not belong to region \"%s\"", cell->name.ptr,
                    cell->region->name.ptr);
    if (str_is(outcome, "fence"))
        return FAIL(E_STALE, "Another daemon has the lease now: look at its log.",
                    "the monitor lease of cell \"%s\" is lost", cell->name.ptr);
    return OK;
}

static result record_one(const struct cell_watch *watch, const struct watch_event *event,
                         struct pg_conn *conn)
{
    const struct watch_finding *finding = &event->finding;
    struct watch_lease lease;
    if (!watch_may_act(watch, &lease))
        return outcome_error(watch->known.cell, STR("fence"));
    const struct pg_value params[] = {
        pg_text(watch->known.cell->region->name),
        pg_int8(lease.fence),
        pg_text(str_from(lease.writer)),
        pg_text(str_from(watch_event_word(event->kind))),
        pg_text(str_from(finding->channel->id)),
        pg_text(str_from(watch_severity_word(finding->channel->severity))),
        pg_text(str_from(finding->node)),
        pg_text(str_from(finding->subject)),
        pg_text(str_from(finding->evidence)),
        pg_int8((event->at_ms - POSTGRES_EPOCH_MS) * 1000),
    };
    struct pg_reply reply = PG_REPLY_INIT;
    TRY(pg_exec(conn, event_sql, params, COUNT(params), &reply));
    result r = outcome_error(watch->known.cell, pg_reply_str(&reply, 0, 0));
    pg_reply_done(&reply);
    return r;
}

result watch_record(struct cell_watch *watch, struct pg_conn *conn)
{
    result r = OK;
    size_t done = 0;
    while (done < watch->findings.event_count && done < WATCH_RECORDS_A_ROUND && !failed(r)) {
        r = record_one(watch, &watch->findings.events[done], conn);
        done += !failed(r);
    }
    watch_events_forget(watch, done);
    if (watch->findings.event_count == 0)
        watch->findings.events_dropped = 0;
    return r;
}

/* Of findings_open and findings_ended; channel NULL: this version does not know it. */
static struct watch_finding read_finding(const struct pg_reply *reply, size_t row, struct arena *arena)
{
    return (struct watch_finding){
        .channel = watch_channel_named(pg_reply_str(reply, row, 0)),
        .node = arena_cstr(arena, pg_reply_str(reply, row, 1)),
        .subject = arena_cstr(arena, pg_reply_str(reply, row, 2)),
        .evidence = arena_cstr(arena, pg_reply_str(reply, row, 3)),
        .began_ms = pg_reply_number(reply, row, 4) / 1000 + POSTGRES_EPOCH_MS,
    };
}

result watch_recall(struct cell_watch *watch, struct pg_conn *conn)
{
    struct arena arena;
    struct pg_reply reply = PG_REPLY_INIT;
    TRY(pg_exec(conn, open_sql, NULL, 0, &reply));
    arena_init(&arena);
    for (size_t row = 0; row < pg_reply_rows(&reply); row++) {
        const struct watch_finding finding = read_finding(&reply, row, &arena);
        if (finding.channel != NULL)
            watch_remember(&watch->findings, &finding);
    }
    arena_done(&arena);
    pg_reply_done(&reply);
    return OK;
}

/* ---- findings that have ended ---- */

result watch_recall_ended(struct cell_watch *watch, struct pg_conn *conn)
{
    const struct pg_value since = pg_int8((watch->since_ms - POSTGRES_EPOCH_MS) * 1000);
    struct pg_reply reply = PG_REPLY_INIT;
    TRY(pg_exec(conn, ended_sql, &since, 1, &reply));
    size_t rows = pg_reply_rows(&reply);
    watch->past = arena_array(&watch->arena, struct watch_past, rows + 1);
    watch->past_count = 0;
    for (size_t row = 0; row < rows; row++) {
        struct watch_past *past = &watch->past[watch->past_count];
        past->finding = read_finding(&reply, row, &watch->arena);
        past->ended_ms = pg_reply_number(&reply, row, 5) / 1000 + POSTGRES_EPOCH_MS;
        watch->past_count += past->finding.channel != NULL;
    }
    pg_reply_done(&reply);
    return OK;
}

void cell_watch_since(struct cell_watch *watch, int64_t since_ms)
{
    watch->since_ms = since_ms;
}

bool watch_past_known(const struct cell_watch *watch)
{
    return watch->past != NULL;
}

size_t watch_past_count(const struct cell_watch *watch)
{
    return watch->past_count;
}

const struct watch_past *watch_past_at(const struct cell_watch *watch, size_t i)
{
    return i < watch->past_count ? &watch->past[i] : NULL;
}

/* ---- sever ---- */

/* A finding that is open stays open. */
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

/* The server is asked again: perhaps there was no space for this finding. */
result watch_sever(struct cell_watch *watch, const struct node *node, struct pg_conn *conn)
{
    struct watch_lease lease;
    if (!watch->known.cell->watch.sever || !watch_may_act(watch, &lease))
        return OK;
    const struct watch_channel *channel = watch_channel_named(STR("replication-abroad"));
    const struct pg_value params[] = { pg_text(str_from(watch->known.json)), pg_int8(lease.fence),
                                       pg_text(str_from(lease.writer)) };
    struct pg_reply reply = PG_REPLY_INIT;
    result r = pg_exec(conn, watch_text_sever, params, COUNT(params), &reply);
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
