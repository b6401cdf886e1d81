/* Clients of tokens that are in use: asked for again and again, in their own cell, so that no other cell matters. */
#include "gateway/clients_confirm.h"

#include "gateway/clients_internal.h"

/* A row that is not proven is nobody's: it is found, and told, when it asks for a token and by the sweep. */
static result find_in_cell(struct gateway *gateway, struct record_cell *cell,
                           const struct principal *principal, struct client *ret, bool *ret_found)
{
    bool adopted = false;
    TRY(clients_get(cell, str_from(principal->client), ret, ret_found, &adopted));
    if (*ret_found && adopted)
        *ret_found = client_is_proven(&gateway->client_keys, ret);
    return OK;
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
        result r = find_in_cell(gateway, &store->cells[i], principal, ret, ret_found);
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
                        : find_in_cell(gateway, cell, principal, ret, ret_found);
}

result clients_confirm(struct gateway *gateway, const struct principal *principal)
{
    return client_watch_confirm(gateway->client_watch, principal, ask, gateway);
}
