#pragma once
/* Measures how soon a node answers a question that it must answer from its records: domicile.location_answer, over TLS, as
 * a role that may call it. The other nodes of the cell are asked the same afterwards; only what two nodes agree on is
 * verified. It changes nothing on any node. */
#include "config/config.h"
#include "location/location_sample.h"
#include "loop/fiber.h"
#include "pg/role.h"

struct location_asker {
    const struct cell *cell;
    enum pg_role role;             /* PG_MONITOR or PG_SUPERUSER */
    const struct vantage *vantage; /* where this is */
};

/* Waits. Connects to the node, and to one other node of the cell if one can be had. `count` questions, 1 to
 * LOCATION_COUNT_MAX, each with a nonce of its own; the sample has the smallest round trip and the median.
 * E_UNAVAILABLE, E_TLS: the node does not answer; E_SCHEMA: its schema is too old, or the role may not ask; E_NOT_FOUND:
 * there is nothing in the cell yet that an answer could be made of; E_FINDING: another node of the cell has other answers.
 * Strings of the sample are in the arena. */
result location_measure(const struct location_asker *asker, const struct node *node, uint32_t count,
                        struct arena *arena, struct location_sample *ret) MUST_USE;
