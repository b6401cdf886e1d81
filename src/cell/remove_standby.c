/* Removes a standby. Nothing is undone, and its data directory stays. */
#include "cell/runbooks.h"
#include "cell/steps.h"

static const struct runbook_step *const steps[] = {
    &step_reach,     /* 1 */
    &step_leave,     /* 2: first, so that no write waits for a stopped standby */
    &step_stop,      /* 3 */
    &step_drop_slot, /* 4 */
};
const struct runbook remove_standby_runbook = { "remove-standby", "Remove a standby from a cell", steps,
                                                COUNT(steps) };
