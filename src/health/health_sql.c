/* The questions to one node. */
#include "health/health_internal.h"

#include "base/clock.h"
#include "base/text.h"

#include <stdio.h>

enum question { Q_SERVER, Q_WRITE, Q_PROBE, Q_BEAT, Q_PRIMARY, Q_WALSENDERS, Q_SLOTS, Q_STANDBY, QUESTIONS };

/* Positions are bytes of WAL since its beginning; times are by the clock of the server that is asked. */
const struct health_question health_questions[QUESTIONS] = {
    [Q_SERVER] = { "server",
                   "SELECT pg_is_in_recovery(), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint" },
    [Q_WRITE] = { "heartbeat", "SELECT outcome FROM domicile.heartbeat_write($1, $2, $3, $4)" },
    [Q_PROBE] = { "probe", "SELECT outcome FROM domicile.heartbeat_probe($1)" },
    [Q_BEAT] = { "beat", "SELECT sequence, (extract(epoch FROM at) * 1000)::bigint, monotonic_ms, age_ms, "
                         "fence, writer, "
                         "epoch, (extract(epoch FROM degraded_since) * 1000)::bigint FROM "
                         "domicile.heartbeat_read()" },
    [Q_PRIMARY] = { "primary", "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint, "
                               "current_setting('synchronous_standby_names'), "
                               "pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'), "
                               "(SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep')" },
    [Q_WALSENDERS] = { "pg_stat_replication",
                       "SELECT application_name, state, sync_state, host(client_addr), "
                       "pg_wal_lsn_diff(flush_lsn, '0/0')::bigint, "
                       "pg_wal_lsn_diff(pg_current_wal_lsn(), flush_lsn)::bigint, "
                       "pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint "
                       "FROM pg_stat_replication WHERE state <> 'backup'" },
    [Q_SLOTS] = { "pg_replication_slots",
                  "SELECT slot_name::text, active, wal_status, "
                  "pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint, safe_wal_size "
                  "FROM pg_replication_slots ORDER BY 4 DESC NULLS LAST" },
    [Q_STANDBY] = { "pg_stat_wal_receiver",
                    "SELECT pg_wal_lsn_diff(pg_last_wal_receive_lsn(), '0/0')::bigint, "
                    "pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint, w.status, w.sender_host, "
                    "(extract(epoch FROM clock_timestamp() - w.last_msg_receipt_time) * 1000)::bigint, "
                    "(SELECT setting::bigint FROM pg_settings WHERE name = 'wal_receiver_timeout'), "
                    "current_setting('primary_slot_name'), pg_has_role(current_user, 'pg_read_all_stats', "
                    "'USAGE') "
                    "FROM (SELECT) one LEFT JOIN pg_stat_wal_receiver w ON true" },
};
const size_t health_question_count = QUESTIONS;

static struct health_node *node_of(const struct health_visit *visit)
{
    return &visit->health->nodes[visit->index];
}

static void copy(char *to, size_t size, struct str s)
{
    text_fit(to, size, "%.*s", STR_ARG(s));
}

static struct health_number number(const struct pg_reply *reply, size_t row, int column)
{
    if (pg_reply_is_null(reply, row, column))
        return (struct health_number){ 0 };
    return (struct health_number){ true, pg_reply_number(reply, row, column) };
}

/* A refusal of PostgreSQL's is noted, and *ret_rows is 0. */
static result ask(struct health_visit *visit, enum question question, const struct pg_value *params,
                  size_t count, struct pg_reply *reply, size_t *ret_rows)
{
    result r = pg_exec(visit->conn, health_questions[question].sql, params, count, reply);
    *ret_rows = failed(r) ? 0 : pg_reply_rows(reply);
    if (failed(r) && r.error.code == E_SQL) {
        text_fit(node_of(visit)->why, HEALTH_WHY_MAX, "%s", r.error.what);
        return OK;
    }
    return r;
}

