#pragma once
/* What binds clients to the region's root key, so that who can write a cell's tables, but has no root key, makes nobody a
 * client: HMAC-SHA256 under keys that are derived from it (seal/mac.h), over parts that no migration ever changes.
 *
 *     verifier of a secret   customer, id, role, secret                                  in secret_hash
 *     proof of a row         customer, id, role, secret_hash, version, "enabled" or "disabled"
 *     proof of a set         customer, state, version, and of each row that is proven: id, version, proof
 *
 * Numbers are decimal text. `customer` is empty for the vendor's staff, whose state is "staff". The set is all clients of a
 * customer in the order of their ids; its version grows with each change, and the row that changed gets it. A row of
 * another region, customer, id or role does not verify; nor does one that was changed. A row that was put back as it once
 * was verifies, but not its set; a whole set that was put back is older than what the directory knows.
 *
 * Pure CPU, some microseconds a row. */
#include "auth/client.h"
#include "seal/mac.h"

struct client_keys {
    struct mac_key verifier, row, set;
};
result client_keys_derive(const struct root_key *root, struct str region, struct client_keys *ret)
    MUST_USE;                                    /* E_RESOURCE */
void client_keys_free(struct client_keys *keys); /* wipes; takes empty ones */

/* Sets client->secret_hash, by its customer, id and role. */
void client_verifier_set(const struct client_keys *keys, struct client *client, struct str secret);
bool client_verifier_matches(const struct client_keys *keys, const struct client *client, struct str secret);

void client_prove(const struct client_keys *keys, struct client *client); /* sets its proof */
bool client_is_proven(const struct client_keys *keys, const struct client *client);

enum { CLIENT_SET_MAX = 5000 }; /* clients of a customer */

struct client_set {
    char customer[64], state[16];
    int64_t version; /* 0: the cell has no proof of it yet */
    bool has_proof;
    uint8_t proof[CLIENT_PROOF_BYTES];
    struct client *clients; /* in the order of their ids; with room for one more */
    size_t count;
};
/* The set's proof, over the clients that are proven themselves. */
void client_set_prove(const struct client_keys *keys, const struct client_set *set,
                      uint8_t proof[CLIENT_PROOF_BYTES]);
bool client_set_is_proven(const struct client_keys *keys, const struct client_set *set);

/* The highest version that a gateway has given: the set's own, if it is proven, and those of proven rows. */
int64_t client_set_version(const struct client_keys *keys, const struct client_set *set);

struct client *client_set_find(const struct client_set *set, struct str id); /* NULL: none */
/* At its place in the order; an id that is not there yet. E_LIMIT: the set is full. */
result client_set_add(struct client_set *set, const struct client *client, struct client **ret) MUST_USE;
