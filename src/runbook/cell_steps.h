#pragma once
/* The goals and acts of what src/cell does to a cell, for the tables that are made of them. Their context is a struct
 * provisioning (cell/steps.h). */
#include "runbook/runbook.h"

#define GOAL(symbol, look, question) extern const struct runbook_goal symbol;
#define ACT(symbol, act) runbook_act symbol;
#include "runbook/cell_steps.def"
#undef GOAL
#undef ACT

/* What is made of them: provision.c. */
extern const struct runbook provision_runbook, adopt_runbook, add_standby_runbook, remove_standby_runbook;

/* The operator's own steps, for a runbook with that context. */
extern const struct runbook_own runbook_own_on_hosts;
