/* Looks up parts of a snapshot by name. */
#include "config/config.h"

#define FIND(list, number, wanted)                                                                           \
    do {                                                                                                     \
        for (size_t i = 0; i < (number); i++)                                                                \
            if (str_eq((list)[i].name, (wanted)))                                                            \
                return &(list)[i];                                                                           \
        return NULL;                                                                                         \
    } while (0)

const struct region *config_find_region(const struct config *config, struct str name)
{
    FIND(config->regions, config->region_count, name);
}

const struct data_class *config_find_class(const struct config *config, struct str name)
{
    FIND(config->classes, config->class_count, name);
}

const struct cell *config_find_cell(const struct region *region, struct str name)
{
    FIND(region->cells, region->cell_count, name);
}

const struct node *config_find_node(const struct config *config, struct str name)
{
    for (size_t r = 0; r < config->region_count; r++)
        for (size_t c = 0; c < config->regions[r].cell_count; c++)
            for (size_t i = 0; i < config->regions[r].cells[c].node_count; i++)
                if (str_eq(config->regions[r].cells[c].nodes[i].name, name))
                    return &config->regions[r].cells[c].nodes[i];
    return NULL;
}

const struct bloc *config_find_bloc(const struct config *config, struct str name)
{
    FIND(config->blocs, config->bloc_count, name);
}

const struct vantage *config_find_vantage(const struct config *config, struct str name)
{
    FIND(config->vantages, config->vantage_count, name);
}

const struct cell *config_cell_of(const struct config *config, const struct node *node)
{
    for (size_t r = 0; r < config->region_count; r++)
        for (size_t c = 0; c < config->regions[r].cell_count; c++) {
            const struct cell *cell = &config->regions[r].cells[c];
            if (node >= cell->nodes && node < cell->nodes + cell->node_count)
                return cell;
        }
    return NULL;
}

const struct country *config_find_country(const struct config *config, struct str code)
{
    for (size_t i = 0; i < config->country_count; i++)
        if (str_is(code, config->countries[i].code))
            return &config->countries[i];
    return NULL;
}
