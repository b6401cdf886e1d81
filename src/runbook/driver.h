#pragma once
/* Drives a run, for anybody: the command line, and the daemon. It acquires a lease of the directory (who holds it is the
 * only one who acts), asks everything (what is done already leaves no run behind), goes on with the run that is open or
 * begins one, and drives it to its end. The lease is renewed meanwhile; when it is lost, the run stops where it is. It says
 * nothing to people: an observer sees all. */
#include "directory/directory.h"
#include "runbook/run.h"

enum driver_notice {
    DRIVER_WAITS,   /* for the lease: another has it, or had it a moment ago */
    DRIVER_ASKS,    /* every question, before a run begins */
    DRIVER_RESUMES, /* `run`, which is open */
};
struct driver_observer {
    struct run_observer run; /* sees the run itself */
    void (*notice)(struct driver_observer *observer, enum driver_notice notice,
                   const char *run); /* may not wait */
};

/* All of it outlives the driver. */
struct driver_options {
    const struct runbook *runbook;
    void *context;       /* of the step functions */
    const char *subject; /* "eu-fr/eu-fr-1" */
    const char *state_path;
    struct directory *directory;
    const char *lease; /* its name there: "run-eu-fr-1" */
    bool walk_back;    /* the run that is open is resumed only to walk back */
    struct driver_observer *observer;
};

struct driver;
struct driver *driver_new(const struct driver_options *options);
void driver_free(struct driver *driver); /* takes NULL */

/* Waits. OK: the goals are true. If they were already and no run was begun, *ret_already is what was seen, an answer a
 * step, in the arena; else NULL. The errors of run_drive, and E_BUSY: another process has the lease, and goes on to;
 * E_STALE: it was lost; E_NOT_FOUND: no run is there to walk back; E_CANCELLED also before there is a run. Once. */
result driver_run(struct driver *driver, struct arena *arena, const struct runbook_planned **ret_already)
    MUST_USE;

/* For another fiber; they do not wait. Cancel is an operator's: run_cancel, and before there is a run nothing is done.
 * Stop leaves the run where it is, to be resumed. */
void driver_cancel(struct driver *driver);
void driver_stop(struct driver *driver);
