/* Clients of tokens that are in use: asked for again and again, in their own cell, so that no other cell matters. */
#include "gateway/clients_confirm.h"

static bool copy_id(char to[64], struct str from)
{
    if (from.len >= 64)
        return false;
    if (from.len > 0)
        memcpy(to, from.ptr, from.len);
    to[from.len] = '\0';
    return true;
}

/* What a token says of its client, and no more. */
static result find_in_cell(struct record_cell *cell, const struct principal *principal, struct client *ret,
                           bool *ret_found)
{
    const struct pg_value params[] = { pg_text(str_from(principal->client)) };
    struct pg_reply reply = PG_REPLY_INIT;
    TRY(pg_pool_call(cell->pool, STATEMENT_CLIENT_GET, 0, params, 1, &reply));
    *ret_found = pg_reply_rows(&reply) == 1;
    ret->role = role_from(pg_reply_str(&reply, 0, 1));
    ret->disabled = pg_reply_number(&reply, 0, 3) != 0;
    bool fits = copy_id(ret->customer, pg_reply_str(&reply, 0, 0));
    pg_reply_done(&reply);
    return fits ? OK : FAIL(E_SCHEMA, PG_UNFIT_HINT, "\"%s\" holds a malformed client", cell->name);
}

/* NULL: the staff's, who may be in any; or the directory does not tell. */
static struct record_cell *home_cell(struct gateway *gateway, const struct principal *principal)
{
    struct directory_entry customer;
    if (principal->customer[0] == '\0' ||
        failed(directory_lookup(gateway->replica, str_from(principal->customer), &customer)) ||
        !str_is(customer.region, gateway->region))
        return NULL;
    return record_store_cell(&gateway->store, customer.cell);
}

/* Each has its part of the time: one that hangs keeps no client of another out. */
static result ask_all(struct gateway *gateway, const struct principal *principal, struct client *ret,
                      bool *ret_found)
{
    struct record_store *store = &gateway->store;
    result outcome = OK;
    *ret_found = false;
    for (size_t i = 0; i < store->cell_count && !*ret_found; i++) {
        struct deadline part;
        deadline_begin(&part, CLIENT_WATCH_ASK_MS / store->cell_count);
        result r = find_in_cell(&store->cells[i], principal, ret, ret_found);
        deadline_end(&part);
        TRY(fiber_check());
        if (failed(r))
            *ret_found = false;
        if (failed(r) && !failed(outcome))
            outcome = r;
    }
    return *ret_found ? OK : outcome;
}

static result ask(void *context, const struct principal *principal, struct client *ret, bool *ret_found)
{
    struct gateway *gateway = context;
    struct record_cell *cell = home_cell(gateway, principal);
    return cell == NULL ? ask_all(gateway, principal, ret, ret_found)
                        : find_in_cell(cell, principal, ret, ret_found);
}

result clients_confirm(struct gateway *gateway, const struct principal *principal)
{
    return client_watch_confirm(gateway->client_watch, principal, ask, gateway);
}
