#include "auth/token_internal.h"

#include "base/encode.h"
#include "base/secret.h"
#include "seal/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char make_hint[] = "Create a pair of keys with: domicile key token-init.";

/* RFC 7638 over the members that RFC 8037 names. */
static void thumbprint(EVP_PKEY *key, char kid[TOKEN_KID_SIZE])
{
    uint8_t raw[ED25519_KEY_BYTES], digest[32];
    size_t len = sizeof raw;
    must(EVP_PKEY_get_raw_public_key(key, raw, &len) == 1 && len == sizeof raw);
    struct arena arena;
    arena_init(&arena);
    const char *jwk = arena_printf(&arena, "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"%s\"}",
                                   encode_base64url(&arena, (struct str){ (char *)raw, len }).ptr);
    must(EVP_Digest(jwk, strlen(jwk), digest, NULL, EVP_sha256(), NULL) == 1);
    struct str text = encode_base64url(&arena, (struct str){ (char *)digest, sizeof digest });
    must(text.len + 1 == TOKEN_KID_SIZE);
    memcpy(kid, text.ptr, TOKEN_KID_SIZE);
    arena_done(&arena);
}

/* Reads and closes. */
static result read_pem(int fd, const char *path, bool is_private, EVP_PKEY **ret)
{
    struct secret pem = { 0 };
    result r = secret_new(&pem, SECRET_MAX);
    if (failed(r)) {
        close(fd);
        return r;
    }
    ssize_t got = read(fd, pem.ptr, pem.len);
    BIO *bio = got > 0 && (size_t)got < pem.len ? BIO_new_mem_buf(pem.ptr, (int)got) : NULL;
    EVP_PKEY *key = NULL;
    void *passphrase =
        (void *)""; /* of an encrypted file; else the library would ask for it on the terminal */
    if (bio != NULL)
        key = is_private ? PEM_read_bio_PrivateKey(bio, NULL, NULL, passphrase)
                         : PEM_read_bio_PUBKEY(bio, NULL, NULL, passphrase);
    BIO_free(bio);
    secret_free(&pem);
    close(fd);
    ERR_clear_error();
    if (key == NULL || !EVP_PKEY_is_a(key, "ED25519")) {
        EVP_PKEY_free(key);
        return FAIL(E_CONFIG, make_hint, "\"%s\" does not hold an Ed25519 %s key", path,
                    is_private ? "private" : "public");
    }
    *ret = key;
    return OK;
}

static result token_key_init(struct token_key *ret, struct str region, EVP_PKEY *key)
{
    if (!str_is_id(region)) {
        EVP_PKEY_free(key);
        return FAIL(E_CONFIG, "Use the name of a region.", "\"%.*s\" is not the name of a region",
                    STR_ARG(region));
    }
    *ret = (struct token_key){ .key = key };
    thumbprint(key, ret->kid);
    memcpy(ret->region, region.ptr, region.len);
    return OK;
}

result token_keys_new(struct token_keys **ret)
{
    struct token_keys *keys = calloc(1, sizeof *keys);
    if (keys == NULL)
        return FAIL(E_MEMORY, NULL, "no memory for token keys");
    *ret = keys;
    return OK;
}

void token_keys_free(struct token_keys *keys)
{
    for (size_t i = 0; keys != NULL && i < keys->count; i++)
        EVP_PKEY_free(keys->items[i].key);
    free(keys);
}

const struct token_key *token_keys_find(const struct token_keys *keys, struct str kid)
{
    for (size_t i = 0; i < keys->count; i++)
        if (str_is(kid, keys->items[i].kid))
            return &keys->items[i];
    return NULL;
}

bool token_keys_at(const struct token_keys *keys, size_t index, struct token_key_name *ret)
{
    if (index >= keys->count)
        return false;
    *ret = (struct token_key_name){ keys->items[index].region, keys->items[index].kid };
    return true;
}

bool token_keys_have(const struct token_keys *keys, const struct token_key_name *name)
{
    const struct token_key *key = token_keys_find(keys, str_from(name->kid));
    return key != NULL && strcmp(key->region, name->region) == 0;
}

result token_keys_add_file(struct token_keys *keys, struct str region, const char *path)
{
    EVP_PKEY *key = NULL;
    struct token_key added;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return FAIL(E_CONFIG, make_hint, "cannot open the token key \"%s\": %s", path, strerror(errno));
    TRY(read_pem(fd, path, false, &key));
    TRY(token_key_init(&added, region, key));
    const struct token_key *same = token_keys_find(keys, str_from(added.kid));
    if (same != NULL || keys->count == TOKEN_KEYS_MAX) {
        EVP_PKEY_free(key);
        if (same != NULL && str_is(region, same->region))
            return OK;
        return same != NULL
                   ? FAIL(E_CONFIG, "Give each region a key of its own.",
                          "the token key \"%s\" is already a key of region \"%s\"", path, same->region)
                   : FAIL(E_CONFIG, "Remove token keys that are no longer used.",
                          "there are more than %d token keys", TOKEN_KEYS_MAX);
    }
    keys->items[keys->count++] = added;
    return OK;
}

result token_signer_new(struct token_signer **ret, struct str region, const char *path)
{
    EVP_PKEY *key = NULL;
    int fd = -1;
    TRY(key_file_open(path, E_CONFIG, &fd));
    TRY(read_pem(fd, path, true, &key));
    struct token_signer signer;
    TRY(token_key_init(&signer.key, region, key));
    struct token_signer *made = malloc(sizeof *made);
    if (made == NULL) {
        EVP_PKEY_free(key);
        return FAIL(E_MEMORY, NULL, "no memory for a token key");
    }
    *made = signer;
    *ret = made;
    return OK;
}

void token_signer_free(struct token_signer *signer)
{
    if (signer == NULL)
        return;
    EVP_PKEY_free(signer->key.key);
    free(signer);
}

const char *token_signer_kid(const struct token_signer *signer)
{
    return signer->key.kid;
}

static result write_pair(EVP_PKEY *key, const char *private_path, const char *public_path)
{
    BIO *private_pem = BIO_new(BIO_s_secmem()), *public_pem = BIO_new(BIO_s_mem());
    must(private_pem != NULL && public_pem != NULL);
    must(PEM_write_bio_PKCS8PrivateKey(private_pem, key, NULL, NULL, 0, NULL, NULL) == 1);
    must(PEM_write_bio_PUBKEY(public_pem, key) == 1);
    char *text = NULL;
    size_t len = (size_t)BIO_get_mem_data(private_pem, &text);
    result r = key_file_create(private_path, 0600, (struct str){ text, len });
    if (!failed(r)) {
        len = (size_t)BIO_get_mem_data(public_pem, &text);
        r = key_file_create(public_path, 0644, (struct str){ text, len });
        if (failed(r))
            unlink(private_path);
    }
    BIO_free(private_pem);
    BIO_free(public_pem);
    return r;
}

result token_key_generate(const char *private_path, const char *public_path)
{
    if (access(public_path, F_OK) == 0)
        return FAIL(E_CONFLICT, "Move the file away if it is not needed: a key file is never overwritten.",
                    "the file \"%s\" already exists", public_path);
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    must(key != NULL);
    result r = write_pair(key, private_path, public_path);
    EVP_PKEY_free(key);
    return r;
}
