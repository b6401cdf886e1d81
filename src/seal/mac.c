#include "seal/mac.h"

#include "seal/fields.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

enum { REGION_MAX_BYTES = 63 };

result mac_key_derive(const struct root_key *root, struct str label, struct str region, struct mac_key *ret)
{
    struct fields info;
    fields_begin(&info, label);
    fields_str(&info, region, REGION_MAX_BYTES);
    if (info.overflow)
        return FAIL(E_LIMIT, "Use an identifier of at most 63 bytes.", "the region's name is too long");
    struct mac_key key = { 0 };
    TRY(secret_new(&key.secret, MAC_BYTES));
    seal_hkdf(&root->secret, fields_bytes(&info), key.secret.ptr, MAC_BYTES);
    *ret = key;
    return OK;
}

void mac_key_free(struct mac_key *key)
{
    secret_free(&key->secret);
}

static void put(EVP_MAC_CTX *context, struct str part)
{
    uint8_t length[8];
    for (size_t i = 0; i < sizeof length; i++)
        length[i] = (uint8_t)((uint64_t)part.len >> (56 - 8 * i));
    must(EVP_MAC_update(context, length, sizeof length) == 1);
    must(part.len == 0 || EVP_MAC_update(context, (const uint8_t *)part.ptr, part.len) == 1);
}

void mac_of(const struct mac_key *key, const struct str *parts, size_t count, uint8_t mac[MAC_BYTES])
{
    static EVP_MAC *hmac; /* fetched once */
    if (hmac == NULL)
        hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    must(hmac != NULL && key->secret.len == MAC_BYTES);
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(hmac);
    must(context != NULL);
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    must(EVP_MAC_init(context, key->secret.ptr, key->secret.len, params) == 1);
    for (size_t i = 0; i < count; i++)
        put(context, parts[i]);
    size_t len = 0;
    must(EVP_MAC_final(context, mac, &len, MAC_BYTES) == 1 && len == MAC_BYTES);
    EVP_MAC_CTX_free(context); /* wipes its copy of the key */
}
