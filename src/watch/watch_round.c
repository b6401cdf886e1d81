/* A round over all nodes of a cell, over its own connections. */
#include "watch/watch_internal.h"

#include "loop/fiber.h"
#include "pg/role.h"

enum { STATEMENT_WITHIN_MS = 20000, NODE_WITHIN_MS = 60000 };

static result connect_to(const struct cell *cell, const struct node *node, struct pg_conn **ret)
{
    bool monitored = cell->monitor.files.certificate != NULL;
    struct pg_connect_options options =
        pg_role_options(monitored ? PG_MONITOR : PG_ADMIN, cell, node, "domicile watch");
    options.statement_within_ms = STATEMENT_WITHIN_MS;
    return pg_connect(&options, ret);
}

/* A cell that cannot store findings (yet) is asked all the same. */
static result recall_once(struct cell_watch *watch, struct pg_conn *conn)
{
    if (watch->recalled)
        return OK;
    result r = watch_recall(watch, conn);
    if (failed(r) && r.error.code != E_SQL)
        return r;
    watch->recalled = true;
    return OK;
}

/* After the questions, whose sweep would end this finding. A standby may be days behind. */
static result recall_ended_once(struct cell_watch *watch, const struct watch_node *node, struct pg_conn *conn)
{
    if (watch->since_ms == 0 || watch->recalled_ended || !node->writable)
        return OK;
    result r = watch_recall_ended(watch, conn);
    if (failed(r) && r.error.code != E_SQL)
        return r;
    watch->recalled_ended = true;
    if (failed(r))
        watch_blind(watch, node->node->name.ptr, WATCH_ENDED_UNKNOWN, r.error.what);
    return OK;
}

/* The node has answered, even if the cell cannot store the findings. Without the lease nothing is stored: its holder does it. */
static result record(struct cell_watch *watch, struct watch_node *node, struct pg_conn *conn)
{
    result r = watch_record(watch, conn);
    node->recording_refused = failed(r) && (r.error.code == E_SQL || r.error.code == E_REGION_STAMP);
    if (node->recording_refused)
        watch_blind(watch, node->node->name.ptr, WATCH_RECORDING_REFUSED, r.error.what);
    return node->recording_refused || r.error.code == E_STALE ? OK : r;
}

/* With two nodes that accept writes, what is recorded in the wrong one is lost with it: the declared primary has it, and
 * another node only while that does not accept writes. */
bool watch_records_at(const struct cell_watch *watch, const struct watch_node *node)
{
    const struct node *primary = watch->known.cell->primary;
    for (size_t i = 0; i < watch->node_count; i++)
        if (watch->nodes[i].node == primary && watch->nodes[i].answered && watch->nodes[i].writable)
            return node->node == primary;
    return node->writable;
}

static result ask_node(struct cell_watch *watch, struct watch_node *node, enum watch_mode mode)
{
    struct pg_conn *conn = NULL;
    TRY(connect_to(watch->known.cell, node->node, &conn));
    result r = recall_once(watch, conn);
    if (!failed(r))
        r = watch_run(watch, node->node, conn);
    if (!failed(r))
        r = recall_ended_once(watch, node, conn);
    if (!failed(r) && mode == WATCH_ACT)
        r = watch_sever(watch, node->node, conn);
    if (!failed(r) && mode == WATCH_ACT && watch_records_at(watch, node))
        r = record(watch, node, conn);
    if (!node->writable)
        node->recording_refused = false; /* it is not asked any more */
    pg_close(conn);
    return r;
}

result watch_round(struct cell_watch *watch, enum watch_mode mode)
{
    TRY(watch_known_refresh(&watch->known)); /* before any node answers: the logs are judged by it */
    for (size_t i = 0; i < watch->node_count; i++) {
        struct watch_node *node = &watch->nodes[i];
        struct deadline deadline;
        deadline_begin(&deadline, NODE_WITHIN_MS);
        result r = ask_node(watch, node, mode);
        deadline_end(&deadline);
        TRY(fiber_check());
        if (failed(r))
            watch_miss(watch, node->node, &r.error);
    }
    watch_round_end(watch);
    if (watch->since_ms != 0 && !watch->recalled_ended)
        watch_blind(watch, watch->known.cell->primary->name.ptr, WATCH_ENDED_UNKNOWN,
                    "no node that accepts writes has answered");
    return OK;
}