/* ---- the server ---- */

static result ask_server(struct health_visit *visit)
{
    struct health_node *node = node_of(visit);
    struct pg_reply reply = PG_REPLY_INIT;
    size_t rows;
    int64_t begin_ms = clock_wall_ms();
    uint64_t begin_ns = clock_monotonic_ns();
    TRY(ask(visit, Q_SERVER, NULL, 0, &reply, &rows));
    node->round_trip_us = (int64_t)(clock_monotonic_ns() - begin_ns) / 1000;
    if (rows == 1) {
        int64_t middle_us = begin_ms * 1000 + node->round_trip_us / 2;
        node->role = pg_reply_number(&reply, 0, 0) != 0 ? HEALTH_STANDBY : HEALTH_PRIMARY;
        node->clock_offset_us = (struct health_number){ true, pg_reply_number(&reply, 0, 1) - middle_us };
        /* our own clock was read in milliseconds */
        node->clock_uncertainty_us = (struct health_number){ true, node->round_trip_us / 2 + 1000 };
    }
    pg_reply_done(&reply);
    return OK;
}

static result read_beat(struct health_visit *visit)
{
    struct health_node *node = node_of(visit);
    struct pg_reply reply = PG_REPLY_INIT;
    size_t rows;
    TRY(ask(visit, Q_BEAT, NULL, 0, &reply, &rows));
    node->beat_known = rows == 1;
    if (rows == 1) {
        node->beat = (struct health_beat){ .sequence = pg_reply_number(&reply, 0, 0),
                                           .at_ms = pg_reply_number(&reply, 0, 1),
                                           .monotonic_ms = pg_reply_number(&reply, 0, 2),
                                           .age_ms = pg_reply_number(&reply, 0, 3),
                                           .fence = pg_reply_number(&reply, 0, 4) };
        copy(node->beat.writer, sizeof node->beat.writer, pg_reply_str(&reply, 0, 5));
        node->epoch = number(&reply, 0, 6);
        node->degraded_since_ms = number(&reply, 0, 7);
    }
    pg_reply_done(&reply);
    return OK;
}

/* ---- a primary ---- */

/* Whether the refusal tells that the primary cannot write: read-only, disk full, system error. An error about us (missing
 * rights, missing schema) tells nothing about the primary. */
static bool refuses_to_write(const char *sqlstate)
{
    static const char *const classes[] = { "25", "53", "58", "XX" };
    for (size_t i = 0; i < COUNT(classes); i++)
        if (strncmp(sqlstate, classes[i], 2) == 0)
            return true;
    return false;
}

static void take_outcome(struct health_visit *visit, const struct pg_reply *reply)
{
    struct str outcome = pg_reply_rows(reply) == 1 ? pg_reply_str(reply, 0, 0) : STR("");
    bool done = str_is(outcome, "done");
    node_of(visit)->writable = done ? HEALTH_YES : HEALTH_UNKNOWN;
    if (!done)
        text_fit(node_of(visit)->why, HEALTH_WHY_MAX, "the cell refuses the heartbeat: %.*s",
                 STR_ARG(outcome));
    visit->beat = done                        ? HEALTH_BEAT_WRITTEN
                  : str_is(outcome, "fence")  ? HEALTH_BEAT_FENCED
                  : str_is(outcome, "region") ? HEALTH_BEAT_FOREIGN
                                              : HEALTH_BEAT_NONE;
}

static result write_beat(struct health_visit *visit)
{
    const struct health_writer *writer = visit->writer;
    const struct pg_value params[] = { pg_text(visit->cell->region->name), pg_int8(writer->fence),
                                       pg_text(str_from(writer->name)),
                                       pg_int8((int64_t)(clock_monotonic_ns() / 1000000)) };
    struct pg_reply reply = PG_REPLY_INIT;
    size_t rows;
    bool probe = node_of(visit)->probed = writer->fence == 0;
    TRY(ask(visit, probe ? Q_PROBE : Q_WRITE, params, probe ? 1 : 4, &reply, &rows));
    if (rows == 1)
        take_outcome(visit, &reply);
    else if (refuses_to_write(reply.sqlstate))
        node_of(visit)->writable = HEALTH_NO;
    if (probe)
        visit->beat = HEALTH_BEAT_NONE;
    pg_reply_done(&reply);
    return OK;
}

