#pragma once
/* A cell on bare hosts, step by step: what each step asks, and what it does. src/runbook puts them into tables; limits,
 * tries and the journal are the engine's. Every function here waits.
 *
 * A question only looks and fails if it cannot tell. What is done may have been done before, in whole or in part, and
 * needs nothing in memory from a step before it. Where several nodes are meant, all are looked at and the first that does
 * not fit is the answer. */
#include "hosts/conf.h"
#include "hosts/hosts.h"

enum { CELL_NODES_MAX = 16, CELL_SEEN_MAX = 1024 };

struct provisioning {
    const struct cell *cell;
    struct cell_hosts *hosts;
    /* who is meant: the primary and the standbys that are dealt with. Not necessarily all of the cell. */
    const struct node *standbys[CELL_NODES_MAX];
    size_t standby_count;
    const struct node *leaving; /* it is being taken out; NULL: nobody is */
    bool adopting;              /* clusters that were there before */
};
/* All nodes of the cell. E_CONFIG: the region's file lacks something that is needed. */
result provisioning_init(struct provisioning *p, const struct cell *cell, struct cell_hosts *hosts) MUST_USE;

/* What was seen. */
struct cell_seen {
    bool holds;
    char text[CELL_SEEN_MAX]; /* evidence: what holds, or what does not */
};
void cell_saw(struct cell_seen *seen, bool holds, const char *format, ...) PRINTF(3, 4);

typedef result cell_look(const struct provisioning *p, const struct cell_call *call, struct cell_seen *ret);
typedef result cell_act(const struct provisioning *p, const struct cell_call *call);

/* ---- fit.c ---- checks: nothing to do about them from here */
cell_look hosts_answer, hosts_have_programs, hosts_have_space, hosts_agree_on_time, hosts_ports_are_ours,
    hosts_are_as_declared, hosts_run;

/* ---- issue.c ---- */
cell_look authority_is_there, servers_are_certified, replication_is_certified, clients_are_certified;
cell_act make_authority, certify_servers, certify_replication, certify_clients;

/* ---- cluster.c ---- */
cell_look primary_is_made, standbys_are_copied;
cell_act make_primary, copy_to_standbys;

/* ---- configure.c ---- */
cell_look primary_is_configured, standbys_are_configured, primary_runs, standbys_run;
cell_act configure_primary, configure_standbys, start_primary, start_standbys;

/* ---- roles.c ---- */
cell_look roles_are_there, schema_is_there, slots_are_there;
cell_act make_roles, migrate_schema, make_slots;

/* ---- replicate.c ---- */
cell_look primary_waits, cell_is_verified;
cell_act let_primary_wait;
/* of `leaving` */
cell_look standby_is_out, standby_is_stopped, slot_is_gone;
cell_act take_standby_out, stop_standby, drop_slot;
