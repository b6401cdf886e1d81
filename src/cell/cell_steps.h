#pragma once
/* The goals and acts of what src/cell does to a cell, for the tables that are made of them. Their context is a struct
 * provisioning (cell/steps.h). */
#include "runbook/runbook.h"

#define GOAL(symbol, look, question) extern const struct runbook_goal symbol;
#define ACT(symbol, act) runbook_act symbol;
#include "cell/cell_steps.def"
#undef GOAL
#undef ACT

/* The operator's own steps, for a runbook with that context. */
extern const struct runbook_own runbook_own_on_hosts;
