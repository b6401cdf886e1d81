#pragma once
/* What the files of tokens share; nobody else includes it. */
#include "auth/token.h"

#include <openssl/evp.h>

enum { ED25519_KEY_BYTES = 32, ED25519_SIGNATURE_BYTES = 64 };

struct token_key {
    EVP_PKEY *key;
    char kid[TOKEN_KID_SIZE];
    char region[64];
};

struct token_keys {
    size_t count;
    struct token_key items[TOKEN_KEYS_MAX];
};

struct token_signer {
    struct token_key key; /* the private one */
};

const struct token_key *token_keys_find(const struct token_keys *keys, struct str kid); /* NULL: none */
