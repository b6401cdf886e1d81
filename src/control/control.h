#pragma once
/* Control of a region: a monitor and a watch for each cell that has a certificate for its monitor. */
#include "config/config.h"
#include "directory/directory.h"
#include "health/monitor.h"
#include "loop/fiber.h"

struct control {
    const char *region; /* its name */
    struct cell_monitor **monitors;
    struct control_watch **watches; /* one beside each */
    size_t monitor_count;
    struct scope scope;
};

/* Does not wait. The configuration, the directory and the region's name must outlive it. On failure nothing is left. */
result control_start(struct control *control, const struct config *config, const char *region,
                     struct directory *directory) MUST_USE;
/* Waits until its fibers have ended and have released their leases. */
void control_stop(struct control *control);

struct buf;
void control_metrics(struct buf *out, const struct control *control); /* Prometheus text format 0.0.4 */
