/* What a monitor writes: rows of the audit log, the setting that makes a cell asynchronous or synchronous, and dropped
 * slots. Every statement carries the fence, and begins before the lease can expire. */
#include "health/monitor_internal.h"

#include "base/clock.h"
#include "base/text.h"

#include <stdio.h>

enum { ACT_WITHIN_MS = 1000, AGAIN_AFTER_MS = 5000, ROWS_AT_ONCE = 50 };

#define FENCE_HINT "Another daemon monitors this cell now: look at its log."

struct act {
    struct cell_monitor *monitor;
    const struct health_node *primary;
    struct pg_conn *conn;
};

static struct pg_value region(const struct act *act)
{
    return pg_text(act->monitor->options.cell->region->name);
}

static struct pg_value fence(const struct act *act)
{
    return pg_int8((int64_t)act->monitor->lease.fence);
}

static struct pg_value name(const struct act *act)
{
    return pg_text(str_from(act->monitor->name));
}

static const char *rule(const struct act *act)
{
    return act->monitor->limits.may_degrade ? "on_standby_loss = degrade" : "on_standby_loss = block";
}

/* One call of a function that returns an outcome. */
static result call(const struct act *act, const char *sql, const struct pg_value *params, size_t count,
                   char ret_outcome[16])
{
    struct pg_reply reply = PG_REPLY_INIT;
    TRY(pg_exec(act->conn, sql, params, count, &reply));
    struct str outcome = pg_reply_rows(&reply) == 1 ? pg_reply_str(&reply, 0, 0) : STR("");
    snprintf(ret_outcome, 16, "%.*s", STR_ARG(outcome));
    pg_reply_done(&reply);
    return OK;
}

static result refused(const char *what, const char *outcome)
{
    return FAIL(strcmp(outcome, "fence") == 0 ? E_STALE : E_BUSY, FENCE_HINT, "%s: the cell answers \"%s\"",
                what, outcome);
}

/* ---- rows from the journal ---- */

static result write_row(const struct act *act, const struct monitor_row *row)
{
    const struct pg_value params[] = { region(act),
                                       fence(act),
                                       pg_int8(row->fence),
                                       pg_int8(row->number),
                                       pg_text(str_from(row->action)),
                                       pg_text(str_from(row->result)),
                                       pg_text(str_from(row->what)),
                                       pg_text(str_from(rule(act))),
                                       name(act) };
    char outcome[16];
    TRY(call(act, "SELECT outcome FROM domicile.monitor_audit($1, $2, $3, $4, $5, $6, $7, $8, $9)", params, 9,
             outcome));
    if (strcmp(outcome, "done") != 0 && strcmp(outcome, "again") != 0)
        return refused("cannot write a row of the audit log", outcome);
    return OK;
}

static result write_rows(const struct act *act)
{
    struct monitor_journal *journal = act->monitor->journal;
    size_t written = 0;
    result r = journal->count > 0 ? monitor_keep(act->monitor) : OK;
    while (!failed(r) && written < journal->count && written < ROWS_AT_ONCE) {
        r = write_row(act, &journal->rows[written]);
        written += !failed(r);
    }
    if (written > 0) {
        monitor_journal_drop_first(journal, written);
        act->monitor->journal_changed = true;
    }
    return r;
}

/* ---- degrading, and back ---- */

static result begin(const struct act *act, bool degrade, const char *what)
{
    const struct pg_value params[] = {
        region(act), fence(act), pg_bool(degrade), pg_text(str_from(rule(act))), pg_text(str_from(what)),
        name(act)
    };
    char outcome[16];
    TRY(call(act, "SELECT outcome FROM domicile.monitor_begin($1, $2, $3, $4, $5, $6)", params, 6, outcome));
    return strcmp(outcome, "done") == 0 ? OK : refused("cannot change synchronous_standby_names", outcome);
}

static result change(const struct act *act, bool degrade, const char *what)
{
    TRY(begin(act, degrade, what));
    result r = pg_run(act->conn, degrade ? "ALTER SYSTEM SET synchronous_standby_names = ''"
                                         : "ALTER SYSTEM RESET synchronous_standby_names");
    if (!failed(r))
        r = pg_run(act->conn, "SELECT pg_reload_conf()");
    if (failed(r) && r.error.code != E_SQL)
        return r; /* the connection is gone, and the lock with it */
    result ended = pg_run(act->conn, "SELECT domicile.monitor_end()");
    return failed(r) ? r : ended;
}

/* The mark is on disk here before the cell is changed: a degraded cell can lose its primary at any moment. */
static result degrade(const struct act *act)
{
    struct cell_monitor *monitor = act->monitor;
    monitor->journal->mark = (struct monitor_mark){ true, act->primary->epoch.value, clock_wall_ms() };
    monitor->journal_changed = true;
    TRY(monitor_keep(monitor));
    char what[MONITOR_WHAT_MAX + 1];
    text_fit(what, sizeof what,
             "no standby confirmed writes; the cell is asynchronous now. synchronous_standby_names was %s",
             act->primary->sync_names);
    TRY(change(act, true, what));
    monitor->counters.degrades++;
    monitor_alarm(
        monitor, "the cell is degraded: writes are acknowledged without a standby; do not promote a standby");
    return OK;
}

