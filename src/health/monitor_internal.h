#pragma once
/* Between monitor.c, which goes round, and monitor_act.c, which writes. */
#include "health/monitor.h"

struct cell_monitor {
    struct cell_monitor_options options;
    char name[DIRECTORY_NAME_MAX + 1], lease_name[DIRECTORY_NAME_MAX + 1];
    char *journal_path;
    struct health_limits limits;
    struct health_asker *asker;
    struct health_machine machine;
    struct cell_health *health, *asking; /* the last look, and the one that is being made */
    struct monitor_journal *journal;
    struct directory_lease lease;
    bool held, looked, journal_changed, foreign;
    int64_t next_number;      /* of an audit row under this fence */
    uint64_t act_again_at_ms; /* not before */
    enum error_code told;     /* of the last trouble, so that it is told once */
    struct cell_monitor_view counters;
};

void monitor_tell(struct cell_monitor *monitor, const struct error *error, const char *what);
void monitor_alarm(struct cell_monitor *monitor, const char *format, ...) PRINTF(2, 3);
/* Waits. Writes the journal, if it changed. */
result monitor_keep(struct cell_monitor *monitor) MUST_USE;

/* Waits, within the lease. Does what is wished for, and writes what is kept. A failure is told, and tried again later. */
void monitor_act(struct cell_monitor *monitor, uint64_t now_ms);
