#include "cell/runbooks.h"

const struct runbook *const cell_runbooks[] = {
#define X(symbol) &(symbol),
#include "cell/runbooks.def"
#undef X
    NULL
};
