#pragma once
/* A call of a statement in a cell, by the gateway: of a shelf, with who does it. It waits. */
#include "records/store.h"

/* Calls a statement of the shelf's cell; what is written to one key goes one way, in order. */
result record_call(const struct record_shelf *shelf, enum statement statement, struct str key,
                   const struct pg_value *params, size_t count, struct pg_reply *reply) MUST_USE;

/* The four parameters that say whose a statement is, and the four of its audit row. */
enum { SHELF_PARAMS = 4, ACTOR_PARAMS = 4 };
void record_shelf_params(const struct record_shelf *shelf, struct pg_value params[SHELF_PARAMS]);
void record_actor_params(const struct record_shelf *shelf, struct pg_value params[ACTOR_PARAMS]);