static result ask_primary_state(struct health_visit *visit)
{
    struct health_node *node = node_of(visit);
    struct pg_reply reply = PG_REPLY_INIT;
    size_t rows;
    TRY(ask(visit, Q_PRIMARY, NULL, 0, &reply, &rows));
    if (rows == 1) {
        struct str names = pg_reply_str(&reply, 0, 1);
        node->position = number(&reply, 0, 0);
        copy(node->sync_names, sizeof node->sync_names, names);
        node->sync_required = health_sync_required(names);
        node->replication_visible = pg_reply_number(&reply, 0, 2) != 0;
        if (node->replication_visible)
            node->writes_waiting = number(&reply, 0, 3);
    }
    pg_reply_done(&reply);
    return OK;
}

static struct health_walsender *walsender_of(struct health_visit *visit, struct str application)
{
    for (size_t i = 0; i < visit->cell->node_count; i++)
        if (i != visit->index && str_eq(visit->cell->nodes[i].name, application))
            return &visit->walsenders[i];
    return NULL;
}

static void take_walsender(struct health_visit *visit, const struct pg_reply *reply, size_t row)
{
    struct health_walsender *walsender = walsender_of(visit, pg_reply_str(reply, row, 0));
    if (walsender == NULL || (walsender->attached && walsender->streaming))
        return; /* not a node of this cell, or a second walsender of a node whose first one still streams */
    struct str state = pg_reply_str(reply, row, 1), sync = pg_reply_str(reply, row, 2);
    struct health_number flushed = number(reply, row, 4), position = node_of(visit)->position;
    *walsender = (struct health_walsender){
        .attached = true,
        .streaming = str_is(state, "streaming"),
        .synchronous = str_is(sync, "sync") || str_is(sync, "quorum"),
        .current = flushed.known && position.known && flushed.value >= position.value,
        .flush_lag_bytes = number(reply, row, 5),
        .replay_lag_bytes = number(reply, row, 6),
    };
    copy(walsender->state, sizeof walsender->state, state);
    copy(walsender->sync_state, sizeof walsender->sync_state, sync);
    copy(walsender->address, sizeof walsender->address, pg_reply_str(reply, row, 3));
}

static result ask_walsenders(struct health_visit *visit)
{
    struct pg_reply reply = PG_REPLY_INIT;
    size_t rows;
    TRY(ask(visit, Q_WALSENDERS, NULL, 0, &reply, &rows));
    memset(visit->walsenders, 0, visit->cell->node_count * sizeof visit->walsenders[0]);
    for (size_t row = 0; row < rows; row++)
        take_walsender(visit, &reply, row);
    pg_reply_done(&reply);
    return OK;
}

static bool all_current(const struct health_visit *visit, bool *ret_any)
{
    bool all = true;
    *ret_any = false;
    for (size_t i = 0; i < visit->cell->node_count; i++) {
        all = all && (!visit->walsenders[i].streaming || visit->walsenders[i].current);
        *ret_any = *ret_any || visit->walsenders[i].streaming;
    }
    return all;
}

/* The heartbeat is committed on the primary alone; the standbys' flushed positions tell whether they have it. So a write
 * that nobody confirms is noticed, and no session hangs in its commit. */
