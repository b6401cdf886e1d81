#pragma once
/* Within cell/: what the steps share. */
#include "cell/steps.h"

/* One node's part of a question or an act. */
typedef result node_ask(const struct provisioning *p, struct runbook_call *call, const struct node *node,
                        enum answer *ret);
typedef result node_act(const struct provisioning *p, struct runbook_call *call, const struct node *node);

enum nodes_meant { MEANT_ALL, MEANT_PRIMARY, MEANT_STANDBYS };
/* Asks each; the first whose answer is not YES is the answer, else the evidence of all. `context`: a struct provisioning. */
result ask_nodes(void *context, struct runbook_call *call, enum nodes_meant meant, node_ask *ask,
                 enum answer *ret) MUST_USE;
/* Lets each act whose answer is not YES. */
result act_on_nodes(void *context, struct runbook_call *call, enum nodes_meant meant, node_ask *ask,
                    node_act *act) MUST_USE;

/* ---- psql on the host's own socket, as postgres ---- the statements are constants of ours; what varies is in psql's
 * variables (NAME=VALUE, NULL ends them), which quote it: :'name' and :"name". */
struct host_sql {
    const char *database; /* NULL: postgres */
    const char *text;
    const char *variables[8];
};
/* Rows, columns apart by "|". E_HOST: psql failed; its last words. */
result host_sql_look(const struct provisioning *p, const struct runbook_call *call, const struct node *node,
                     const struct host_sql *sql, struct str *ret) MUST_USE;
result host_sql_run(const struct provisioning *p, const struct runbook_call *call, const struct node *node,
                    const struct host_sql *sql) MUST_USE;
const char *host_socket(struct arena *arena, const struct node *node); /* its directory */

/* pg_controldata. ret[0] is NUL if there is no cluster. */
struct control {
    char system[24]; /* identifier */
    bool checksums;
};
result host_control(const struct provisioning *p, const struct runbook_call *call, const struct node *node,
                    const char *path, struct control *ret) MUST_USE;
/* Whether a postmaster has it: by its pid file. */
result host_is_running(const struct provisioning *p, const struct runbook_call *call, const struct node *node,
                       const char *path, bool *ret) MUST_USE;

/* ---- configuration, for those that bring a data directory with it ---- */
result configuration_text(const struct provisioning *p, const struct runbook_call *call,
                          const struct node *node, bool waits, struct str *ret) MUST_USE;
/* Writes all files of it into `folder`. */
result configuration_put(const struct provisioning *p, const struct runbook_call *call,
                         const struct node *node, const char *folder, bool waits) MUST_USE;
/* Lets a running server read it, and waits until it has. */
result configuration_load(const struct provisioning *p, const struct runbook_call *call,
                          const struct node *node) MUST_USE;

static inline bool node_is_primary(const struct provisioning *p, const struct node *node)
{
    return node == p->cell->primary;
}
