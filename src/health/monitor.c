#include "health/monitor.h"

#include "base/clock.h"
#include "base/text.h"
#include "health/monitor_internal.h"

#include <stdio.h>
#include <stdlib.h>

/* The lease lasts for several rounds, since a loaded host may miss some; then another monitor may acquire it. */
enum { LEASE_ROUNDS = 5, LEASE_LEAST_MS = 3000, RELEASE_WITHIN_MS = 1000 };

static uint64_t now_ms(void)
{
    return clock_monotonic_ns() / 1000000;
}

/* ---- telling ---- */

void monitor_tell(struct cell_monitor *monitor, const struct error *error, const char *what)
{
    if (error->code == E_CANCELLED || error->code == monitor->told)
        return;
    monitor->told = error->code;
    if (monitor->options.trouble != NULL)
        monitor->options.trouble(monitor->options.context, monitor->options.cell, error, what);
}

void monitor_alarm(struct cell_monitor *monitor, const char *format, ...)
{
    char what[512];
    va_list args;
    va_start(args, format);
    text_vfit(what, sizeof what, format, args);
    va_end(args);
    if (monitor->options.alarm != NULL)
        monitor->options.alarm(monitor->options.context, monitor->options.cell, what);
}

/* ---- the journal ---- */

struct journal_job {
    struct cell_monitor *monitor;
    result outcome;
};

static void save(void *arg)
{
    struct journal_job *job = arg;
    job->outcome = monitor_journal_save(job->monitor->journal_path, job->monitor->journal);
}

static void load(void *arg)
{
    struct journal_job *job = arg;
    job->outcome = monitor_journal_load(job->monitor->journal_path, job->monitor->journal);
}

result monitor_keep(struct cell_monitor *monitor)
{
    if (!monitor->journal_changed)
        return OK;
    struct journal_job job = { .monitor = monitor };
    TRY(fiber_offload(save, &job));
    TRY(job.outcome);
    monitor->journal_changed = false;
    return OK;
}

static void on_changed(void *context, enum cell_state from, enum cell_state to, const char *why)
{
    struct cell_monitor *monitor = context;
    const struct cell_monitor_options *options = &monitor->options;
    char at[CLOCK_TEXT_SIZE], what[MONITOR_WHAT_MAX + 1];
    monitor->counters.changes++;
    if (options->changed != NULL)
        options->changed(options->context, options->cell, from, to, why);
    if (!monitor->held)
        return; /* another monitor has the cell now, and writes its audit log */
    clock_format(clock_wall_ms(), at);
    text_fit(what, sizeof what, "%s %s -> %s: %s", at, cell_state_name(from), cell_state_name(to), why);
    if (!monitor_journal_add(monitor->journal, monitor->next_number++, "cell-state", cell_state_name(to),
                             what))
        monitor_alarm(
            monitor, "the monitor's journal is full; this change of state is not in the audit log: %s", what);
    monitor->journal_changed = true;
}

/* ---- the lease ---- */

static uint64_t lease_ms(const struct cell_monitor *monitor)
{
    uint64_t ms = (uint64_t)monitor->options.cell->monitor.interval_ms * LEASE_ROUNDS;
    return ms > LEASE_LEAST_MS ? ms : LEASE_LEAST_MS;
}

static result read_journal(struct cell_monitor *monitor)
{
    struct journal_job job = { .monitor = monitor };
    TRY(fiber_offload(load, &job));
    return job.outcome;
}

static result take_over(struct cell_monitor *monitor)
{
    TRY(directory_lease_acquire_above(monitor->options.directory, str_from(monitor->lease_name),
                                      str_from(monitor->name), lease_ms(monitor), monitor->seen_fence,
                                      &monitor->lease));
    result r = read_journal(monitor);
    if (failed(r)) {
        result released = directory_lease_release(monitor->options.directory, &monitor->lease);
        if (failed(released))
            monitor_tell(monitor, &released.error, "cannot release the monitor lease; it will expire");
        return r;
    }
    monitor->journal->fence = (int64_t)monitor->lease.fence;
    monitor->next_number = 1;
    monitor->held = true;
    monitor->looked = false;
    monitor->machine.rounds = 0;
    monitor->act_again_at_ms = 0;
    monitor->told = E_OK;
    return OK;
}

