#pragma once
/* What the record path of a gateway stands on: the cells of its region, the keys that it holds, and the clock of
 * revisions. */
#include "base/arena.h"
#include "pg/pool.h"
#include "records/revision.h"
#include "records/statement.h"
#include "seal/keyring.h"
#include "seal/mac.h"

/* One PostgreSQL cluster of the region. */
struct record_cell {
    const char *name, *region;
    int64_t epoch;        /* as it said when it was last connected; 0: not yet */
    struct pg_pool *pool; /* of the statements of statement.h */
};

struct record_shelf;
struct record_store {
    struct str region;
    struct record_cell *cells;
    size_t cell_count;
    struct revision_clock clock;
    struct keyring *keyring;
    const struct root_key *root;
    struct mac_key idempotency_key; /* of what an Idempotency-Key stands for */
    /* Told of a record or a class key that does not open, and who asked for it: an alarm. key is empty for a class key. */
    void (*alarm)(void *context, const struct record_shelf *shelf, struct str key);
    void *alarm_context;
};

/* Starts the clock and derives the store's secret from the root key, which are set; ring and cells are whose they are.
 * E_RESOURCE. */
result record_store_open(struct record_store *store) MUST_USE;
void record_store_close(struct record_store *store); /* wipes the secret; takes one that is not open */

struct record_cell *record_store_cell(struct record_store *store,
                                      struct str name); /* NULL: none of that name */

/* Who does it, by which rule, for which request: for the audit row. */
struct record_actor {
    struct str client, role, rule, request;
};

/* Whose records, and of which class: where the directory and the policy say that they are. */
struct record_shelf {
    struct record_store *store;
    struct record_cell *cell;
    int64_t epoch; /* of the cell, as the directory has it */
    struct str customer, class;
    bool sealed, audit_reads;
    struct record_actor actor;
};

/* The errors that a cell's function answers with instead of doing what it was asked: "region", "epoch", "customer"...
 * A word that is not known here fails as well. */
result record_outcome_error(const struct record_shelf *shelf, struct str outcome) MUST_USE;
