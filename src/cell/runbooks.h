#pragma once
/* The runbooks that change a cell, one a file. Their context is a struct provisioning (cell/steps.h). */
#include "config/config.h"
#include "runbook/runbook.h"

#define X(symbol) extern const struct runbook symbol;
#include "cell/runbooks.def"
#undef X

extern const struct runbook *const cell_runbooks[]; /* all of them; ends with NULL */

/* The name of the lease of the directory under which a run changes this cell. E_CONFIG: the cell's name is too long. */
result cell_run_lease(const struct cell *cell, struct arena *arena, const char **ret) MUST_USE;
