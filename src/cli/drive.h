#pragma once
/* Runs a runbook for a command: plan, progress, cancel. */
#include "cli/cli.h"
#include "runbook/run.h"

struct cli_drive {
    const struct runbook *runbook;
    void *context;       /* of the step functions */
    const char *subject; /* "eu-fr/eu-fr-1" */
    uint64_t fence;      /* of the lease under which it runs; higher than any before */
};

/* On a fiber. Goes on with the run of this runbook about this subject that is not over, or begins one, and drives it to
 * its end: the errors of run_drive. A line a step on standard output, or with --json each notice as a line; where
 * somebody watches, the step at hand with the time that it has taken and may take. SIGINT and SIGTERM cancel the run, a
 * second one stops it where it is. With --cancel the run that is not over is resumed only to walk back; E_NOT_FOUND if
 * there is none. */
result cli_drive(struct cli *cli, const struct cli_drive *drive) MUST_USE;

/* On a fiber. --plan: asks all goals and changes nothing. */
result cli_plan(struct cli *cli, const struct cli_drive *drive) MUST_USE;

/* The table, as `domicile runbook show` prints it. */
void cli_show_runbook(struct cli *cli, const struct runbook *runbook);
