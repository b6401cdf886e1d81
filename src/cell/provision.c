/* The runbooks that make, take over, and change a cell. Nothing of them is undone: what was made stays, and the next run
 * goes on from there. */
#include "cell/cell_steps.h"
#include "cell/runbooks.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { HOURS = 3600 * 1000 };

#define REACH                                                                                                \
    {                                                                                                        \
        "reach", "Reach the hosts by SSH", &goal_hosts_answer, .within_ms = SEC(30), .tries = 1              \
    }
#define PROGRAMS                                                                                             \
    {                                                                                                        \
        "programs", "Look for the programs that are needed", &goal_programs, .within_ms = SEC(60),           \
                                                                             .tries = 1                      \
    }
#define SPACE                                                                                                \
    {                                                                                                        \
        "space", "Look for room on the disks", &goal_space, .within_ms = SEC(60), .tries = 1                 \
    }
#define TIME                                                                                                 \
    {                                                                                                        \
        "clocks", "Compare the clocks", &goal_time, .within_ms = SEC(60), .tries = 1                         \
    }
#define PORTS                                                                                                \
    {                                                                                                        \
        "ports", "Look who has the ports", &goal_ports, .within_ms = SEC(60), .tries = 1                     \
    }
#define DECLARED                                                                                             \
    {                                                                                                        \
        "declared", "Compare the nodes with the region's file", &goal_declared, .within_ms = SEC(60),        \
                                                                                .tries = 1                   \
    }
#define RUNNING                                                                                              \
    {                                                                                                        \
        "running", "Look at the clusters that are there", &goal_running, .within_ms = SEC(60), .tries = 1    \
    }
#define AUTHORITY                                                                                            \
    {                                                                                                        \
        "authority", "Make the authority", &goal_authority, act_authority, .within_ms = SEC(30), .tries = 2  \
    }
#define SERVERS                                                                                              \
    {                                                                                                        \
        "server-certificates", "Certify the servers", &goal_servers, act_servers, .within_ms = SEC(120),     \
                                                                                  .tries = 2                 \
    }
#define REPLICATION                                                                                          \
    {                                                                                                        \
        "replication-certificates", "Certify replication", &goal_replication, act_replication,               \
            .within_ms = SEC(120), .tries = 2                                                                \
    }
#define CLIENTS                                                                                              \
    {                                                                                                        \
        "client-certificates", "Certify the clients", &goal_clients, act_clients, .within_ms = SEC(60),      \
                                                                                  .tries = 2                 \
    }
#define INITDB                                                                                               \
    {                                                                                                        \
        "initdb", "Make the primary's cluster", &goal_primary_made, act_primary_made, .within_ms = SEC(600), \
                                                                                      .tries = 2             \
    }
#define CONFIGURE_PRIMARY                                                                                    \
    {                                                                                                        \
        "configure-primary", "Configure the primary", &goal_primary_configured, act_primary_configured,      \
            .within_ms = SEC(60), .tries = 2                                                                 \
    }
#define START_PRIMARY                                                                                        \
    {                                                                                                        \
        "start-primary", "Let the primary run", &goal_primary_runs, act_primary_runs, .within_ms = SEC(300), \
                                                                                      .tries = 3             \
    }
#define ROLES                                                                                                \
    {                                                                                                        \
        "roles", "Make the roles and the database", &goal_roles, act_roles, .within_ms = SEC(90), .tries = 2 \
    }
#define SCHEMA                                                                                               \
    {                                                                                                        \
        "schema", "Bring the schema up to date, and stamp the cell", &goal_schema, act_schema,               \
            .within_ms = SEC(600), .tries = 2                                                                \
    }
#define SLOTS                                                                                                \
    {                                                                                                        \
        "slots", "Make a slot for each standby", &goal_slots, act_slots, .within_ms = SEC(60), .tries = 2    \
    }
#define BASE_BACKUP                                                                                          \
    {                                                                                                        \
        "base-backup", "Copy the primary to each standby", &goal_copied, act_copied,                         \
            .within_ms = 12 * HOURS, .tries = 2                                                              \
    }
#define CONFIGURE_STANDBYS                                                                                   \
    {                                                                                                        \
        "configure-standbys", "Configure the standbys", &goal_standbys_configured, act_standbys_configured,  \
            .within_ms = SEC(60), .tries = 2                                                                 \
    }
#define START_STANDBYS                                                                                       \
    {                                                                                                        \
        "start-standbys", "Let the standbys run", &goal_standbys_run, act_standbys_run,                      \
            .within_ms = SEC(300), .tries = 3                                                                \
    }
#define SYNCHRONOUS                                                                                          \
    {                                                                                                        \
        "synchronous", "Let the primary wait for a standby", &goal_waits, act_waits, .within_ms = SEC(60),   \
                                                                                     .tries = 10             \
    }
#define VERIFY                                                                                               \
    {                                                                                                        \
        "verify", "Verify the copies and the doors", &goal_verified, .within_ms = SEC(60), .tries = 3        \
    }

/* ---- provision ---- */
static const struct runbook_step provision_steps[] = {
    REACH,          PROGRAMS,    SPACE,       TIME,    PORTS,       DECLARED,
    AUTHORITY,      SERVERS,     REPLICATION, CLIENTS, INITDB,      CONFIGURE_PRIMARY,
    START_PRIMARY,  ROLES,       SCHEMA,      SLOTS,   BASE_BACKUP, CONFIGURE_STANDBYS,
    START_STANDBYS, SYNCHRONOUS, VERIFY,
};
const struct runbook provision_runbook = { "provision", "Make a cell on bare hosts", provision_steps,
                                           COUNT(provision_steps) };

/* ---- adopt ---- */
static const struct runbook_step adopt_steps[] = {
    REACH,          PROGRAMS,    TIME,        RUNNING, DECLARED,
    AUTHORITY,      SERVERS,     REPLICATION, CLIENTS, CONFIGURE_PRIMARY,
    START_PRIMARY,  ROLES,       SCHEMA,      SLOTS,   CONFIGURE_STANDBYS,
    START_STANDBYS, SYNCHRONOUS, VERIFY,
};
const struct runbook adopt_runbook = { "adopt", "Take over a cell that was made otherwise", adopt_steps,
                                       COUNT(adopt_steps) };

/* ---- add-standby ---- */
static const struct runbook_step add_standby_steps[] = {
    REACH,
    PROGRAMS,
    SPACE,
    TIME,
    PORTS,
    DECLARED,
    SERVERS,
    REPLICATION,
    CONFIGURE_PRIMARY,
    START_PRIMARY,
    SLOTS,
    BASE_BACKUP,
    CONFIGURE_STANDBYS,
    START_STANDBYS,
    SYNCHRONOUS,
    VERIFY,
};
const struct runbook add_standby_runbook = { "add-standby", "Give a cell a further standby",
                                             add_standby_steps, COUNT(add_standby_steps) };

/* ---- remove-standby ---- the primary does without it before it goes: no write waits for what has stopped */
static const struct runbook_step remove_standby_steps[] = {
    REACH,
    { "leave", "Let the primary do without the standby", &goal_out, act_out, .within_ms = SEC(60),
      .tries = 3 },
    { "stop", "Stop the standby", &goal_stopped, act_stopped, .within_ms = SEC(150), .tries = 2 },
    { "drop-slot", "Drop its slot", &goal_slot_gone, act_slot_gone, .within_ms = SEC(60), .tries = 5 },
};
const struct runbook remove_standby_runbook = { "remove-standby", "Take a standby out of a cell",
                                                remove_standby_steps, COUNT(remove_standby_steps) };
