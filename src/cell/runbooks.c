#include "cell/runbooks.h"

#include "directory/directory.h"

const struct runbook *const cell_runbooks[] = {
#define X(symbol) &(symbol),
#include "cell/runbooks.def"
#undef X
    NULL
};

result cell_run_lease(const struct cell *cell, struct arena *arena, const char **ret)
{
    const char *name = arena_printf(arena, "run-%s", cell->name.ptr);
    if (strlen(name) > DIRECTORY_NAME_MAX)
        return FAIL(E_CONFIG, "Choose a shorter name for the cell.",
                    "the name of the cell \"%s\" is too long for a lease", cell->name.ptr);
    *ret = name;
    return OK;
}