static result restore(const struct act *act)
{
    TRY(change(act, false, "a standby has caught up; writes wait for it again"));
    act->monitor->counters.restores++;
    return OK;
}

static result unmark(const struct act *act)
{
    const struct pg_value params[] = { region(act), fence(act), pg_text(str_from(rule(act))),
                                       pg_text(STR("a standby confirms writes again")), name(act) };
    char outcome[16];
    TRY(call(act, "SELECT outcome FROM domicile.monitor_unmark($1, $2, $3, $4, $5)", params, 5, outcome));
    return strcmp(outcome, "done") == 0 ? OK : refused("cannot remove the degraded mark", outcome);
}

/* When the cell answers, its own mark replaces the one that is kept here. */
static void keep_mark(const struct act *act)
{
    struct cell_monitor *monitor = act->monitor;
    const struct health_node *primary = act->primary;
    bool degraded = primary->degraded_since_ms.known;
    bool synchronous = monitor->machine.state == CELL_HEALTHY || monitor->machine.state == CELL_WEAKENED;
    if (degraded == monitor->journal->mark.degraded || (!degraded && !synchronous) || !primary->beat_known)
        return;
    monitor->journal->mark = (struct monitor_mark){ degraded, degraded ? primary->epoch.value : 0,
                                                    primary->degraded_since_ms.value };
    monitor->journal_changed = true;
}

/* ---- slots ---- */

static result drop_slot(const struct act *act, const struct health_slot *slot)
{
    struct cell_monitor *monitor = act->monitor;
    char what[MONITOR_WHAT_MAX + 1], outcome[16];
    text_fit(what, sizeof what, "replication slot %s retained %lld bytes of WAL, more than %lld", slot->name,
             (long long)slot->retained_bytes.value, (long long)monitor->limits.slot_max_bytes);
    const struct pg_value params[] = { region(act),
                                       fence(act),
                                       pg_text(str_from(slot->name)),
                                       pg_int8(monitor->limits.slot_max_bytes),
                                       pg_text(STR("monitor.slot_max_mib")),
                                       pg_text(str_from(what)),
                                       name(act) };
    TRY(call(act, "SELECT outcome FROM domicile.slot_drop($1, $2, $3, $4, $5, $6, $7)", params, 7, outcome));
    if (strcmp(outcome, "done") == 0) {
        monitor->counters.slots_dropped++;
        monitor_alarm(monitor, "%s: it was dropped; a standby that used it needs a new base backup", what);
        return OK;
    }
    bool over = strcmp(outcome, "absent") == 0 || strcmp(outcome, "small") == 0;
    return over ? OK : refused("cannot drop a replication slot", outcome);
}

/* ---- all of it ---- */

static result act_on_wish(const struct act *act, uint64_t now_ms)
{
    struct cell_monitor *monitor = act->monitor;
    switch (health_wish(&monitor->machine, &monitor->limits, monitor->health, now_ms)) {
    case HEALTH_WISH_DEGRADE:
        return degrade(act);
    case HEALTH_WISH_RESTORE:
        return restore(act);
    case HEALTH_WISH_UNMARK:
        return unmark(act);
    default:
        return OK;
    }
}

static result do_all(const struct act *act, uint64_t now_ms)
{
    struct cell_monitor *monitor = act->monitor;
    TRY(write_rows(act));
    keep_mark(act);
    if (now_ms < monitor->act_again_at_ms)
        return OK;
    result r = act_on_wish(act, now_ms);
    const struct health_slot *slot = health_slot_to_drop(&monitor->limits, monitor->health);
    if (!failed(r) && slot != NULL)
        r = drop_slot(act, slot);
    if (failed(r))
        monitor->act_again_at_ms = now_ms + AGAIN_AFTER_MS;
    return r;
}

void monitor_act(struct cell_monitor *monitor, uint64_t now_ms)
{
    const struct health_node *primary = health_primary(monitor->health);
    uint64_t now_ns = clock_monotonic_ns();
    if (primary == NULL || primary->writable != HEALTH_YES || health_primaries(monitor->health) > 1 ||
        now_ns >= monitor->lease.until_ns)
        return;
    struct act act = { monitor, primary, health_asker_connection(monitor->asker, primary->node) };
    if (act.conn == NULL)
        return;
    uint64_t left_ms = (monitor->lease.until_ns - now_ns) / 1000000;
    struct deadline deadline;
    deadline_begin(&deadline, left_ms < ACT_WITHIN_MS ? left_ms : ACT_WITHIN_MS);
    result r = do_all(&act, now_ms);
    deadline_end(&deadline);
    if (!failed(r)) {
        monitor->told = E_OK;
        return;
    }
    if (r.error.code != E_SQL && r.error.code != E_STALE && r.error.code != E_BUSY && r.error.code != E_IO)
        health_asker_drop(monitor->asker, primary->node);
    monitor_tell(monitor, &r.error, "monitor action failed; retrying");
}
