#pragma once
/* OAuth 2 clients: their ids and secrets, and the check of a secret. Where clients are stored is the caller's. */
#include "auth/scrypt.h"
#include "config/vocabulary.h"
#include "loop/fiber.h"

enum {
    CLIENT_ID_SIZE = 23,     /* "c-" and 20 of [a-z2-7], NUL included */
    CLIENT_SECRET_SIZE = 44, /* 43 letters of base64url (258 bits), NUL included */
    CLIENT_SECRET_MAX = 128, /* bytes; no secret that is longer is looked at */
};

void client_id_new(char id[CLIENT_ID_SIZE]);
void client_secret_new(char secret[CLIENT_SECRET_SIZE]); /* shown once; wipe it */

/* A client as it is stored. */
struct client {
    enum role role;
    bool disabled;
    char id[64];
    char customer[64]; /* empty for staff */
    char secret_hash[SCRYPT_TEXT_SIZE];
};

struct client_store {
    /* May wait. *ret_found is false for an unknown id; an error is one of the store itself. */
    result (*find)(void *context, struct str id, struct client *ret, bool *ret_found);
    void *context;
};

/* How many secrets are hashed at once, and how many callers may wait for their turn. */
struct client_gate {
    struct semaphore running;
    size_t waiting, waiting_max;
};
void client_gate_init(struct client_gate *gate, size_t at_once, size_t waiting_max);

/* Waits. E_CLIENT, always in the same words and after the same work: unknown, disabled, or the wrong secret. E_BUSY:
 * too many wait; errors of the store; E_CANCELLED, E_DEADLINE. */
result client_authenticate(struct client_gate *gate, const struct client_store *store, struct str id,
                           struct str secret, struct client *ret) MUST_USE;

/* scrypt_hash through the gate, for a new client's secret. Waits. */
result client_hash_secret(struct client_gate *gate, struct str secret, char text[SCRYPT_TEXT_SIZE]) MUST_USE;
