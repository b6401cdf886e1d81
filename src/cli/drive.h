#pragma once
/* What people see of a run, and what their signals do: the words of runbook/driver.h. */
#include "cli/cli.h"
#include "runbook/driver.h"

struct cli_drive {
    const struct runbook *runbook;
    void *context;               /* of the step functions */
    const char *subject;         /* "eu-fr/eu-fr-1" */
    struct directory *directory; /* a plan needs none, and no lease */
    const char *lease;           /* its name */
};

/* On a fiber: driver_run. A line a step on standard output, or with --json each notice as a line; where somebody
 * watches, the step at hand with the time that it has taken and may take. SIGINT and SIGTERM cancel the run, a second
 * one stops it where it is. With --cancel the run that is not over is resumed only to walk back. */
result cli_drive(struct cli *cli, const struct cli_drive *drive) MUST_USE;

/* On a fiber. --plan: asks all goals and changes nothing. */
result cli_plan(struct cli *cli, const struct cli_drive *drive) MUST_USE;

/* The table, as `domicile runbook show` prints it. */
void cli_show_runbook(struct cli *cli, const struct runbook *runbook);
