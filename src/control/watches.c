#include "control/watches.h"

#include "base/log.h"
#include "loop/fiber.h"

#include <stdlib.h>

static void on_unrecorded(void *context, const struct error *why)
{
    const struct control_watch *watch = context;
    log_failure(LOG_WARNING, why, "cell \"%s\": commands on its hosts are not recorded",
                watch->cell->name.ptr);
}

result control_watch_new(const struct config *config, const struct cell *cell, struct control_watch **ret)
{
    struct control_watch *watch = calloc(1, sizeof *watch);
    must(watch != NULL);
    watch->config = config;
    watch->cell = cell;
    const struct host_log_options record = { config->state_path, "gateway", on_unrecorded, watch };
    watch->log = host_log_new(&record);
    result r = host_reader_new(cell, watch->log, &watch->reader);
    if (failed(r)) {
        control_watch_free(watch);
        return r;
    }
    *ret = watch;
    return OK;
}

void control_watch_free(struct control_watch *watch)
{
    if (watch == NULL)
        return;
    cell_watch_free(watch->watch);
    host_reader_free(watch->reader);
    host_log_free(watch->log);
    free(watch);
}

void control_watch_facts(void *context, const struct node *node, struct health_host *ret)
{
    const struct control_watch *watch = context;
    host_reader_facts(watch->reader, node, ret);
}

size_t control_watch_count(const struct control_watch *watch, enum watch_severity severity)
{
    size_t count = 0;
    for (size_t i = 0; watch->watch != NULL && i < watch_finding_count(watch->watch); i++)
        count += watch_finding_at(watch->watch, i)->channel->severity == severity;
    return count;
}

/* ---- the log ---- */

static enum log_level level_of(const struct watch_event *event)
{
    if (event->kind == WATCH_END)
        return LOG_INFO;
    return event->finding.channel->severity >= WATCH_HIGH ? LOG_ALARM : LOG_WARNING;
}

static void on_event(void *context, const struct watch_event *event)
{
    const struct control_watch *watch = context;
    const struct watch_finding *finding = &event->finding;
    log_event(level_of(event), "cell \"%s\": %s, %s: %s: %s at \"%s\" (%s). %s", watch->cell->name.ptr,
              finding->channel->id, watch_event_word(event->kind), finding->channel->title, finding->subject,
              finding->node, finding->evidence, event->kind == WATCH_BEGIN ? finding->channel->advice : "");
}

/* ---- rounds ---- */

static bool lease(void *context, struct watch_lease *ret)
{
    const struct control_watch *watch = context;
    struct cell_monitor_view view = cell_monitor_view(watch->monitor);
    *ret = (struct watch_lease){ view.fence, view.writer };
    return view.active;
}

/* A daemon that gets the lease later begins with the findings of the cell, not with old ones in its memory. */
static bool is_ours(struct control_watch *watch)
{
    bool active = cell_monitor_view(watch->monitor).active;
    if (!active) {
        cell_watch_free(watch->watch);
        watch->watch = NULL;
    } else if (watch->watch == NULL) {
        watch->watch = cell_watch_new(watch->config, watch->cell);
        cell_watch_tell(watch->watch, on_event, watch);
        cell_watch_guard(watch->watch, lease, watch);
    }
    return active;
}

void control_watch_run(void *arg)
{
    struct control_watch *watch = arg;
    while (!failed(fiber_sleep(watch->cell->watch.interval_ms))) {
        if (!is_ours(watch))
            continue;
        result r = watch_round(watch->watch, WATCH_ACT);
        if (failed(r))
            return;
        host_reader_round(watch->reader, watch->watch);
        watch->rounds++;
    }
}
