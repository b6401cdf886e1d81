#include "base/arena.h"
#include "base/encode.h"
#include "seal/fields.h"
#include "seal/rootkey_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
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
        return FAIL(E_KEY_PROVIDER, form_hint, "what \"%s\" gives is no root key", from);
    }
    static const uint8_t zeros[ROOTKEY_BYTES];
    if (secret_equal(key.secret.ptr, zeros, sizeof zeros)) {
        rootkey_free(&key);
        return FAIL(E_KEY_PROVIDER, "Make a key with: domicile key generate-root.",
                    "what \"%s\" gives is all zeros", from);
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

static result check_file(int fd, const char *path)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return FAIL(E_KEY_PROVIDER, NULL, "cannot look at \"%s\": %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return FAIL(E_KEY_PROVIDER, "Name the file that holds the key.", "\"%s\" is not a regular file",
                    path);
    if ((status.st_mode & 0177) != 0)
        return FAIL(E_KEY_PROVIDER, "Set its mode to 0600, and find out who has read it.",
                    "the root key file \"%s\" has mode %04o", path, (unsigned)(status.st_mode & 07777));
    if (status.st_uid != geteuid() && status.st_uid != 0)
        return FAIL(E_KEY_PROVIDER, "Let it belong to the user that the gateway runs as.",
                    "the root key file \"%s\" belongs to user %u", path, (unsigned)status.st_uid);
    return OK;
}

result rootkey_load_file(const char *path, struct root_key *ret)
{
    struct secret given = { 0 };
    size_t len = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return FAIL(E_KEY_PROVIDER,
                    "Check the path and its owner, or make a new key with: domicile key generate-root.",
                    "cannot open the root key file \"%s\": %s", path, strerror(errno));
    result r = check_file(fd, path);
    if (!failed(r))
        r = secret_new(&given, ROOTKEY_INPUT_MAX);
    if (!failed(r))
        r = read_file(fd, path, &given, &len);
    if (!failed(r))
        r = rootkey_decode((struct str){ (const char *)given.ptr, len }, path, ret);
    secret_free(&given);
    close(fd);
    return r;
}

static result sync_folder(const char *path)
{
    struct arena arena;
    arena_init(&arena);
    const char *slash = strrchr(path, '/');
    const char *folder =
        slash == NULL ? "." : arena_cstr(&arena, (struct str){ path, (size_t)(slash - path) + 1 });
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = fd >= 0 && fsync(fd) == 0;
    result r = synced ? OK : FAIL(E_IO, NULL, "cannot sync the folder \"%s\": %s", folder, strerror(errno));
    if (fd >= 0)
        close(fd);
    arena_done(&arena);
    return r;
}

static bool write_text(int fd, const struct secret *key)
{
    static const char digits[] = "0123456789abcdef";
    struct secret text;
    if (failed(secret_new(&text, 2 * key->len + 1)))
        return false;
    for (size_t i = 0; i < key->len; i++) {
        text.ptr[2 * i] = (uint8_t)digits[key->ptr[i] >> 4];
        text.ptr[2 * i + 1] = (uint8_t)digits[key->ptr[i] & 15];
    }
    text.ptr[2 * key->len] = '\n';
    bool written =
        write(fd, text.ptr, text.len) == (ssize_t)text.len && fchmod(fd, 0600) == 0 && fsync(fd) == 0;
    secret_free(&text);
    return written;
}

result rootkey_generate_file(const char *path)
{
    struct secret key;
    TRY(secret_new(&key, ROOTKEY_BYTES));
    random_bytes(key.ptr, key.len);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        int why = errno;
        secret_free(&key);
        errno = why;
        if (why == EEXIST)
            return FAIL(E_CONFLICT, "A root key is never overwritten: move the file away if it is of no use.",
                        "there is a file \"%s\" already", path);
        return FAIL(E_IO, "Check that the folder is there and may be written.", "cannot create \"%s\": %s",
                    path, strerror(errno));
    }
    result r = write_text(fd, &key) ? sync_folder(path)
                                    : FAIL(E_IO, "Check the space on the disk.", "cannot write \"%s\": %s",
                                           path, strerror(errno));
    secret_free(&key);
    close(fd);
    if (failed(r))
        unlink(path);
    return r;
}

void rootkey_fingerprint(const struct root_key *key, char text[ROOTKEY_FINGERPRINT_SIZE])
{
    uint8_t bytes[(ROOTKEY_FINGERPRINT_SIZE - 1) / 2];
    seal_hkdf(&key->secret, STR("domicile root key fingerprint v1"), bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

result rootkey_check(const struct root_key *key, struct str expected)
{
    char own[ROOTKEY_FINGERPRINT_SIZE];
    rootkey_fingerprint(key, own);
    if (!str_eq(str_from(own), expected))
        return FAIL(E_KEY_PROVIDER, "Give the root key that the region's class keys were wrapped with.",
                    "the root key has the fingerprint %s, not %.*s", own, STR_ARG(expected));
    return OK;
}
