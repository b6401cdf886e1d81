#include "base/encode.h"
#include "seal/fields.h"
#include "seal/key_file.h"
#include "seal/rootkey_internal.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static const char form_hint[] = "Give 32 bytes, or their 64 hexadecimal digits, or their base64.";

void rootkey_free(struct root_key *key)
{
    secret_free(&key->secret);
}

/* The decoders' timing shows little, and once, at the start of a process on the host that holds the key. */
static bool decode(struct str given, uint8_t *key)
{
    size_t len = 0;
    if (given.len == ROOTKEY_BYTES) {
        memcpy(key, given.ptr, ROOTKEY_BYTES);
        return true;
    }
    if (given.len > 0 && given.ptr[given.len - 1] == '\n')
        given.len--;
    if (given.len > 0 && given.ptr[given.len - 1] == '\r')
        given.len--;
    bool decoded = given.len == 2 * (size_t)ROOTKEY_BYTES ? decode_hex(given, key, ROOTKEY_BYTES, &len)
                                                          : decode_base64(given, key, ROOTKEY_BYTES, &len);
    return decoded && len == ROOTKEY_BYTES;
}

result rootkey_decode(struct str given, const char *from, struct root_key *ret)
{
    struct root_key key = { 0 };
    TRY(secret_new(&key.secret, ROOTKEY_BYTES));
    if (!decode(given, key.secret.ptr)) {
        rootkey_free(&key);
        return FAIL(E_KEY_PROVIDER, form_hint, "the output of \"%s\" is not a root key", from);
    }
    static const uint8_t zeros[ROOTKEY_BYTES];
    if (secret_equal(key.secret.ptr, zeros, sizeof zeros)) {
        rootkey_free(&key);
        return FAIL(E_KEY_PROVIDER, "Create a key with: domicile key init.",
                    "the root key from \"%s\" is all zeros", from);
    }
    *ret = key;
    return OK;
}

static result read_file(int fd, const char *path, struct secret *given, size_t *ret_len)
{
    ssize_t got = read(fd, given->ptr, given->len); /* of a small regular file: all of it */
    if (got < 0)
        return FAIL(E_KEY_PROVIDER, NULL, "cannot read \"%s\": %s", path, strerror(errno));
    if ((size_t)got == given->len)
        return FAIL(E_KEY_PROVIDER, form_hint, "\"%s\" holds more than a root key", path);
    *ret_len = (size_t)got;
    return OK;
}

result rootkey_load_file(const char *path, struct root_key *ret)
{
    struct secret given = { 0 };
    size_t len = 0;
    int fd = -1;
    TRY(key_file_open(path, E_KEY_PROVIDER, &fd));
    result r = secret_new(&given, ROOTKEY_INPUT_MAX);
    if (!failed(r))
        r = read_file(fd, path, &given, &len);
    close(fd);
    if (!failed(r))
        r = rootkey_decode((struct str){ (const char *)given.ptr, len }, path, ret);
    secret_free(&given);
    return r;
}

result rootkey_generate_file(const char *path)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t bytes[ROOTKEY_BYTES];
    struct secret text;
    TRY(secret_new(&text, 2 * ROOTKEY_BYTES + 1));
    random_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < ROOTKEY_BYTES; i++) {
        text.ptr[2 * i] = (uint8_t)digits[bytes[i] >> 4];
        text.ptr[2 * i + 1] = (uint8_t)digits[bytes[i] & 15];
    }
    text.ptr[2 * ROOTKEY_BYTES] = '\n';
    secret_wipe(bytes, sizeof bytes);
    result r = key_file_create(path, 0600, (struct str){ (const char *)text.ptr, text.len });
    secret_free(&text);
    return r;
}

void rootkey_fingerprint(const struct root_key *key, char text[ROOTKEY_FINGERPRINT_SIZE])
{
    uint8_t bytes[(ROOTKEY_FINGERPRINT_SIZE - 1) / 2];
    seal_hkdf(&key->secret, STR("domicile root key fingerprint v1"), bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}
