#pragma once
/* OAuth 2 clients: their ids, their secrets, and the check of a secret. Where clients are stored is the caller's; what is
 * stored is bound to the region's root key (client_proof.h).
 *
 * A client's `secret_hash` is one of
 *     $hmac-sha256$v=1$<64 hex digits>               the verifier of its secret; only who has the root key can make one
 *     $claim$v=1$<until, seconds since 1970>$<64 hex digits>   SHA-256 of a claim that its customer has: good for one secret
 *     $scrypt$...                                    from before there were proofs; it becomes a verifier at the next token */
#include "auth/scrypt.h"
#include "config/vocabulary.h"
#include "loop/fiber.h"

enum {
    CLIENT_ID_SIZE = 23,        /* "c-" and 20 of [a-z2-7], NUL included */
    CLIENT_SECRET_SIZE = 44,    /* 43 letters of base64url (258 bits), NUL included */
    CLIENT_SECRET_MAX = 128,    /* bytes; no secret that is longer is looked at */
    CLIENT_CLAIM_HEX_SIZE = 65, /* of a claim's SHA-256, NUL included */
    CLIENT_PROOF_BYTES = 32,
};

#define CLIENT_VERIFIER_PREFIX "$hmac-sha256$v=1$"

void client_id_new(char id[CLIENT_ID_SIZE]);
void client_secret_new(char secret[CLIENT_SECRET_SIZE]); /* shown once; wipe it */

/* A client as it is stored. */
struct client {
    enum role role;
    bool disabled;
    bool has_proof;
    int64_t version; /* of the set of its customer's clients, when the row was written */
    uint8_t proof[CLIENT_PROOF_BYTES];
    char id[64];
    char customer[64]; /* empty for staff */
    char secret_hash[SCRYPT_TEXT_SIZE];
};

enum client_secret_kind {
    CLIENT_SECRET_MALFORMED = 0,
    CLIENT_SECRET_VERIFIER,
    CLIENT_SECRET_CLAIM,
    CLIENT_SECRET_SCRYPT
};
enum client_secret_kind client_secret_kind(const struct client *client);

/* ---- claims ---- a secret that the customer made and the vendor's staff never sees: only its SHA-256. */
enum { CLIENT_CLAIM_DAYS = 30 };
void client_claim_digest(struct str claim, char hex[CLIENT_CLAIM_HEX_SIZE]);
bool client_claim_is_digest(struct str hex); /* 64 of 0-9a-f */
void client_claim_set(struct client *client, const char hex[CLIENT_CLAIM_HEX_SIZE], int64_t until_s);
/* False also where there is no claim, and after its time. In constant time for the claim. */
bool client_claim_matches(const struct client *client, struct str claim, int64_t wall_ms);
int64_t client_claim_until_s(const struct client *client); /* 0: it has no claim */

/* ---- secrets from before there were proofs ---- each costs 100 ms of a processor: few at once, and few that wait. */
struct client_gate {
    struct semaphore running;
    size_t waiting, waiting_max;
};
void client_gate_init(struct client_gate *gate, size_t at_once, size_t waiting_max);

/* scrypt_verify through the gate. Waits. E_BUSY: too many wait; E_INTERNAL: the stored text is malformed; E_CANCELLED,
 * E_DEADLINE. */
result client_verify_scrypt(struct client_gate *gate, const struct client *client, struct str secret,
                            bool *ret_matches) MUST_USE;
