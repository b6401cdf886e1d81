#pragma once
/* Drives a run, for the command line and for the daemon. It acquires a lease of the directory, so that only one process acts.
 * It asks all goals first: if all are true, no run begins. Otherwise it resumes the open run or begins one, and drives it to
 * its end. It renews the lease meanwhile; if the lease is lost, the run stops where it is. It prints nothing: an observer is
 * called. */
#include "directory/directory.h"
#include "runbook/run.h"

enum driver_notice {
    DRIVER_WAITS,   /* for the lease: another process has it, or just had it */
    DRIVER_ASKS,    /* asks all goals, before a run begins */
    DRIVER_RESUMES, /* resumes `run`, which is open */
};
struct driver_observer {
    struct run_observer run; /* sees the run itself */
    void (*notice)(struct driver_observer *observer, enum driver_notice notice,
                   const char *run); /* may not wait */
};

/* All of it must outlive the driver. */
struct driver_options {
    const struct runbook *runbook;
    void *context;       /* of the step functions */
    const char *subject; /* "eu-fr/eu-fr-1" */
    const char *state_path;
    struct directory *directory;
    const char *lease; /* its name there: "run-eu-fr-1" */
    bool walk_back;    /* resume the open run only to walk back */
    struct driver_observer *observer;
};

struct driver;
struct driver *driver_new(const struct driver_options *options);
void driver_free(struct driver *driver); /* takes NULL */

/* Waits. OK: the goals are true. If they were true before and no run began, *ret_already has the answer of each step, in the
 * arena; otherwise NULL. The errors of run_drive, and E_BUSY: another process has the lease and keeps it; E_STALE: the lease
 * was lost; E_NOT_FOUND: there is no run to walk back; E_CANCELLED also before a run begins. Call it once. */
result driver_run(struct driver *driver, struct arena *arena, const struct runbook_planned **ret_already)
    MUST_USE;

/* For another fiber; they do not wait. Cancel is an operator's: run_cancel; before a run begins, nothing is changed. Stop
 * leaves the run where it is, to be resumed. */
void driver_cancel(struct driver *driver);
void driver_stop(struct driver *driver);
