#include "records/call.h"

/* What functions that return rows raise, where others answer with an outcome. */
static result raised_error(const struct record_shelf *shelf, const char *sqlstate, result raised)
{
    static const struct {
        char sqlstate[6];
        struct str outcome;
    } known[] = { { "DM001", { "region", 6 } },
                  { "DM002", { "epoch", 5 } },
                  { "DM003", { "customer", 8 } },
                  { "DM004", { "bounds", 6 } } };
    for (size_t i = 0; i < COUNT(known); i++)
        if (strcmp(sqlstate, known[i].sqlstate) == 0)
            return record_outcome_error(shelf, known[i].outcome);
    return raised;
}

result record_call(const struct record_shelf *shelf, enum statement statement, struct str key,
                   const struct pg_value *params, size_t count, struct pg_reply *reply)
{
    uint64_t shard = str_hash(str_hash(STR_HASH_INIT, shelf->customer), key);
    result r = pg_pool_call(shelf->cell->pool, statement, shard ^ shard >> 32, params, count, reply);
    return r.error.code == E_SQL ? raised_error(shelf, reply->sqlstate, r) : r;
}

void record_shelf_params(const struct record_shelf *shelf, struct pg_value params[SHELF_PARAMS])
{
    params[0] = pg_text(shelf->store->region);
    params[1] = pg_int8(shelf->epoch);
    params[2] = pg_text(shelf->customer);
    params[3] = pg_text(shelf->class);
}

void record_actor_params(const struct record_shelf *shelf, struct pg_value params[ACTOR_PARAMS])
{
    params[0] = pg_text(shelf->actor.client);
    params[1] = pg_text(shelf->actor.role);
    params[2] = pg_text(shelf->actor.rule);
    params[3] = pg_text(shelf->actor.request);
}
