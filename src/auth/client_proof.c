#include "auth/client_proof.h"

#include "base/count.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

result client_keys_derive(const struct root_key *root, struct str region, struct client_keys *ret)
{
    struct client_keys keys = { 0 };
    result r = mac_key_derive(root, STR("domicile client verifier v1"), region, &keys.verifier);
    if (!failed(r))
        r = mac_key_derive(root, STR("domicile client row v1"), region, &keys.row);
    if (!failed(r))
        r = mac_key_derive(root, STR("domicile client set v1"), region, &keys.set);
    if (failed(r))
        client_keys_free(&keys);
    else
        *ret = keys;
    return r;
}

void client_keys_free(struct client_keys *keys)
{
    mac_key_free(&keys->verifier);
    mac_key_free(&keys->row);
    mac_key_free(&keys->set);
}

/* ---- verifiers ---- */

static void verifier_of(const struct client_keys *keys, const struct client *client, struct str secret,
                        char text[SCRYPT_TEXT_SIZE])
{
    const struct str parts[] = { str_from(client->customer), str_from(client->id),
                                 str_from(role_word(client->role)), secret };
    uint8_t mac[MAC_BYTES];
    mac_of(&keys->verifier, parts, COUNT(parts), mac);
    int at = snprintf(text, SCRYPT_TEXT_SIZE, "%s", CLIENT_VERIFIER_PREFIX);
    for (size_t i = 0; i < sizeof mac; i++)
        snprintf(text + at + 2 * i, 3, "%02x", mac[i]);
}

void client_verifier_set(const struct client_keys *keys, struct client *client, struct str secret)
{
    verifier_of(keys, client, secret, client->secret_hash);
}

bool client_verifier_matches(const struct client_keys *keys, const struct client *client, struct str secret)
{
    char text[SCRYPT_TEXT_SIZE] = "";
    verifier_of(keys, client, secret, text);
    size_t len = strlen(text);
    return strlen(client->secret_hash) == len && CRYPTO_memcmp(client->secret_hash, text, len) == 0;
}

/* ---- rows ---- */

struct decimal {
    char text[24];
};

static struct str decimal_of(int64_t number, struct decimal *decimal)
{
    return (struct str){ decimal->text,
                         (size_t)snprintf(decimal->text, sizeof decimal->text, "%lld", (long long)number) };
}

static void proof_of(const struct client_keys *keys, const struct client *client,
                     uint8_t proof[CLIENT_PROOF_BYTES])
{
    struct decimal version;
    const struct str parts[] = { str_from(client->customer),
                                 str_from(client->id),
                                 str_from(role_word(client->role)),
                                 str_from(client->secret_hash),
                                 decimal_of(client->version, &version),
                                 client->disabled ? STR("disabled") : STR("enabled") };
    mac_of(&keys->row, parts, COUNT(parts), proof);
}

void client_prove(const struct client_keys *keys, struct client *client)
{
    proof_of(keys, client, client->proof);
    client->has_proof = true;
}

bool client_is_proven(const struct client_keys *keys, const struct client *client)
{
    uint8_t proof[CLIENT_PROOF_BYTES];
    proof_of(keys, client, proof);
    return client->has_proof && CRYPTO_memcmp(proof, client->proof, sizeof proof) == 0;
}

/* ---- sets ---- */

void client_set_prove(const struct client_keys *keys, const struct client_set *set,
                      uint8_t proof[CLIENT_PROOF_BYTES])
{
    enum { OF_SET = 3, OF_ROW = 3 };
    struct str *parts = calloc(OF_SET + OF_ROW * set->count, sizeof *parts);
    struct decimal *versions = calloc(1 + set->count, sizeof *versions);
    must(parts != NULL && versions != NULL);
    size_t count = 0;
    parts[count++] = str_from(set->customer);
    parts[count++] = str_from(set->state);
    parts[count++] = decimal_of(set->version, &versions[set->count]);
    for (size_t i = 0; i < set->count; i++) {
        const struct client *client = &set->clients[i];
        if (!client_is_proven(keys, client))
            continue;
        parts[count++] = str_from(client->id);
        parts[count++] = decimal_of(client->version, &versions[i]);
        parts[count++] = (struct str){ (const char *)client->proof, sizeof client->proof };
    }
    mac_of(&keys->set, parts, count, proof);
    free(parts);
    free(versions);
}

bool client_set_is_proven(const struct client_keys *keys, const struct client_set *set)
{
    uint8_t proof[CLIENT_PROOF_BYTES];
    client_set_prove(keys, set, proof);
    return set->has_proof && CRYPTO_memcmp(proof, set->proof, sizeof proof) == 0;
}

int64_t client_set_version(const struct client_keys *keys, const struct client_set *set)
{
    int64_t version = client_set_is_proven(keys, set) ? set->version : 0;
    for (size_t i = 0; i < set->count; i++)
        if (set->clients[i].version > version && client_is_proven(keys, &set->clients[i]))
            version = set->clients[i].version;
    return version;
}

/* Where an id stands, or would. */
static size_t place_of(const struct client_set *set, struct str id)
{
    size_t low = 0, high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (str_compare(str_from(set->clients[middle].id), id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct client *client_set_find(const struct client_set *set, struct str id)
{
    size_t place = place_of(set, id);
    return place < set->count && str_is(id, set->clients[place].id) ? &set->clients[place] : NULL;
}

result client_set_add(struct client_set *set, const struct client *client, struct client **ret)
{
    if (set->count >= CLIENT_SET_MAX)
        return FAIL(E_LIMIT, "Disabled clients count as well: ask the vendor for another customer id.",
                    "\"%s\" has %d clients, which is the limit", set->customer, CLIENT_SET_MAX);
    size_t place = place_of(set, str_from(client->id));
    memmove(set->clients + place + 1, set->clients + place, (set->count - place) * sizeof *set->clients);
    set->clients[place] = *client;
    set->count++;
    *ret = &set->clients[place];
    return OK;
}
