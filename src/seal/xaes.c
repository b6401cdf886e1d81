#include "seal/xaes.h"

#include "base/secret.h"

#include <openssl/evp.h>

enum { BLOCK = 16, HALF_NONCE = 12 };

/* Fetching a cipher and making a context cost more than sealing a small record, so both are done once. */
static struct {
    EVP_CIPHER *ecb, *gcm;
    EVP_CIPHER_CTX *block, *seal, *open;
} aes;

static EVP_CIPHER_CTX *context_new(const EVP_CIPHER *cipher, bool encrypts)
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    must(context != NULL);
    must(EVP_CipherInit_ex2(context, cipher, NULL, NULL, encrypts, NULL) == 1);
    return context;
}

static void aes_ready(void)
{
    if (aes.block != NULL)
        return;
    aes.ecb = EVP_CIPHER_fetch(NULL, "AES-256-ECB", NULL);
    aes.gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    must(aes.ecb != NULL && aes.gcm != NULL);
    aes.block = context_new(aes.ecb, true);
    must(EVP_CIPHER_CTX_set_padding(aes.block, 0) == 1);
    aes.seal = context_new(aes.gcm, true);
    aes.open = context_new(aes.gcm, false);
}

void xaes_forget(void)
{
    EVP_CIPHER_CTX_free(aes.block);
    EVP_CIPHER_CTX_free(aes.seal);
    EVP_CIPHER_CTX_free(aes.open);
    EVP_CIPHER_free(aes.ecb);
    EVP_CIPHER_free(aes.gcm);
    memset(&aes, 0, sizeof aes);
}

static void encrypt_blocks(const uint8_t *in, uint8_t *out, int len)
{
    int done = 0;
    must(EVP_EncryptUpdate(aes.block, out, &done, in, len) == 1 && done == len);
}

/* The spec's steps 1 to 5: CMAC's subkey K1, then two CMACs of one block each. */
static void derive_key(const uint8_t key[XAES_KEY_BYTES], const uint8_t nonce[XAES_NONCE_BYTES],
                       uint8_t derived[XAES_KEY_BYTES])
{
    static const uint8_t zeros[BLOCK];
    uint8_t subkey[BLOCK], messages[2 * BLOCK] = { 0, 1, 'X', 0, [BLOCK] = 0, 2, 'X', 0 };
    must(EVP_EncryptInit_ex2(aes.block, NULL, key, NULL, NULL) == 1);
    encrypt_blocks(zeros, subkey, BLOCK);
    uint8_t carry = subkey[0] >> 7;
    for (size_t i = 0; i + 1 < BLOCK; i++)
        subkey[i] = (uint8_t)(subkey[i] << 1 | subkey[i + 1] >> 7);
    subkey[BLOCK - 1] = (uint8_t)((uint8_t)(subkey[BLOCK - 1] << 1) ^ (0x87 & -carry));

    memcpy(messages + 4, nonce, HALF_NONCE);
    memcpy(messages + BLOCK + 4, nonce, HALF_NONCE);
    for (size_t i = 0; i < BLOCK; i++) {
        messages[i] ^= subkey[i];
        messages[BLOCK + i] ^= subkey[i];
    }
    encrypt_blocks(messages, derived, sizeof messages);
    secret_wipe(subkey, sizeof subkey);
    secret_wipe(messages, sizeof messages);
}

static void context_begin(EVP_CIPHER_CTX *context, const uint8_t *key, const uint8_t *nonce, struct str aad)
{
    uint8_t derived[XAES_KEY_BYTES];
    int done = 0;
    derive_key(key, nonce, derived);
    must(EVP_CipherInit_ex2(context, NULL, derived, nonce + HALF_NONCE, -1, NULL) == 1);
    secret_wipe(derived, sizeof derived);
    if (aad.len > 0)
        must(EVP_CipherUpdate(context, NULL, &done, (const uint8_t *)aad.ptr, (int)aad.len) == 1);
}

static void context_text(EVP_CIPHER_CTX *context, const uint8_t *in, size_t len, uint8_t *out)
{
    int done = 0;
    if (len > 0)
        must(EVP_CipherUpdate(context, out, &done, in, (int)len) == 1 && done == (int)len);
}

void xaes_seal(const uint8_t key[XAES_KEY_BYTES], const uint8_t nonce[XAES_NONCE_BYTES], struct str aad,
               struct str plaintext, uint8_t *out)
{
    must(aad.len <= XAES_TEXT_MAX && plaintext.len <= XAES_TEXT_MAX);
    aes_ready();
    context_begin(aes.seal, key, nonce, aad);
    context_text(aes.seal, (const uint8_t *)plaintext.ptr, plaintext.len, out);
    uint8_t *tag = out + plaintext.len;
    int none = 0;
    must(EVP_EncryptFinal_ex(aes.seal, tag, &none) == 1);
    must(EVP_CIPHER_CTX_ctrl(aes.seal, EVP_CTRL_AEAD_GET_TAG, XAES_TAG_BYTES, tag) == 1);
}

bool xaes_open(const uint8_t key[XAES_KEY_BYTES], const uint8_t nonce[XAES_NONCE_BYTES], struct str aad,
               struct str sealed, uint8_t *out)
{
    must(aad.len <= XAES_TEXT_MAX);
    if (sealed.len < XAES_TAG_BYTES || sealed.len > (size_t)XAES_TEXT_MAX + XAES_TAG_BYTES)
        return false;
    size_t len = sealed.len - XAES_TAG_BYTES;
    uint8_t tag[XAES_TAG_BYTES], nothing[BLOCK];
    int none = 0;
    memcpy(tag, sealed.ptr + len, sizeof tag);
    aes_ready();
    context_begin(aes.open, key, nonce, aad);
    context_text(aes.open, (const uint8_t *)sealed.ptr, len, out);
    must(EVP_CIPHER_CTX_ctrl(aes.open, EVP_CTRL_AEAD_SET_TAG, sizeof tag, tag) == 1);
    bool authentic = EVP_DecryptFinal_ex(aes.open, nothing, &none) == 1;
    if (!authentic)
        secret_wipe(out, len);
    return authentic;
}
