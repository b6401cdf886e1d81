#pragma once
/* Control of a region: a monitor over each of its cells that has a monitor's certificate, and the watch beside it. */
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

/* Does not wait. The configuration, the directory and the region's name outlive it. On failure everything is undone. */
result control_start(struct control *control, const struct config *config, const char *region,
                     struct directory *directory) MUST_USE;
/* Waits until its fibers have ended: leases are given back. */
void control_stop(struct control *control);

struct buf;
void control_metrics(struct buf *out, const struct control *control); /* Prometheus text format 0.0.4 */
