#include "seal/classkey.h"

#include "seal/fields.h"

#include <openssl/evp.h>

enum { FORMAT = 0x01, NAME_MAX_BYTES = 63, KEY = 32, COMMITMENT = 32, NONCE = 12, TAG = 16 };

/* Where the parts stand in the wrapped form. */
enum {
    AT_COMMITMENT = 1,
    AT_NONCE = AT_COMMITMENT + COMMITMENT,
    AT_KEY = AT_NONCE + NONCE,
    AT_TAG = AT_KEY + CLASSKEY_BYTES,
};
_Static_assert(AT_TAG + TAG == CLASSKEY_WRAPPED_BYTES, "the wrapped form is as its header says");

/* KEY bytes of wrapping key, then COMMITMENT bytes. False: a name is too long. */
static bool derive(const struct root_key *root, const struct class_key_name *name,
                   uint8_t derived[KEY + COMMITMENT])
{
    struct fields info;
    fields_begin(&info, STR("domicile class key wrap v1"));
    fields_str(&info, name->region, NAME_MAX_BYTES);
    fields_str(&info, name->customer, NAME_MAX_BYTES);
    fields_str(&info, name->class, NAME_MAX_BYTES);
    fields_u32(&info, name->version);
    if (info.overflow)
        return false;
    seal_hkdf(&root->secret, fields_bytes(&info), derived, KEY + COMMITMENT);
    return true;
}

static void encrypt(const uint8_t *wrapping_key, const uint8_t *class_key, uint8_t *wrapped)
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int done = 0;
    must(context != NULL);
    must(EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, wrapping_key, wrapped + AT_NONCE) == 1);
    must(EVP_EncryptUpdate(context, NULL, &done, wrapped, AT_NONCE) == 1);
    must(EVP_EncryptUpdate(context, wrapped + AT_KEY, &done, class_key, CLASSKEY_BYTES) == 1);
    must(EVP_EncryptFinal_ex(context, wrapped + AT_TAG, &done) == 1);
    must(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG, wrapped + AT_TAG) == 1);
    EVP_CIPHER_CTX_free(context);
}

static bool decrypt(const uint8_t *wrapping_key, const uint8_t *wrapped, uint8_t *class_key)
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    uint8_t tag[TAG], nothing[16];
    int done = 0;
    memcpy(tag, wrapped + AT_TAG, sizeof tag);
    must(context != NULL);
    must(EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, wrapping_key, wrapped + AT_NONCE) == 1);
    must(EVP_DecryptUpdate(context, NULL, &done, wrapped, AT_NONCE) == 1);
    must(EVP_DecryptUpdate(context, class_key, &done, wrapped + AT_KEY, CLASSKEY_BYTES) == 1);
    must(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG, tag) == 1);
    bool authentic = EVP_DecryptFinal_ex(context, nothing, &done) == 1;
    EVP_CIPHER_CTX_free(context);
    return authentic;
}

result classkey_generate(uint32_t version, struct class_key *ret)
{
    must(version >= 1 && version <= CLASSKEY_VERSION_MAX);
    struct class_key key = { .version = version };
    TRY(secret_new(&key.secret, CLASSKEY_BYTES));
    random_bytes(key.secret.ptr, CLASSKEY_BYTES);
    *ret = key;
    return OK;
}

void classkey_free(struct class_key *key)
{
    secret_free(&key->secret);
    *key = (struct class_key){ 0 };
}

result classkey_wrap(const struct root_key *root, const struct class_key_name *name,
                     const struct class_key *key, uint8_t wrapped[CLASSKEY_WRAPPED_BYTES])
{
    must(key->version == name->version && key->secret.len == CLASSKEY_BYTES);
    uint8_t derived[KEY + COMMITMENT];
    if (!derive(root, name, derived))
        return FAIL(E_LIMIT, "Use an identifier of at most 63 bytes.", "a name in a class key is too long");
    wrapped[0] = FORMAT;
    memcpy(wrapped + AT_COMMITMENT, derived + KEY, COMMITMENT);
    random_bytes(wrapped + AT_NONCE, NONCE);
    encrypt(derived, key->secret.ptr, wrapped);
    secret_wipe(derived, sizeof derived);
    return OK;
}

/* The one error of unwrapping, whatever the reason. */
static result does_not_unwrap(void)
{
    return FAIL(E_SEAL,
                "Check the region's root key, then restore the key's row from a backup: the wrapped key was "
                "changed or moved, or is of another root key.",
                "a wrapped class key cannot be unwrapped");
}

result classkey_unwrap(const struct root_key *root, const struct class_key_name *name, struct str wrapped,
                       struct class_key *ret)
{
    const uint8_t *bytes = (const uint8_t *)wrapped.ptr;
    uint8_t derived[KEY + COMMITMENT];
    struct class_key key = { .version = name->version };
    if (wrapped.len != CLASSKEY_WRAPPED_BYTES || bytes[0] != FORMAT || !derive(root, name, derived))
        return does_not_unwrap();
    bool opened = false;
    result r = OK;
    if (secret_equal(derived + KEY, bytes + AT_COMMITMENT, COMMITMENT)) {
        r = secret_new(&key.secret, CLASSKEY_BYTES);
        opened = !failed(r) && decrypt(derived, bytes, key.secret.ptr);
    }
    secret_wipe(derived, sizeof derived);
    TRY(r);
    if (!opened) {
        classkey_free(&key);
        return does_not_unwrap();
    }
    *ret = key;
    return OK;
}
