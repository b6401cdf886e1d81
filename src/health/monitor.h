#pragma once
/* The monitor of one cell: a fiber in the region's daemon. It asks each node every interval_ms (health_ask.h), keeps the
 * cell's state (health.h), and does the few things that need no person: it degrades a cell whose standby is lost, if
 * on_standby_loss says so, makes it synchronous again, and drops a replication slot before it fills the disk.
 *
 * One monitor acts at a time: the one with the lease in the directory. All that it writes carries its fence, and the cell
 * refuses a smaller fence; so a monitor that was stopped and comes back changes nothing. Monitors without the lease ask
 * nothing. Every change of state, and every action, is written to the cell's audit log: at once, or, while the primary is
 * away, later and in order from the journal (monitor_journal.h). */
#include "directory/directory.h"
#include "health/health_ask.h"
#include "health/monitor_journal.h"

struct cell_monitor;

struct cell_monitor_options {
    const struct cell *cell;     /* with a monitor's certificate; outlives the monitor */
    struct directory *directory; /* the same */
    const char *journal_path;    /* copied */
    const char *name;            /* of this daemon: holder of the lease, writer of the heartbeat; copied */
    void (*host_facts)(void *context, const struct node *node, struct health_host *ret); /* may be NULL */
    /* For the log: a change of state; an alarm, which somebody must read; a failure, told once. */
    void (*changed)(void *context, const struct cell *cell, enum cell_state from, enum cell_state to,
                    const char *why);
    void (*alarm)(void *context, const struct cell *cell, const char *what);
    void (*trouble)(void *context, const struct cell *cell, const struct error *error, const char *what);
    void *context;
};

/* Does not wait. E_CONFIG: the cell has no certificate for its monitor, or its name is too long. */
result cell_monitor_new(const struct cell_monitor_options *options, struct cell_monitor **ret) MUST_USE;
void cell_monitor_free(struct cell_monitor *monitor); /* its fiber has ended; takes NULL */

/* A fiber's body: runs until it is cancelled, then releases the lease. */
void cell_monitor_run(void *monitor);

struct cell_monitor_view {
    const struct cell *cell;
    bool active; /* it has the lease, and the members below are current */
    int64_t fence;
    const char *writer; /* the daemon's name */
    enum cell_state state;
    uint64_t state_since_ms;          /* of clock_monotonic_ns */
    const struct cell_health *health; /* the last look; NULL: none yet */
    uint64_t looks, changes, degrades, restores, slots_dropped;
    size_t rows_kept; /* rows of the audit log that are not written yet */
};
/* The pointers are valid until the caller waits. */
struct cell_monitor_view cell_monitor_view(const struct cell_monitor *monitor);

/* "directory.sqlite" and "eu-fr-1" give "directory.sqlite.eu-fr-1.monitor". */
const char *cell_monitor_journal_path(struct arena *arena, const char *directory_path,
                                      const struct cell *cell);
