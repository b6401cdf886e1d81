#include "seal/rootkey_declared.h"

#include <stdlib.h>

result rootkey_load_declared(const struct region *region, struct root_key *ret)
{
    if (region->root_key.file != NULL)
        return rootkey_load_file(region->root_key.file, ret);
    size_t count = region->root_key.command.count;
    char **argv = calloc(count + 1, sizeof *argv);
    must(argv != NULL);
    for (size_t i = 0; i < count; i++)
        argv[i] = (char *)(uintptr_t)region->root_key.command.items[i].text.ptr;
    result r = rootkey_load_command(argv, region->root_key.command_within_ms, ret);
    free(argv);
    return r;
}
