#pragma once
/* Measures the round trip of a question that a node can answer only with its records: domicile.location_answer, over TLS, as
 * a role that may call it. Afterwards another node of the cell is asked the same questions; only answers on which both agree
 * are verified. It changes nothing on any node. */
#include "config/config.h"
#include "location/location_sample.h"
#include "loop/fiber.h"
#include "pg/role.h"

struct location_asker {
    const struct cell *cell;
    enum pg_role role;             /* PG_MONITOR or PG_SUPERUSER */
    const struct vantage *vantage; /* where this is */
};

/* Waits. Connects to the node, and to another node of the cell if one answers. `count` questions, 1 to LOCATION_COUNT_MAX,
 * each with its own nonce; the sample has the smallest round trip and the median. E_UNAVAILABLE, E_TLS: the node does not
 * answer; E_SCHEMA: its schema is too old, or the role may not ask; E_NOT_FOUND: the cell has no audit row yet; E_FINDING:
 * another node of the cell gives different answers. Strings of the sample are in the arena. */
result location_measure(const struct location_asker *asker, const struct node *node, uint32_t count,
                        struct arena *arena, struct location_sample *ret) MUST_USE;
