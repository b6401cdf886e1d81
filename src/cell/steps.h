#pragma once
/* The steps that change a cell: rows, each written once beside its functions. The runbooks of this folder are lists of steps
 * (runbooks.def). Their context is a struct provisioning; all of them wait.
 *
 * A question about several nodes asks all; the answer is the first one that is not YES. */
#include "hosts/conf.h"
#include "hosts/hosts.h"

enum { CELL_NODES_MAX = 16 };

struct provisioning {
    const struct cell *cell;
    struct cell_hosts *hosts;
    /* the nodes that the run changes: the primary and these standbys, perhaps not all of the cell */
    const struct node *standbys[CELL_NODES_MAX];
    size_t standby_count;
    const struct node *leaving; /* the standby that is removed; NULL: none */
    bool adopting;              /* existing clusters */
};
/* All nodes of the cell. E_CONFIG: the region's file lacks a necessary key. */
result provisioning_init(struct provisioning *p, const struct cell *cell, struct cell_hosts *hosts) MUST_USE;

/* ---- fit.c ---- checks without an act */
extern const struct runbook_step step_reach, step_programs, step_space, step_clocks, step_ports,
    step_declared, step_running;
/* ---- issue.c ---- */
extern const struct runbook_step step_ca, step_server_certificates, step_replication_certificates,
    step_client_certificates;
/* ---- cluster.c ---- */
extern const struct runbook_step step_initdb, step_base_backup;
/* ---- configure.c ---- */
extern const struct runbook_step step_configure_primary, step_configure_standbys, step_start_primary,
    step_start_standbys;
/* of `leaving` */
extern const struct runbook_step step_stop;
/* ---- roles.c ---- */
extern const struct runbook_step step_roles, step_schema, step_slots, step_drop_slot;
/* ---- replicate.c ---- */
extern const struct runbook_step step_synchronous, step_verify, step_leave;

/* ---- own.c ---- the operator's own steps: the commands of a row run on the node of that row */
extern const struct runbook_own cell_own_steps;
