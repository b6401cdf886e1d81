#pragma once
/* The nodes that a command names, and the role by which they are asked. */
#include "cli/cli.h"
#include "pg/role.h"

enum { NODES_MAX = 256 };

struct chosen_node {
    const struct cell *cell;
    const struct node *node;
};

struct chosen_nodes {
    struct chosen_node items[NODES_MAX];
    size_t count;
};

/* The node of the first argument, or all nodes. Loads the configuration. E_NOT_FOUND. */
result node_choose(struct cli *cli, struct chosen_nodes *ret) MUST_USE;

/* domicile_monitor if its certificate is declared and can be read here, otherwise postgres; PG_NOBODY: neither. */
enum pg_role node_sql_role(const struct cell *cell);
