#include "ssh/algorithms.h"

enum { DIRECTIONS = 2 };

static const struct row {
    const char *what, *names;
    struct {
        int method;             /* libssh2's number */
        enum kexinit_list list; /* the server's */
    } directions[DIRECTIONS];
} rows[] = {
    { "key exchange",
      "curve25519-sha256,curve25519-sha256@libssh.org",
      { { LIBSSH2_METHOD_KEX, KEXINIT_KEX }, { LIBSSH2_METHOD_KEX, KEXINIT_KEX } } },
    { "host key",
      "ssh-ed25519",
      { { LIBSSH2_METHOD_HOSTKEY, KEXINIT_HOST_KEY }, { LIBSSH2_METHOD_HOSTKEY, KEXINIT_HOST_KEY } } },
    { "cipher",
      "aes256-ctr",
      { { LIBSSH2_METHOD_CRYPT_CS, KEXINIT_CIPHER_CS }, { LIBSSH2_METHOD_CRYPT_SC, KEXINIT_CIPHER_SC } } },
    { "MAC",
      "hmac-sha2-512,hmac-sha2-256",
      { { LIBSSH2_METHOD_MAC_CS, KEXINIT_MAC_CS }, { LIBSSH2_METHOD_MAC_SC, KEXINIT_MAC_SC } } },
    { "compression",
      "none",
      { { LIBSSH2_METHOD_COMP_CS, KEXINIT_COMPRESSION_CS },
        { LIBSSH2_METHOD_COMP_SC, KEXINIT_COMPRESSION_SC } } },
};
enum { ROWS = COUNT(rows) };

result algorithms_prefer(LIBSSH2_SESSION *session)
{
    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < DIRECTIONS; j++)
            if (libssh2_session_method_pref(session, rows[i].directions[j].method, rows[i].names) != 0)
                return FAIL(E_INTERNAL, "Install libssh2 of Debian 12.",
                            "libssh2 %s does not have the %s \"%s\"", libssh2_version(0), rows[i].what,
                            rows[i].names);
    return OK;
}

static bool offers_one(struct str offered, struct str allowed)
{
    struct str each;
    while (str_cut(&allowed, ',', &each))
        if (name_is_listed(each, offered))
            return true;
    return false;
}

result algorithms_check_offer(const struct kexinit *offer)
{
    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < DIRECTIONS; j++) {
            struct str offered = offer->lists[rows[i].directions[j].list];
            if (!offers_one(offered, str_from(rows[i].names)))
                return FAIL(
                    E_SSH,
                    "Allow the algorithms that docs/security.md lists for SSH in sshd_config of that host.",
                    "the server offers no %s of \"%s\"; it offers \"%.*s\"", rows[i].what, rows[i].names,
                    STR_ARG(offered));
        }
    return OK;
}

/* Checks which algorithms libssh2 has negotiated, in case it used another list. */
result algorithms_check_agreed(LIBSSH2_SESSION *session)
{
    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < DIRECTIONS; j++) {
            const char *agreed = libssh2_session_methods(session, rows[i].directions[j].method);
            if (agreed == NULL || !name_is_listed(str_from(agreed), str_from(rows[i].names)))
                return FAIL(
                    E_SSH,
                    "Allow the algorithms that docs/security.md lists for SSH in sshd_config of that host.",
                    "the %s \"%s\" was negotiated, which is too weak", rows[i].what,
                    agreed != NULL ? agreed : "none");
        }
    return OK;
}
