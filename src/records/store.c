#include "records/store.h"

result record_store_open(struct record_store *store)
{
    revision_clock_init(&store->clock);
    return mac_key_derive(store->root, STR("domicile idempotency v1"), store->region,
                          &store->idempotency_key);
}

void record_store_close(struct record_store *store)
{
    mac_key_free(&store->idempotency_key);
}

struct record_cell *record_store_cell(struct record_store *store, struct str name)
{
    for (size_t i = 0; i < store->cell_count; i++)
        if (str_is(name, store->cells[i].name))
            return &store->cells[i];
    return NULL;
}

result record_outcome_error(const struct record_shelf *shelf, struct str outcome)
{
    if (str_is(outcome, "region"))
        return FAIL(E_REGION_STAMP, "Check that the region file names the right cluster.",
                    "the cell \"%s\" is not stamped with the region \"%.*s\"", shelf->cell->name,
                    STR_ARG(shelf->store->region));
    if (str_is(outcome, "epoch"))
        return FAIL(E_EPOCH, "Try again: the directory will soon have the new epoch.",
                    "the cell \"%s\" is not in epoch %lld", shelf->cell->name, (long long)shelf->epoch);
    if (str_is(outcome, "customer"))
        return FAIL(E_CUSTOMER_MOVING, "Try again later.",
                    "the customer \"%.*s\" is not active in the cell \"%s\"", STR_ARG(shelf->customer),
                    shelf->cell->name);
    if (str_is(outcome, "precondition"))
        return FAIL(E_PRECONDITION, "Read the record again before you decide.",
                    "the record does not meet the condition of the request");
    if (str_is(outcome, "idempotency"))
        return FAIL(E_IDEMPOTENCY, "Use a new Idempotency-Key for another request.",
                    "the Idempotency-Key was used for another request");
    if (str_is(outcome, "records"))
        return FAIL(
            E_CONFIG,
            "Unseal the class in the policy, export and delete its records, seal it, and write them again.",
            "the class \"%.*s\" has unsealed records of \"%.*s\", but the policy seals the class",
            STR_ARG(shelf->class), STR_ARG(shelf->customer));
    if (str_is(outcome, "bounds"))
        return FAIL(E_LIMIT, NULL, "the cell \"%s\" refuses an argument that is out of range",
                    shelf->cell->name);
    if (str_is(outcome, "absent"))
        return FAIL(E_RECORD_UNKNOWN, NULL, "there is no record with this key");
    return FAIL(E_SCHEMA, "Run: domicile cell migrate.",
                "the cell \"%s\" answered \"%.*s\", which this program does not know", shelf->cell->name,
                STR_ARG(outcome));
}