/* Without the lease the state is unknown. */
static void step_down(struct cell_monitor *monitor)
{
    monitor->held = false;
    monitor->looked = false;
    health_move(&monitor->machine, CELL_UNKNOWN, now_ms());
    for (size_t i = 0; i < monitor->options.cell->node_count; i++)
        health_asker_drop(monitor->asker, &monitor->options.cell->nodes[i]);
}

/* A lease that cannot be renewed is held until it expires, and not longer. */
static void keep_lease(struct cell_monitor *monitor)
{
    struct deadline deadline;
    deadline_begin(&deadline, monitor->options.cell->monitor.interval_ms);
    result r = monitor->held
                   ? directory_lease_renew(monitor->options.directory, &monitor->lease, lease_ms(monitor))
                   : take_over(monitor);
    deadline_end(&deadline);
    if (!failed(r))
        return;
    if (monitor->held && (r.error.code == E_STALE || clock_monotonic_ns() >= monitor->lease.until_ns))
        step_down(monitor);
    if (r.error.code != E_BUSY)
        monitor_tell(monitor, &r.error, "cannot acquire the monitor lease");
}

static void give_back(struct cell_monitor *monitor)
{
    if (!monitor->held)
        return;
    struct shield shield;
    struct deadline deadline;
    fiber_shield(&shield);
    deadline_begin(&deadline, RELEASE_WITHIN_MS);
    result kept = monitor_keep(monitor);
    result released = directory_lease_release(monitor->options.directory, &monitor->lease);
    deadline_end(&deadline);
    fiber_unshield(&shield);
    if (failed(kept))
        monitor_tell(monitor, &kept.error, "cannot write the monitor's journal");
    if (failed(released))
        monitor_tell(monitor, &released.error, "cannot release the monitor lease; it will expire");
    monitor->held = false;
}

/* ---- a round ---- */

static void use_look(struct cell_monitor *monitor)
{
    struct cell_health *last = monitor->health;
    monitor->health = monitor->asking;
    monitor->asking = last;
    monitor->looked = true;
    monitor->counters.looks++;
    health_look(&monitor->machine, &monitor->limits, monitor->health, now_ms());
}

/* The fence may be greater than the directory ever gave: by mistake, by theft of a certificate, or because the directory
 * was made anew. Then a lease above it is heard again, if no other monitor holds one. */
static void note_fence(struct cell_monitor *monitor)
{
    const struct health_node *primary = health_primary(monitor->asking);
    if (primary != NULL && primary->beat_known && primary->beat.fence > 0)
        monitor->seen_fence = (uint64_t)primary->beat.fence;
}

static void look(struct cell_monitor *monitor)
{
    const struct health_writer writer = { (int64_t)monitor->lease.fence, monitor->name };
    enum health_beat_outcome beat;
    result r = health_ask(monitor->asker, &writer, monitor->asking, &beat);
    if (failed(r)) {
        monitor_tell(monitor, &r.error, "cannot ask the cell's nodes");
        return;
    }
    if (beat == HEALTH_BEAT_FENCED) {
        monitor_alarm(
            monitor,
            "the cell refuses the heartbeat's fence %lld: another monitor with a greater fence has written",
            (long long)writer.fence);
        note_fence(monitor);
        give_back(monitor);
        step_down(monitor);
        return;
    }
    if (beat == HEALTH_BEAT_FOREIGN && !monitor->foreign)
        monitor_alarm(monitor,
                      "the database belongs to another region: check the addresses in the region's file");
    monitor->foreign = beat == HEALTH_BEAT_FOREIGN;
    if (clock_monotonic_ns() >= monitor->lease.until_ns) {
        step_down(monitor);
        return;
    }
    use_look(monitor);
    monitor_act(monitor, now_ms());
    r = monitor_keep(monitor);
    if (failed(r))
        monitor_tell(monitor, &r.error, "cannot write the monitor's journal");
}

