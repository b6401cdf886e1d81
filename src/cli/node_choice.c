#include "cli/node_choice.h"

#include <unistd.h>

result node_choose(struct cli *cli, struct chosen_nodes *ret)
{
    TRY(cli_load_config(cli));
    ret->count = 0;
    if (cli->argument_count > 0) {
        struct chosen_node *chosen = &ret->items[ret->count++];
        chosen->node = config_find_node(cli->config, str_from(cli->arguments[0]));
        chosen->cell = config_cell_of(cli->config, chosen->node);
        return chosen->node != NULL ? OK
                                    : FAIL(E_NOT_FOUND, "Use a name from nodes in the region's file.",
                                           "there is no node \"%s\"", cli->arguments[0]);
    }
    for (size_t r = 0; r < cli->config->region_count; r++)
        for (size_t c = 0; c < cli->config->regions[r].cell_count; c++) {
            const struct cell *cell = &cli->config->regions[r].cells[c];
            for (size_t i = 0; i < cell->node_count; i++) {
                if (ret->count == NODES_MAX)
                    return FAIL(E_LIMIT, "Give the name of one node.", "there are more than %d nodes",
                                NODES_MAX);
                ret->items[ret->count++] = (struct chosen_node){ cell, &cell->nodes[i] };
            }
        }
    return OK;
}

static bool is_there(const struct tls_files *files)
{
    return files->certificate != NULL && access(files->certificate, R_OK) == 0 &&
           access(files->private_key, R_OK) == 0;
}

enum pg_role node_sql_role(const struct cell *cell)
{
    static const enum pg_role roles[] = { PG_MONITOR, PG_SUPERUSER };
    for (size_t i = 0; i < COUNT(roles); i++)
        if (is_there(pg_role_files(cell, roles[i])))
            return roles[i];
    return PG_NOBODY;
}
