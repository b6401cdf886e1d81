/* The monitors of the region's cells: their fibers, their words in the log, and their metrics. */
#include "control/control.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "control/watches.h"
#include "loop/fiber.h"

#include <ctype.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- the log ---- */

static enum log_level level_of(enum cell_state state)
{
    switch (state) {
    case CELL_HEALTHY:
    case CELL_RECOVERING:
    case CELL_UNKNOWN:
        return LOG_INFO;
    case CELL_WEAKENED:
    case CELL_UNSURE:
    case CELL_BLIND:
        return LOG_WARNING;
    default:
        return LOG_ALARM;
    }
}

static void on_changed(void *context, const struct cell *cell, enum cell_state from, enum cell_state to,
                       const char *why)
{
    (void)context;
    log_event(level_of(to), "cell \"%s\": %s -> %s: %s", cell->name.ptr, cell_state_name(from),
              cell_state_name(to), why);
}

static void on_alarm(void *context, const struct cell *cell, const char *what)
{
    (void)context;
    log_event(LOG_ALARM, "cell \"%s\": %s", cell->name.ptr, what);
}

static void on_trouble(void *context, const struct cell *cell, const struct error *error, const char *what)
{
    (void)context;
    log_failure(LOG_WARNING, error, "cell \"%s\": %s", cell->name.ptr, what);
}

/* ---- starting ---- */

/* The daemon's name: its host and its number, in the shape of an id. */
static void name_daemon(char name[DIRECTORY_NAME_MAX + 1])
{
    char host[41] = "";
    gethostname(host, sizeof host - 1);
    for (char *at = host; *at != '\0'; at++)
        *at = isalnum((unsigned char)*at) ? (char)tolower((unsigned char)*at) : '-';
    snprintf(name, DIRECTORY_NAME_MAX + 1, "d-%s-%d", host, (int)getpid());
}

static result start_one(struct control *control, const struct config *config, const struct cell *cell,
                        struct directory *directory)
{
    struct arena arena;
    struct control_watch *watch = NULL;
    char name[DIRECTORY_NAME_MAX + 1];
    TRY(control_watch_new(config, cell, &watch));
    control->watches[control->monitor_count] = watch;
    arena_init(&arena);
    name_daemon(name);
    const struct cell_monitor_options options = {
        .cell = cell,
        .directory = directory,
        .journal_path = cell_monitor_journal_path(&arena, config->directory_path, cell),
        .name = name,
        .host_facts = control_watch_facts,
        .context = watch,
        .changed = on_changed,
        .alarm = on_alarm,
        .trouble = on_trouble,
    };
    struct cell_monitor *monitor = NULL;
    result r = cell_monitor_new(&options, &monitor);
    arena_done(&arena);
    if (failed(r)) {
        control_watch_free(watch);
        return r;
    }
    watch->monitor = monitor;
    control->monitors[control->monitor_count++] = monitor;
    TRY(fiber_spawn(&control->scope, "monitor", cell_monitor_run, monitor));
    return fiber_spawn(&control->scope, "watch", control_watch_run, watch);
}

static result start_all(struct control *control, const struct config *config, struct directory *directory)
{
    const struct region *region = config_find_region(config, str_from(control->region));
    must(region != NULL);
    control->monitors = calloc(region->cell_count, sizeof(struct cell_monitor *));
    control->watches = calloc(region->cell_count, sizeof(struct control_watch *));
    must(control->monitors != NULL && control->watches != NULL);
    for (size_t i = 0; i < region->cell_count; i++)
        if (region->cells[i].monitor.files.certificate != NULL)
            TRY(start_one(control, config, &region->cells[i], directory));
    return OK;
}

result control_start(struct control *control, const struct config *config, const char *region,
                     struct directory *directory)
{
    *control = (struct control){ .region = region, .scope = SCOPE_INIT };
    result r = start_all(control, config, directory);
    if (failed(r))
        control_stop(control);
    return r;
}

void control_stop(struct control *control)
{
    scope_end(&control->scope);
    for (size_t i = 0; i < control->monitor_count; i++) {
        cell_monitor_free(control->monitors[i]);
        control_watch_free(control->watches[i]);
    }
    free((void *)control->monitors);
    free((void *)control->watches);
    *control = (struct control){ .region = control->region, .scope = SCOPE_INIT };
}

/* ---- metrics ---- of the monitor that has the lease; the others say only that they do not */

