/* The metrics of the monitors for Prometheus. A monitor without its cell's lease only reports that. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "control/control.h"
#include "control/watches.h"

#include <stdio.h>

struct series {
    struct buf *out;
    const struct control *control;
    const struct cell_monitor_view *views; /* one a monitor, as of now */
    const char *family;
};

static void family(struct series *series, const char *name, const char *kind, const char *help)
{
    series->family = name;
    must(buf_printf(series->out, "# HELP domicile_%s %s\n# TYPE domicile_%s %s\n", name, help, name, kind));
}

static void line(const struct series *series, const struct cell *cell, const char *labels, double value)
{
    must(buf_printf(series->out, "domicile_%s{region=\"%s\",cell=\"%s\"%s} %.17g\n", series->family,
                    series->control->region, cell->name.ptr, labels, value));
}

static void node_line(const struct series *series, const struct cell_health *health, size_t i, double value)
{
    char labels[96];
    snprintf(labels, sizeof labels, ",node=\"%s\"", health->nodes[i].node->name.ptr);
    line(series, health->cell, labels, value);
}

/* One line for each node whose number is known. */
static void node_lines(const struct series *series, const struct cell_health *health, const char *more,
                       size_t offset, double scale, double minus)
{
    for (size_t i = 0; health != NULL && i < health->node_count; i++) {
        const struct health_number *number =
            (const struct health_number *)((const char *)&health->nodes[i] + offset);
        char labels[160];
        snprintf(labels, sizeof labels, ",node=\"%s\"%s", health->nodes[i].node->name.ptr, more);
        if (number->known)
            line(series, health->cell, labels, ((double)number->value - minus) * scale);
    }
}

/* Every monitor's view, in turn. */
#define EACH_VIEW(series, view)                                                                              \
    for (const struct cell_monitor_view *view = (series)->views;                                             \
         view < (series)->views + (series)->control->monitor_count; view++)

static void each_node(struct series *series, const char *name, const char *help, size_t offset, double scale,
                      double minus)
{
    family(series, name, "gauge", help);
    EACH_VIEW (series, view)
        node_lines(series, view->health, "", offset, scale, minus);
}

static void state_metrics(struct series *series)
{
    family(series, "cell_monitor_active", "gauge", "1 in the daemon that monitors the cell.");
    EACH_VIEW (series, view)
        line(series, view->cell, "", view->active);
    family(series, "cell_state", "gauge", "1 for the cell's present state.");
    EACH_VIEW (series, view)
        for (enum cell_state state = 0; view->active && state < CELL_STATE_COUNT; state++) {
            char label[64];
            snprintf(label, sizeof label, ",state=\"%s\"", cell_state_name(state));
            line(series, view->cell, label, view->state == state);
        }
    static const struct {
        const char *name, *help;
        size_t offset;
    } counters[] = {
        { "cell_looks_total", "Rounds of questions to the cell.", offsetof(struct cell_monitor_view, looks) },
        { "cell_state_changes_total", "Changes of the cell's state.",
          offsetof(struct cell_monitor_view, changes) },
        { "cell_degrades_total", "Times the cell was degraded.",
          offsetof(struct cell_monitor_view, degrades) },
        { "cell_restores_total", "Times the cell was made synchronous again.",
          offsetof(struct cell_monitor_view, restores) },
        { "cell_slots_dropped_total", "Slots dropped before they filled the disk.",
          offsetof(struct cell_monitor_view, slots_dropped) },
    };
    for (size_t i = 0; i < COUNT(counters); i++) {
        family(series, counters[i].name, "counter", counters[i].help);
        EACH_VIEW (series, view)
            line(series, view->cell, "",
                 (double)*(const uint64_t *)((const char *)view + counters[i].offset));
    }
    family(series, "cell_audit_rows_kept", "gauge",
           "Audit rows that are not written yet, because the primary does not answer.");
    EACH_VIEW (series, view)
        line(series, view->cell, "", (double)view->rows_kept);
}

static void slot_metrics(struct series *series)
{
    family(series, "slot_retained_bytes", "gauge", "WAL that a replication slot retains.");
    EACH_VIEW (series, view) {
        const struct health_node *primary = view->health == NULL ? NULL : health_primary(view->health);
        for (size_t i = 0; primary != NULL && i < primary->slot_count; i++) {
            char labels[192];
            snprintf(labels, sizeof labels, ",node=\"%s\",slot=\"%s\"", primary->node->name.ptr,
                     primary->slots[i].name);
            if (primary->slots[i].retained_bytes.known)
                line(series, view->cell, labels, (double)primary->slots[i].retained_bytes.value);
        }
    }
}

