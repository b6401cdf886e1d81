#pragma once
/* The runbooks on a cell: what is done to one, a file each. Their context is a struct provisioning (cell/steps.h). */
#include "runbook/runbook.h"

#define X(symbol) extern const struct runbook symbol;
#include "cell/runbooks.def"
#undef X

extern const struct runbook *const cell_runbooks[]; /* all of them; ends with NULL */
