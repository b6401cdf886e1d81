/* Deletes what has expired: keys from memory, old Idempotency-Keys from the cells. */
#include "base/log.h"
#include "gateway/gateway.h"
#include "loop/fiber.h"

enum { SWEEP_MS = 5 * 1000, PURGE_EVERY = 120, PURGE_HOURS = 24, PURGE_ROWS = 1000 };

static void purge(struct gateway *gateway)
{
    for (size_t i = 0; i < gateway->store.cell_count; i++) {
        const struct pg_value params[] = { pg_int4(PURGE_HOURS), pg_int4(PURGE_ROWS) };
        struct pg_reply reply = PG_REPLY_INIT;
        int64_t rows = PURGE_ROWS;
        result r = OK;
        while (!failed(r) && rows == PURGE_ROWS) {
            r = pg_pool_call(gateway->store.cells[i].pool, STATEMENT_IDEMPOTENCY_PURGE, 0, params, 2, &reply);
            rows = failed(r) ? 0 : pg_reply_number(&reply, 0, 0);
            pg_reply_done(&reply);
        }
        if (failed(r) && r.error.code != E_CANCELLED)
            log_failure(LOG_WARNING, &r.error,
                        "cannot delete old idempotency keys of the cell \"%s\"; retrying later",
                        gateway->store.cells[i].name);
    }
}

void gateway_sweep(void *arg)
{
    struct gateway *gateway = arg;
    for (uint64_t round = 1; !failed(fiber_sleep(SWEEP_MS)); round++) {
        keyring_expire(gateway->store.keyring);
        if (round % PURGE_EVERY == 0)
            purge(gateway);
    }
}
