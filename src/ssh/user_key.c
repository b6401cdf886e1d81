#include "ssh/user_key.h"

#include "seal/key_file.h"

#include <errno.h>
#include <unistd.h>

/* The file's content before the secret part: its format, "not encrypted", one key, the key's type. */
static const char form[] = "openssh-key-v1\0"
                           "\0\0\0\4none"
                           "\0\0\0\4none"
                           "\0\0\0\0"
                           "\0\0\0\1"
                           "\0\0\0\x33"
                           "\0\0\0\x0bssh-ed25519";
enum { CIPHER_AT = 15 + 4 };

static const char make_one[] = "Create a key with: ssh-keygen -t ed25519 -N '' -f FILE.";

static int value_of(char c)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c == '\0' ? NULL : strchr(letters, c);
    return at == NULL ? -1 : (int)(at - letters);
}

/* The first bytes of base64 with newlines; no byte of the secret part is decoded. */
static size_t decode_start(struct str text, unsigned char *bytes, size_t size)
{
    uint32_t bits = 0;
    size_t held = 0, len = 0;
    for (size_t i = 0; i < text.len && len < size; i++) {
        int value = value_of(text.ptr[i]);
        if (value < 0)
            continue;
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            bytes[len++] = (unsigned char)(bits >> held);
        }
    }
    return len;
}

result user_key_check(struct str text, const char *from)
{
    static const struct str first = { "-----BEGIN OPENSSH PRIVATE KEY-----\n", 36 };
    unsigned char start[sizeof form - 1];
    if (!str_starts(text, first))
        return FAIL(E_CONFIG, make_one, "\"%s\" is not a private key in OpenSSH format", from);
    size_t len =
        decode_start((struct str){ text.ptr + first.len, text.len - first.len }, start, sizeof start);
    if (len == sizeof start && memcmp(start, form, sizeof start) == 0)
        return OK;
    if (len == sizeof start && memcmp(start + CIPHER_AT, form + CIPHER_AT, 4) != 0)
        return FAIL(E_CONFIG, "Use a key without a passphrase, on a host that only operators can log in to.",
                    "the private key \"%s\" has a passphrase", from);
    return FAIL(E_CONFIG, make_one, "the private key \"%s\" is not an Ed25519 key", from);
}

static result read_text(int fd, const char *path, struct secret *text, size_t *ret_len)
{
    ssize_t got = read(fd, text->ptr, text->len); /* of a small regular file: all of it */
    if (got < 0)
        return FAIL(E_CONFIG, NULL, "cannot read \"%s\": %s", path, strerror(errno));
    if ((size_t)got == text->len)
        return FAIL(E_CONFIG, make_one, "\"%s\" is too large for an Ed25519 key", path);
    TRY(user_key_check((struct str){ (const char *)text->ptr, (size_t)got }, path));
    *ret_len = (size_t)got;
    return OK;
}

result user_key_load(const char *path, struct secret *ret, size_t *ret_len)
{
    struct secret text = { 0 };
    int fd = -1;
    TRY(key_file_open(path, E_CONFIG, &fd));
    result r = secret_new(&text, USER_KEY_BYTES_MAX);
    if (!failed(r))
        r = read_text(fd, path, &text, ret_len);
    close(fd);
    if (failed(r)) {
        secret_free(&text);
        return r;
    }
    *ret = text;
    return OK;
}
