/* The monitors of the region's cells: their fibers, and their log messages. */
#include "control/control.h"
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
    log_event(level_of(to), "cell \"%s\": %s -> %s: %s", cell->name.ptr, cell_state_name(from),
              cell_state_name(to), why);
}

static void on_alarm(void *context, const struct cell *cell, const char *what)
{
    log_event(LOG_ALARM, "cell \"%s\": %s", cell->name.ptr, what);
}

static void on_trouble(void *context, const struct cell *cell, const struct error *error, const char *what)
{
    log_failure(LOG_WARNING, error, "cell \"%s\": %s", cell->name.ptr, what);
}

/* ---- starting ---- */

/* The daemon's name: its host and process id, in the form of an id. */
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
