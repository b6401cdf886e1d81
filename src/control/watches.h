#pragma once
/* The watch of a cell, and its hosts over SSH. It runs beside the cell's monitor, while that has the lease. Only for the files
 * of control. */
#include "health/monitor.h"
#include "hosts/host_log.h"
#include "watch/host_reader.h"
#include "watch/watch.h"

struct control_watch {
    const struct config *config;
    const struct cell *cell;
    const struct cell_monitor *monitor;
    struct host_log *log; /* of the reader's commands */
    struct host_reader *reader;
    struct cell_watch *watch; /* NULL: another daemon has the lease */
    uint64_t rounds;
};

/* Does not wait. config and cell outlive it. */
result control_watch_new(const struct config *config, const struct cell *cell, struct control_watch **ret)
    MUST_USE;
void control_watch_free(struct control_watch *watch); /* its fiber has ended; takes NULL */

/* A fiber's body: a round every cell.watch.interval_ms, until it is cancelled. */
void control_watch_run(void *watch);

/* For cell_monitor_options.host_facts, with the watch as context. */
void control_watch_facts(void *watch, const struct node *node, struct health_host *ret);

size_t control_watch_count(const struct control_watch *watch,
                           enum watch_severity severity); /* open findings */
