#pragma once
/* Shared by monitor.c, which runs the rounds, and monitor_act.c, which writes. */
#include "health/monitor.h"

struct cell_monitor {
    struct cell_monitor_options options;
    char name[DIRECTORY_NAME_MAX + 1], lease_name[DIRECTORY_NAME_MAX + 1];
    char *journal_path;
    struct health_limits limits;
    struct health_asker *asker;
    struct health_machine machine;
    struct cell_health *health, *asking; /* the last round's facts, and those being collected */
    struct monitor_journal *journal;
    struct directory_lease lease;
    bool held, looked, journal_changed, foreign;
    uint64_t seen_fence;      /* in the cell, when it refused ours: the next lease is above it */
    int64_t next_number;      /* of an audit row under this fence */
    uint64_t act_again_at_ms; /* not before */
    enum error_code told;     /* the last failure, so that it is told once */
    struct cell_monitor_view counters;
};

void monitor_tell(struct cell_monitor *monitor, const struct error *error, const char *what);
void monitor_alarm(struct cell_monitor *monitor, const char *format, ...) PRINTF(2, 3);
/* Waits. Writes the journal, if it changed. */
result monitor_keep(struct cell_monitor *monitor) MUST_USE;

/* Waits, within the lease. Does the wish, and writes the rows of the journal. A failure is logged, and tried again later. */
void monitor_act(struct cell_monitor *monitor, uint64_t now_ms);