void cell_monitor_run(void *arg)
{
    struct cell_monitor *monitor = arg;
    uint64_t interval_ms = monitor->options.cell->monitor.interval_ms;
    result r = OK;
    while (!failed(r)) {
        uint64_t begin_ms = now_ms();
        keep_lease(monitor);
        if (monitor->held)
            look(monitor);
        uint64_t spent_ms = now_ms() - begin_ms;
        r = fiber_sleep(spent_ms < interval_ms ? interval_ms - spent_ms : 1);
    }
    give_back(monitor);
}

/* ---- creating a monitor ---- */

static result check_options(const struct cell_monitor_options *options)
{
    if (options->cell->monitor.files.certificate == NULL)
        return FAIL(E_CONFIG, "Add monitor = { certificate, private_key } to the cell in the region's file.",
                    "the cell \"%s\" has no certificate for its monitor", options->cell->name.ptr);
    if (options->cell->name.len > DIRECTORY_NAME_MAX - strlen("monitor-"))
        return FAIL(E_CONFIG, "Choose a shorter name for the cell.",
                    "the name of cell \"%s\" is too long for a monitor lease", options->cell->name.ptr);
    return OK;
}

result cell_monitor_new(const struct cell_monitor_options *options, struct cell_monitor **ret)
{
    TRY(check_options(options));
    struct cell_monitor *monitor = calloc(1, sizeof *monitor);
    must(monitor != NULL);
    monitor->options = *options;
    monitor->limits = health_limits_of(options->cell);
    monitor->machine = (struct health_machine){ .changed = on_changed, .context = monitor };
    monitor->health = calloc(2, sizeof *monitor->health);
    monitor->journal = calloc(1, sizeof *monitor->journal);
    monitor->journal_path = strdup(options->journal_path);
    must(monitor->health != NULL && monitor->journal != NULL && monitor->journal_path != NULL);
    monitor->asking = monitor->health + 1;
    snprintf(monitor->name, sizeof monitor->name, "%s", options->name);
    snprintf(monitor->lease_name, sizeof monitor->lease_name, "monitor-%s", options->cell->name.ptr);
    const struct health_ask_options ask = { .cell = options->cell,
                                            .role = PG_MONITOR,
                                            .within_ms = options->cell->monitor.interval_ms,
                                            .host_facts = options->host_facts,
                                            .context = options->context };
    result r = health_asker_new(&ask, &monitor->asker);
    if (failed(r)) {
        cell_monitor_free(monitor);
        return r;
    }
    *ret = monitor;
    return OK;
}

void cell_monitor_free(struct cell_monitor *monitor)
{
    if (monitor == NULL)
        return;
    health_asker_free(monitor->asker);
    free(monitor->health < monitor->asking ? monitor->health : monitor->asking);
    free(monitor->journal);
    free(monitor->journal_path);
    free(monitor);
}

struct cell_monitor_view cell_monitor_view(const struct cell_monitor *monitor)
{
    struct cell_monitor_view view = monitor->counters;
    view.cell = monitor->options.cell;
    view.active = monitor->held && clock_monotonic_ns() < monitor->lease.until_ns;
    view.fence = (int64_t)monitor->lease.fence;
    view.writer = monitor->name;
    view.state = monitor->machine.state;
    view.state_since_ms = monitor->machine.since_ms;
    view.health = monitor->looked ? monitor->health : NULL;
    view.rows_kept = monitor->journal->count;
    return view;
}

const char *cell_monitor_journal_path(struct arena *arena, const char *directory_path,
                                      const struct cell *cell)
{
    return arena_printf(arena, "%s.%s.monitor", directory_path, cell->name.ptr);
}
