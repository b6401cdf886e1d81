/* Adopts a cell that domicile has not created: it already runs, and is not copied. Nothing is undone. */
#include "cell/runbooks.h"
#include "cell/steps.h"

static const struct runbook_step *const steps[] = {
    &step_reach,                    /* 1 */
    &step_programs,                 /* 2 */
    &step_clocks,                   /* 3 */
    &step_running,                  /* 4 */
    &step_declared,                 /* 5 */
    &step_ca,                       /* 6 */
    &step_server_certificates,      /* 7 */
    &step_replication_certificates, /* 8 */
    &step_client_certificates,      /* 9 */
    &step_configure_primary,        /* 10 */
    &step_start_primary,            /* 11: or restart, if a setting needs it */
    &step_roles,                    /* 12 */
    &step_schema,                   /* 13 */
    &step_slots,                    /* 14 */
    &step_configure_standbys,       /* 15 */
    &step_start_standbys,           /* 16 */
    &step_synchronous,              /* 17 */
    &step_verify,                   /* 18 */
};
const struct runbook adopt_runbook = { "adopt", "Adopt a cell that domicile has not created", steps,
                                       COUNT(steps) };
