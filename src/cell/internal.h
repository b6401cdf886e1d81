#pragma once
/* Shared by the steps of cell/. */
#include "cell/steps.h"

/* The part of a question or an act for one node. */
typedef result node_ask(const struct provisioning *p, struct runbook_call *call, const struct node *node,
                        enum answer *ret);
typedef result node_act(const struct provisioning *p, struct runbook_call *call, const struct node *node);

enum nodes_meant { MEANT_ALL, MEANT_PRIMARY, MEANT_STANDBYS };
/* Asks each node. The answer is the first one that is not YES, otherwise YES with the evidence of all. `context`: a struct
 * provisioning. */
result ask_nodes(void *context, struct runbook_call *call, enum nodes_meant meant, node_ask *ask,
                 enum answer *ret) MUST_USE;
/* Acts on each node whose answer is not YES. */
result act_on_nodes(void *context, struct runbook_call *call, enum nodes_meant meant, node_ask *ask,
                    node_act *act) MUST_USE;

/* All standbys of the cell except one that is removed; and the synchronous ones of them: none in an asynchronous cell. */
size_t standbys_that_stay(const struct provisioning *p, const struct node *standbys[CELL_NODES_MAX]);
size_t standbys_awaited(const struct provisioning *p, const struct node *standbys[CELL_NODES_MAX]);

/* ---- psql on the host's own socket, as postgres ---- the statements are constants; values are in psql's variables
 * (NAME=VALUE, they end with NULL), which quote them: :'name' and :"name". */
enum { SQL_VARIABLES_MAX = 8 };
struct host_sql {
    const char *database; /* NULL: postgres */
    const char *text;
    const char *variables[SQL_VARIABLES_MAX + 1];
};
const char *const *host_sql_argv(struct arena *arena, const struct node *node, const struct host_sql *sql,
                                 const char *socket);
/* Rows, with "|" between columns. E_HOST: psql failed; the error has its last line. */
result host_sql_look(const struct provisioning *p, const struct runbook_call *call, const struct node *node,
                     const struct host_sql *sql, struct str *ret) MUST_USE;
/* The same, as a fact of a host_ask. */
result host_sql_fact(const struct provisioning *p, const struct runbook_call *call, const struct node *node,
                     const struct host_sql *sql, struct host_fact *ret) MUST_USE;
result host_sql_row(const struct node *node, const struct host_fact *fact, struct str *ret) MUST_USE;
result host_sql_run(const struct provisioning *p, const struct runbook_call *call, const struct node *node,
                    const struct host_sql *sql) MUST_USE;
const char *host_socket(struct arena *arena, const struct node *node); /* its directory */

/* ---- a data directory ---- as a separate question, and as facts of a host_ask */
/* pg_controldata. ret->system is "" if there is no cluster. */
struct control {
    char system[24]; /* identifier */
    bool checksums;
};
enum { CONTROL_FACTS = 2 };
void control_facts(struct arena *arena, const struct node *node, const char *path,
                   struct host_fact facts[CONTROL_FACTS]);
result control_read(const struct node *node, const struct host_fact facts[CONTROL_FACTS], struct control *ret)
    MUST_USE;
result host_control(const struct provisioning *p, const struct runbook_call *call, const struct node *node,
                    struct control *ret) MUST_USE;
/* Whether a postmaster runs on it, by its pid file. */
struct host_fact running_fact(struct arena *arena, const struct node *node, const char *path);
result running_read(const struct node *node, const struct host_fact *fact, bool *ret) MUST_USE;
result host_is_running(const struct provisioning *p, const struct runbook_call *call, const struct node *node,
                       bool *ret) MUST_USE;

/* ---- configuration ---- and its synchronous standbys */
enum waits { WAITS_FOR_NOBODY, WAITS_FOR_STANDBYS, WAITS_AS_IT_DOES };
/* Writes the files into `folder` that differ. */
result configuration_put(const struct provisioning *p, const struct runbook_call *call,
                         const struct node *node, const char *folder, enum waits waits) MUST_USE;
/* Reloads a running server, and waits until it has the new configuration. */
result configuration_load(const struct provisioning *p, const struct runbook_call *call,
                          const struct node *node) MUST_USE;
/* domicile.conf as a fact of a host_ask about the primary, and whether it has the right synchronous standbys. */
enum { WAITING_FACTS = 2 };
void waiting_facts(struct arena *arena, const struct node *primary, struct host_fact facts[WAITING_FACTS]);
bool waiting_is_written(const struct provisioning *p, const struct runbook_call *call,
                        const struct host_fact facts[WAITING_FACTS]);

static inline bool node_is_primary(const struct provisioning *p, const struct node *node)
{
    return node == p->cell->primary;
}