static result await_confirmation(struct health_visit *visit)
{
    struct health_node *node = node_of(visit);
    uint64_t begin_ns = clock_monotonic_ns(), pause_ms = 1;
    for (;;) {
        TRY(ask_walsenders(visit));
        uint64_t spent_us = (clock_monotonic_ns() - begin_ns) / 1000;
        bool any;
        if (all_current(visit, &any)) {
            node->confirm_us = (struct health_number){ any, any ? (int64_t)spent_us : 0 };
            return OK;
        }
        if (spent_us >= visit->confirm_within_ms * 1000)
            return OK;
        TRY(fiber_sleep(pause_ms));
        pause_ms = pause_ms < 50 ? pause_ms * 2 : 50;
    }
}

static result ask_slots(struct health_visit *visit)
{
    struct health_node *node = node_of(visit);
    struct pg_reply reply = PG_REPLY_INIT;
    size_t rows;
    TRY(ask(visit, Q_SLOTS, NULL, 0, &reply, &rows));
    node->slot_count = rows < HEALTH_SLOTS_MAX ? rows : HEALTH_SLOTS_MAX;
    node->slots_left_out = rows - node->slot_count;
    for (size_t row = 0; row < node->slot_count; row++) {
        struct health_slot *slot = &node->slots[row];
        *slot = (struct health_slot){ .active = pg_reply_number(&reply, row, 1) != 0,
                                      .retained_bytes = number(&reply, row, 3),
                                      .safe_bytes = number(&reply, row, 4) };
        copy(slot->name, sizeof slot->name, pg_reply_str(&reply, row, 0));
        copy(slot->wal_status, sizeof slot->wal_status, pg_reply_str(&reply, row, 2));
    }
    pg_reply_done(&reply);
    return OK;
}

static result visit_primary(struct health_visit *visit)
{
    if (visit->writer != NULL)
        TRY(write_beat(visit));
    TRY(read_beat(visit));
    TRY(ask_primary_state(visit));
    TRY(await_confirmation(visit));
    return ask_slots(visit);
}

/* ---- a standby ---- */

/* An idle primary is silent for up to half of the receiver's timeout; then the receiver asks for a reply. */
static enum health_view view_of(const struct health_visit *visit, const struct health_node *node,
                                int64_t timeout_ms)
{
    enum { SLACK_MS = 1000 };
    int64_t silent_ms = timeout_ms / 2 + SLACK_MS, lost_ms = visit->cell->monitor.lost_after_ms;
    if (strcmp(node->receiver_status, "streaming") != 0)
        return HEALTH_VIEW_LOST;
    if (timeout_ms == 0 || !node->last_message_age_ms.known)
        return HEALTH_VIEW_RECEIVES;
    return node->last_message_age_ms.value > (silent_ms > lost_ms ? silent_ms : lost_ms)
               ? HEALTH_VIEW_LOST
               : HEALTH_VIEW_RECEIVES;
}

static result visit_standby(struct health_visit *visit)
{
    struct health_node *node = node_of(visit);
    struct pg_reply reply = PG_REPLY_INIT;
    size_t rows;
    TRY(ask(visit, Q_STANDBY, NULL, 0, &reply, &rows));
    if (rows == 1) {
        node->received = number(&reply, 0, 0);
        node->position = number(&reply, 0, 1);
        copy(node->receiver_status, sizeof node->receiver_status, pg_reply_str(&reply, 0, 2));
        copy(node->sender_host, sizeof node->sender_host, pg_reply_str(&reply, 0, 3));
        node->last_message_age_ms = number(&reply, 0, 4);
        copy(node->slot_name, sizeof node->slot_name, pg_reply_str(&reply, 0, 6));
        if (pg_reply_number(&reply, 0, 7) != 0)
            node->view = view_of(visit, node, pg_reply_number(&reply, 0, 5));
    }
    pg_reply_done(&reply);
    return read_beat(visit);
}

result health_visit(struct health_visit *visit)
{
    TRY(ask_server(visit));
    switch (node_of(visit)->role) {
    case HEALTH_PRIMARY:
        return visit_primary(visit);
    case HEALTH_STANDBY:
        return visit_standby(visit);
    default:
        return OK;
    }
}
