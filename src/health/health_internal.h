#pragma once
/* Between health_ask.c, which keeps connections, and health_sql.c, which asks one node over one of them. */
#include "health/health_ask.h"

struct health_visit {
    struct pg_conn *conn;
    const struct cell *cell;
    const struct health_writer *writer; /* NULL: this node is not to be written to */
    uint64_t confirm_within_ms;
    struct cell_health
        *health; /* of which this fiber writes its own node, and the walsenders of the others */
    size_t index;
    struct health_walsender *walsenders; /* one a node: the caller joins them when all have answered */
    enum health_beat_outcome beat;
};

/* Waits. Asks everything that there is to ask of a node in its role. What PostgreSQL refuses is noted in the node and left
 * unknown; other errors end the visit, and the connection is of no more use. */
result health_visit(struct health_visit *visit) MUST_USE;
