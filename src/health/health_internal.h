#pragma once
/* Shared by health_ask.c, which keeps the connections, and health_sql.c, which asks one node over one of them. */
#include "health/health_ask.h"

struct health_visit {
    struct pg_conn *conn;
    const struct cell *cell;
    const struct health_writer *writer; /* NULL: do not write to this node */
    uint64_t confirm_within_ms;
    struct cell_health *health; /* this fiber writes its own node in it, and the walsenders of the others */
    size_t index;
    struct health_walsender *walsenders; /* one a node: the caller joins them when all have answered */
    enum health_beat_outcome beat;
};

/* Waits. Asks a node all questions of its role. What PostgreSQL refuses is noted in the node and stays unknown. Other errors
 * end the visit, and the connection cannot be used any more. */
result health_visit(struct health_visit *visit) MUST_USE;