struct series {
    struct buf *out;
    const struct control *control;
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

#define EACH_MONITOR(series, view)                                                                           \
    for (size_t monitor_ = 0; monitor_ < (series)->control->monitor_count; monitor_++)                       \
        for (struct cell_monitor_view view = cell_monitor_view((series)->control->monitors[monitor_]),       \
                                      *once_ = &view;                                                        \
             once_ != NULL; once_ = NULL)

static void each_node(struct series *series, const char *name, const char *help, size_t offset, double scale,
                      double minus)
{
    family(series, name, "gauge", help);
    EACH_MONITOR(series, view)
    node_lines(series, view.health, "", offset, scale, minus);
}

static void state_metrics(struct series *series)
{
    family(series, "cell_monitor_active", "gauge", "1 in the daemon that watches over the cell.");
    EACH_MONITOR(series, view)
    line(series, view.cell, "", view.active);
    family(series, "cell_state", "gauge", "1 for the state that the cell is in.");
    EACH_MONITOR(series, view)
    for (enum cell_state state = 0; view.active && state < CELL_STATE_COUNT; state++) {
        char label[64];
        snprintf(label, sizeof label, ",state=\"%s\"", cell_state_name(state));
        line(series, view.cell, label, view.state == state);
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
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
        family(series, counters[i].name, "counter", counters[i].help);
        EACH_MONITOR(series, view)
        line(series, view.cell, "", (double)*(const uint64_t *)((const char *)&view + counters[i].offset));
    }
    family(series, "cell_audit_rows_kept", "gauge", "Audit rows that wait for the primary.");
    EACH_MONITOR(series, view)
    line(series, view.cell, "", (double)view.rows_kept);
}

static void slot_metrics(struct series *series)
{
    family(series, "slot_retained_bytes", "gauge", "Write-ahead log that a slot keeps from being removed.");
    EACH_MONITOR(series, view)
    {
        const struct health_node *primary = view.health == NULL ? NULL : health_primary(view.health);
        for (size_t i = 0; primary != NULL && i < primary->slot_count; i++) {
            char labels[192];
            snprintf(labels, sizeof labels, ",node=\"%s\",slot=\"%s\"", primary->node->name.ptr,
                     primary->slots[i].name);
            if (primary->slots[i].retained_bytes.known)
                line(series, view.cell, labels, (double)primary->slots[i].retained_bytes.value);
        }
    }
}

/* What two nodes say of each other. */
static void replication_metrics(struct series *series)
{
    family(series, "standby_sees_primary", "gauge", "1 if the standby hears from its primary.");
    EACH_MONITOR(series, view)
    for (size_t i = 0; view.health != NULL && i < view.health->node_count; i++)
        if (view.health->nodes[i].view != HEALTH_VIEW_UNKNOWN)
            node_line(series, view.health, i, view.health->nodes[i].view == HEALTH_VIEW_RECEIVES);
    family(series, "standby_synchronous", "gauge", "1 if the primary counts the standby as synchronous.");
    EACH_MONITOR(series, view)
    for (size_t i = 0; view.health != NULL && i < view.health->node_count; i++) {
        const struct health_node *primary = health_primary(view.health);
        if (primary != NULL && primary->replication_visible && primary != &view.health->nodes[i])
            node_line(series, view.health, i, view.health->nodes[i].walsender.synchronous);
    }
    family(series, "synchronous_standbys_required", "gauge", "Standbys that must confirm each write.");
    EACH_MONITOR(series, view)
    if (view.health != NULL && health_primary(view.health) != NULL)
        line(series, view.cell, "", health_primary(view.health)->sync_required);
}

static void watch_metrics(struct series *series)
{
    const struct control *control = series->control;
    family(series, "watch_findings", "gauge", "What the watch has found and is still there, by severity.");
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
    EACH_MONITOR(series, view)
    for (size_t i = 0; view.health != NULL && i < view.health->node_count; i++)
        node_line(series, view.health, i, view.health->nodes[i].answer == HEALTH_ANSWERS);
    family(series, "heartbeat_age_seconds", "gauge",
           "Age of the heartbeat that the node sees, by its own clock.");
    EACH_MONITOR(series, view)
    for (size_t i = 0; view.health != NULL && i < view.health->node_count; i++)
        if (view.health->nodes[i].beat_known)
            node_line(series, view.health, i, (double)view.health->nodes[i].beat.age_ms / 1e3);
}

#define OF(member) offsetof(struct health_node, member)

static void lag_metrics(struct series *series)
{
    family(series, "replication_lag_bytes", "gauge",
           "Write-ahead log that the standby has not received, or not replayed.");
    EACH_MONITOR(series, view)
    {
        node_lines(series, view.health, ",of=\"received\"", OF(receive_lag_bytes), 1, 0);
        node_lines(series, view.health, ",of=\"replayed\"", OF(replay_lag_bytes), 1, 0);
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
    family(series, "certificate_expiry_seconds", "gauge", "How long the certificate is still valid.");
    EACH_MONITOR(series, view)
    {
        node_lines(series, view.health, ",of=\"server\"", OF(certificate_expires_ms), 1e-3, now_ms);
        node_lines(series, view.health, ",of=\"client\"", OF(own_certificate_expires_ms), 1e-3, now_ms);
    }
    each_node(series, "clock_offset_seconds", "The node's clock minus ours.", OF(clock_offset_us), 1e-6, 0);
    each_node(series, "clock_uncertainty_seconds", "How wrong the offset may be.", OF(clock_uncertainty_us),
              1e-6, 0);
    each_node(series, "disk_size_bytes", "Space there is under the data directory.",
              OF(host.disk_total_bytes), 1, 0);
    each_node(series, "disk_free_bytes", "Free space under the data directory.", OF(host.disk_free_bytes), 1,
              0);
}

void control_metrics(struct buf *out, const struct control *control)
{
    struct series series = { .out = out, .control = control };
    if (control->monitor_count == 0)
        return;
    state_metrics(&series);
    watch_metrics(&series);
    answer_metrics(&series);
    replication_metrics(&series);
    lag_metrics(&series);
    slot_metrics(&series);
    host_metrics(&series);
}
