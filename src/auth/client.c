#include "auth/client.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void client_id_new(char id[CLIENT_ID_SIZE])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint8_t random[CLIENT_ID_SIZE - 3];
    random_bytes(random, sizeof random);
    id[0] = 'c';
    id[1] = '-';
    for (size_t i = 0; i < sizeof random; i++)
        id[2 + i] = letters[random[i] & 31];
    id[CLIENT_ID_SIZE - 1] = '\0';
}

void client_secret_new(char secret[CLIENT_SECRET_SIZE])
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t random[CLIENT_SECRET_SIZE - 1];
    random_bytes(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        secret[i] = letters[random[i] & 63];
    secret[CLIENT_SECRET_SIZE - 1] = '\0';
    secret_wipe(random, sizeof random);
}

#define CLAIM_PREFIX "$claim$v=1$"

enum client_secret_kind client_secret_kind(const struct client *client)
{
    struct str text = str_from(client->secret_hash);
    return str_starts(text, STR(CLIENT_VERIFIER_PREFIX)) ? CLIENT_SECRET_VERIFIER
           : str_starts(text, STR(CLAIM_PREFIX))         ? CLIENT_SECRET_CLAIM
           : str_starts(text, STR("$scrypt$"))           ? CLIENT_SECRET_SCRYPT
                                                         : CLIENT_SECRET_MALFORMED;
}

/* ---- claims ---- */

static void hex_of(const uint8_t *bytes, size_t len, char *hex)
{
    for (size_t i = 0; i < len; i++)
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
}

void client_claim_digest(struct str claim, char hex[CLIENT_CLAIM_HEX_SIZE])
{
    uint8_t digest[32];
    must(EVP_Digest(claim.ptr != NULL ? claim.ptr : "", claim.len, digest, NULL, EVP_sha256(), NULL) == 1);
    hex_of(digest, sizeof digest, hex);
}

bool client_claim_is_digest(struct str hex)
{
    bool fits = hex.len == CLIENT_CLAIM_HEX_SIZE - 1;
    for (size_t i = 0; i < hex.len && fits; i++)
        fits = (hex.ptr[i] >= '0' && hex.ptr[i] <= '9') || (hex.ptr[i] >= 'a' && hex.ptr[i] <= 'f');
    return fits;
}

void client_claim_set(struct client *client, const char hex[CLIENT_CLAIM_HEX_SIZE], int64_t until_s)
{
    snprintf(client->secret_hash, sizeof client->secret_hash, CLAIM_PREFIX "%lld$%s", (long long)until_s,
             hex);
}

static bool read_claim(const struct client *client, int64_t *ret_until_s, struct str *ret_hex)
{
    struct str rest = str_from(client->secret_hash), until;
    uint64_t seconds = 0;
    if (!str_starts(rest, STR(CLAIM_PREFIX)))
        return false;
    rest = (struct str){ rest.ptr + sizeof CLAIM_PREFIX - 1, rest.len - (sizeof CLAIM_PREFIX - 1) };
    if (!str_cut(&rest, '$', &until) || !str_to_u64(until, INT32_MAX * UINT64_C(1000), &seconds) ||
        !client_claim_is_digest(rest))
        return false;
    *ret_until_s = (int64_t)seconds;
    *ret_hex = rest;
    return true;
}

int64_t client_claim_until_s(const struct client *client)
{
    int64_t until_s = 0;
    struct str hex;
    return read_claim(client, &until_s, &hex) ? until_s : 0;
}

bool client_claim_matches(const struct client *client, struct str claim, int64_t wall_ms)
{
    char given[CLIENT_CLAIM_HEX_SIZE];
    int64_t until_s;
    struct str hex;
    if (!read_claim(client, &until_s, &hex) || wall_ms / 1000 >= until_s)
        return false;
    client_claim_digest(claim, given);
    return CRYPTO_memcmp(given, hex.ptr, hex.len) == 0;
}

/* ---- secrets from before there were proofs ---- */

void client_gate_init(struct client_gate *gate, size_t at_once, size_t waiting_max)
{
    semaphore_init(&gate->running, at_once);
    gate->waiting = 0;
    gate->waiting_max = waiting_max;
}

static result gate_enter(struct client_gate *gate)
{
    if (semaphore_try_acquire(&gate->running))
        return OK;
    if (gate->waiting >= gate->waiting_max)
        return FAIL(E_BUSY, "Try again in a second.", "too many clients request tokens at the same time");
    gate->waiting++;
    result r = semaphore_acquire(&gate->running);
    gate->waiting--;
    return r;
}

struct verification {
    struct str hash, secret;
    bool matches;
    result result;
};

static void verify(void *arg)
{
    struct verification *work = arg;
    work->result = scrypt_verify(work->hash, work->secret, &work->matches);
}

result client_verify_scrypt(struct client_gate *gate, const struct client *client, struct str secret,
                            bool *ret_matches)
{
    struct verification work = { .hash = str_from(client->secret_hash), .secret = secret, .result = OK };
    TRY(gate_enter(gate));
    result r = fiber_offload(verify, &work);
    semaphore_release(&gate->running);
    TRY(r);
    if (work.result.error.code == E_FORMAT)
        return FAIL(E_INTERNAL, "Create a new client and use it instead.",
                    "the stored hash of client \"%s\" is malformed", client->id);
    TRY(work.result);
    *ret_matches = work.matches;
    return OK;
}
