/* Creates a cell on bare hosts. Nothing is undone: the next run continues from what exists. */
#include "cell/runbooks.h"
#include "cell/steps.h"

static const struct runbook_step *const steps[] = {
    &step_reach,                    /* 1 */
    &step_programs,                 /* 2 */
    &step_space,                    /* 3 */
    &step_clocks,                   /* 4 */
    &step_ports,                    /* 5 */
    &step_declared,                 /* 6 */
    &step_ca,                       /* 7 */
    &step_server_certificates,      /* 8: before the server starts: its configuration names them */
    &step_replication_certificates, /* 9 */
    &step_client_certificates,      /* 10 */
    &step_initdb,                   /* 11 */
    &step_configure_primary,        /* 12 */
    &step_start_primary,            /* 13 */
    &step_roles,                    /* 14: over the socket */
    &step_schema,                   /* 15: over TLS, as the first client */
    &step_slots,                    /* 16: before the base backups, so that their WAL is kept */
    &step_base_backup,              /* 17 */
    &step_configure_standbys,       /* 18 */
    &step_start_standbys,           /* 19 */
    &step_synchronous,              /* 20: after a standby streams: no write waits for an incomplete copy */
    &step_verify,                   /* 21 */
};
const struct runbook provision_runbook = { "provision", "Create a cell on bare hosts", steps, COUNT(steps) };
