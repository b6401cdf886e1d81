#pragma once
/* The clients in the cells of a gateway's region, bound to the root key (auth/client_proof.h). Every function waits. */
#include "auth/client_rows.h"
#include "gateway/gateway.h"

/* Who asks for a token. E_CLIENT, always in the same words: unknown, disabled, the wrong secret, not claimed yet, or a row
 * that no gateway has proven (which is an alarm as well); then *ret is the client whose id it is, for the trace, or has no
 * id. E_BUSY; errors of the cells and the directory. */
result clients_authenticate(struct gateway *gateway, struct str id, struct str secret, struct client *ret)
    MUST_USE;

/* What becomes of a client; the action of its audit row. */
enum client_change { CLIENT_ADD, CLIENT_CLAIMABLE, CLIENT_CLAIM, CLIENT_REKEY, CLIENT_DISABLE };

/* Stores a client of the shelf's customer, and proves it and the set. CLIENT_ADD and CLIENT_CLAIMABLE: a new one. Else the
 * stored one, which is proven, gets client's secret_hash (CLIENT_CLAIM, CLIENT_REKEY: if it still has the one of `before`)
 * or is disabled. Its version and proof are set. E_CONFLICT: the id is taken; E_NOT_FOUND: there is no such client, or it is
 * disabled; E_STALE: somebody else was faster. */
result clients_write(struct gateway *gateway, const struct record_shelf *shelf, enum client_change change,
                     struct client *client, const char *before) MUST_USE;

/* A client that waits for its claim gets a secret for good. E_CLIENT, in the same words for all causes; *ret as above. */
result clients_claim(struct gateway *gateway, struct str id, struct str claim, struct str request,
                     char secret[CLIENT_SECRET_SIZE], struct client *ret) MUST_USE;

/* A customer's first client, in which no secret of the staff's is: `digest` is of a claim that the customer made. Asked
 * again with the same digest, it is the same client. E_CONFLICT: the customer has a client that was claimed already. */
result clients_make_claimable(struct gateway *gateway, const struct record_shelf *shelf,
                              const char digest[CLIENT_CLAIM_HEX_SIZE], struct client *ret) MUST_USE;

/* Looks whether all of a customer's clients (empty: the staff's) and keys are as the gateways left them. What has no proof
 * yet gets one, if the directory has never known of one. What does not hold is on record in the cell, where the watch sees
 * it; *ret_alarms is how many there are. */
result clients_check(struct gateway *gateway, struct record_cell *cell, int64_t epoch, struct str customer,
                     size_t *ret_alarms) MUST_USE;

/* Checks all customers of the region and the staff, again and again, with at most a fiftieth of a processor. A fiber's body;
 * ends when it is cancelled. */
void gateway_check_clients(void *gateway);