/* What two nodes say of each other. */
static void replication_metrics(struct series *series)
{
    family(series, "standby_sees_primary", "gauge", "1 if the standby receives data from its primary.");
    EACH_VIEW (series, view)
        for (size_t i = 0; view->health != NULL && i < view->health->node_count; i++)
            if (view->health->nodes[i].view != HEALTH_VIEW_UNKNOWN)
                node_line(series, view->health, i, view->health->nodes[i].view == HEALTH_VIEW_RECEIVES);
    family(series, "standby_synchronous", "gauge", "1 if the primary counts the standby as synchronous.");
    EACH_VIEW (series, view)
        for (size_t i = 0; view->health != NULL && i < view->health->node_count; i++) {
            const struct health_node *primary = health_primary(view->health);
            if (primary != NULL && primary->replication_visible && primary != &view->health->nodes[i])
                node_line(series, view->health, i, view->health->nodes[i].walsender.synchronous);
        }
    family(series, "synchronous_standbys_required", "gauge", "Standbys that must confirm each write.");
    EACH_VIEW (series, view)
        if (view->health != NULL && health_primary(view->health) != NULL)
            line(series, view->cell, "", health_primary(view->health)->sync_required);
}

static void watch_metrics(struct series *series)
{
    const struct control *control = series->control;
    family(series, "watch_findings", "gauge", "Open findings of the watch, by severity.");
    for (size_t i = 0; i < control->monitor_count; i++)
        for (enum watch_severity severity = WATCH_INFO; severity <= WATCH_CRITICAL; severity++) {
            char label[64];
            snprintf(label, sizeof label, ",severity=\"%s\"", watch_severity_word(severity));
            line(series, control->watches[i]->cell, label,
                 (double)control_watch_count(control->watches[i], severity));
        }
    family(series, "watch_rounds_total", "counter", "Rounds of the watch's questions.");
    for (size_t i = 0; i < control->monitor_count; i++)
        line(series, control->watches[i]->cell, "", (double)control->watches[i]->rounds);
}

static void answer_metrics(struct series *series)
{
    family(series, "node_answers", "gauge", "1 if the node answered in the last round.");
    EACH_VIEW (series, view)
        for (size_t i = 0; view->health != NULL && i < view->health->node_count; i++)
            node_line(series, view->health, i, view->health->nodes[i].answer == HEALTH_ANSWERS);
    family(series, "heartbeat_age_seconds", "gauge",
           "Age of the heartbeat that the node sees, by its own clock.");
    EACH_VIEW (series, view)
        for (size_t i = 0; view->health != NULL && i < view->health->node_count; i++)
            if (view->health->nodes[i].beat_known)
                node_line(series, view->health, i, (double)view->health->nodes[i].beat.age_ms / 1e3);
}

#define OF(member) offsetof(struct health_node, member)

static void lag_metrics(struct series *series)
{
    family(series, "replication_lag_bytes", "gauge",
           "WAL that the standby has not received, or not replayed.");
    EACH_VIEW (series, view) {
        node_lines(series, view->health, ",of=\"received\"", OF(receive_lag_bytes), 1, 0);
        node_lines(series, view->health, ",of=\"replayed\"", OF(replay_lag_bytes), 1, 0);
    }
    each_node(series, "replication_lag_seconds", "How far the standby's heartbeat is behind the primary's.",
              OF(lag_ms), 1e-3, 0);
    each_node(series, "heartbeat_confirm_seconds", "How long the standbys took to confirm the heartbeat.",
              OF(confirm_us), 1e-6, 0);
    each_node(series, "writes_waiting", "Sessions that wait for a standby to confirm.", OF(writes_waiting), 1,
              0);
}

static void host_metrics(struct series *series)
{
    double now_ms = (double)clock_wall_ms();
    family(series, "certificate_expiry_seconds", "gauge", "Time until the certificate expires.");
    EACH_VIEW (series, view) {
        node_lines(series, view->health, ",of=\"server\"", OF(certificate_expires_ms), 1e-3, now_ms);
        node_lines(series, view->health, ",of=\"client\"", OF(own_certificate_expires_ms), 1e-3, now_ms);
    }
    each_node(series, "clock_offset_seconds", "The node's clock minus the clock here.", OF(clock_offset_us),
              1e-6, 0);
    each_node(series, "clock_uncertainty_seconds", "The largest possible error of the offset.",
              OF(clock_uncertainty_us), 1e-6, 0);
    each_node(series, "disk_size_bytes", "Size of the disk of the data directory.", OF(host.disk_total_bytes),
              1, 0);
    each_node(series, "disk_free_bytes", "Free space on the disk of the data directory.",
              OF(host.disk_free_bytes), 1, 0);
}

void control_metrics(struct buf *out, const struct control *control)
{
    struct arena arena;
    if (control->monitor_count == 0)
        return;
    arena_init(&arena);
    struct cell_monitor_view *views = arena_alloc(&arena, control->monitor_count * sizeof *views);
    for (size_t i = 0; i < control->monitor_count; i++)
        views[i] = cell_monitor_view(control->monitors[i]);
    struct series series = { .out = out, .control = control, .views = views };
    state_metrics(&series);
    watch_metrics(&series);
    answer_metrics(&series);
    replication_metrics(&series);
    lag_metrics(&series);
    slot_metrics(&series);
    host_metrics(&series);
    arena_done(&arena);
}
