/* Adds a standby; changes the primary and that node only. Nothing is undone. */
#include "cell/runbooks.h"
#include "cell/steps.h"

static const struct runbook_step *const steps[] = {
    &step_reach,                    /* 1 */
    &step_programs,                 /* 2 */
    &step_space,                    /* 3 */
    &step_clocks,                   /* 4 */
    &step_ports,                    /* 5 */
    &step_declared,                 /* 6 */
    &step_server_certificates,      /* 7 */
    &step_replication_certificates, /* 8 */
    &step_configure_primary,        /* 9: its HBA rules allow the standby */
    &step_start_primary,            /* 10 */
    &step_slots,                    /* 11 */
    &step_base_backup,              /* 12 */
    &step_configure_standbys,       /* 13 */
    &step_start_standbys,           /* 14 */
    &step_synchronous,              /* 15 */
    &step_verify,                   /* 16 */
};
const struct runbook add_standby_runbook = { "add-standby", "Add a standby to a cell", steps, COUNT(steps) };
