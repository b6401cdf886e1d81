/* From a name to a session: TCP, key exchange, the pin, the log-in. */
#include "base/encode.h"
#include "config/host_key.h"
#include "loop/resolve.h"
#include "ssh/algorithms.h"
#include "ssh/internal.h"
#include "ssh/user_key.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECT_WITHIN_MS = 10000, SSH_PORT = 22 };

/* ---- TCP ---- */

static result unreachable(const struct ssh *ssh, const char *address, unsigned port, int error)
{
    return FAIL(E_UNAVAILABLE, "Check that sshd runs on that host and that this host can reach it.",
                "\"%s\" (%s port %u): %s", ssh->host, address, port, strerror(error));
}

static int open_socket(const char *address, unsigned port)
{
    char service[8];
    struct addrinfo *found, hints = { .ai_family = AF_UNSPEC,
                                      .ai_socktype = SOCK_STREAM,
                                      .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV };
    snprintf(service, sizeof service, "%u", port);
    if (getaddrinfo(address, service, &hints, &found) != 0)
        return -EADDRNOTAVAIL;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error = fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) == 0 ? 0 : errno;
    if (fd < 0)
        error = errno;
    freeaddrinfo(found);
    if (error == 0 || error == EINPROGRESS)
        return fd;
    if (fd >= 0)
        close(fd);
    return -error;
}

/* The kernel also notices a broken network, even when no command runs. */
static void set_habits(int fd)
{
    static const struct {
        int level, name, value;
    } habits[] = {
        { IPPROTO_TCP, TCP_NODELAY, 1 },   { SOL_SOCKET, SO_KEEPALIVE, 1 },
        { IPPROTO_TCP, TCP_KEEPIDLE, 10 }, { IPPROTO_TCP, TCP_KEEPINTVL, 5 },
        { IPPROTO_TCP, TCP_KEEPCNT, 3 },   { IPPROTO_TCP, TCP_USER_TIMEOUT, 25000 },
    };
    for (size_t i = 0; i < COUNT(habits); i++)
        must(setsockopt(fd, habits[i].level, habits[i].name, &habits[i].value, sizeof(int)) == 0);
}

static result reach(struct ssh *ssh, const struct ssh_options *options)
{
    unsigned port = options->port != 0 ? options->port : SSH_PORT;
    char address[ADDRESS_TEXT_SIZE];
    TRY(address_resolve(options->address != NULL ? options->address : options->host, address));
    int fd = open_socket(address, port), seen, error = 0;
    if (fd < 0)
        return unreachable(ssh, address, port, -fd);
    ssh->fd = fd;
    set_habits(fd);
    TRY(watch_new(&ssh->watch, fd));
    TRY(watch_wait(ssh->watch, WATCH_WRITABLE, &seen));
    socklen_t size = sizeof error;
    must(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0);
    return error == 0 ? OK : unreachable(ssh, address, port, error);
}

/* ---- key exchange ---- */

static void make_fingerprint(const void *blob, size_t len, char text[SSH_FINGERPRINT_SIZE])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    struct arena arena;
    SHA256(blob, len, digest);
    arena_init(&arena);
    struct str base64 = encode_base64(&arena, (struct str){ (const char *)digest, sizeof digest });
    snprintf(text, SSH_FINGERPRINT_SIZE, "SHA256:%.43s",
             base64.ptr); /* without its padding, as ssh-keygen -l */
    arena_done(&arena);
}

static const char something_else[] = "Check which server listens at that address and port.";

/* It sent no SSH version. A server at its limit closes the connection; a later try may succeed. */
static result why_no_version(const struct ssh *ssh)
{
    const char *first = ssh->hello.first;
    if (ssh->closed_by_host)
        return FAIL(E_UNAVAILABLE, "Check that sshd listens there, and its MaxStartups.",
                    "\"%s\" closed the connection before it sent its SSH version%s%.80s", ssh->host,
                    first[0] != '\0' ? "; it sent: " : "", first);
    return FAIL(E_SSH, something_else, "\"%s\" does not speak SSH: it sent \"%.80s\"", ssh->host, first);
}

/* The server's offer explains better than libssh2 why no algorithm can be agreed on. */
static result why_no_session(struct ssh *ssh)
{
    if (ssh->seen.code == E_OK && ssh->hello.state == HELLO_LINES)
        return why_no_version(ssh);
    result r = ssh->seen.code == E_OK && ssh->hello.state == HELLO_KNOWN
                   ? algorithms_check_offer(&ssh->hello.offer)
                   : OK;
    if (failed(r))
        return FAIL(r.error.code, r.error.hint, "\"%s\": %s", ssh->host, r.error.what);
    return session_failure(ssh, "exchanging keys");
}

static result shake_hands(struct ssh *ssh)
{
    int rc;
    TRY(algorithms_prefer(ssh->session));
    AGAIN(ssh, rc, libssh2_session_handshake(ssh->session, ssh->fd));
    if (rc != 0)
        return why_no_session(ssh);
    result r = algorithms_check_agreed(ssh->session);
    if (failed(r))
        return FAIL(r.error.code, r.error.hint, "\"%s\": %s", ssh->host, r.error.what);
    return OK;
}

static result check_host_key(struct ssh *ssh, const uint8_t pin[HOST_KEY_BLOB_BYTES])
{
    size_t len = 0;
    int type;
    const char *blob = libssh2_session_hostkey(ssh->session, &len, &type);
    if (blob == NULL)
        return session_failure(ssh, "reading the host key");
    make_fingerprint(blob, len, ssh->fingerprint);
    if (len == HOST_KEY_BLOB_BYTES && memcmp(blob, pin, len) == 0)
        return OK;
    char pinned[SSH_FINGERPRINT_SIZE];
    make_fingerprint(pin, HOST_KEY_BLOB_BYTES, pinned);
    return FAIL(E_HOST_KEY,
                "Another host may be answering: on the host's console, compare with "
                "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub before you change the pin.",
                "\"%s\" has the host key %s, but the pin is %s", ssh->host, ssh->fingerprint, pinned);
}

/* ---- log-in ---- */

struct key_loading {
    const char *path;
    struct secret text;
    size_t len;
    result outcome;
};

static void load_key(void *arg)
{
    struct key_loading *loading = arg;
    loading->outcome = user_key_load(loading->path, &loading->text, &loading->len);
}

static result offer_key(struct ssh *ssh, const char *user, const struct key_loading *key)
{
    int rc;
    AGAIN(ssh, rc,
          libssh2_userauth_publickey_frommemory(ssh->session, user, strlen(user), NULL, 0,
                                                (const char *)key->text.ptr, key->len, NULL));
    if (rc == LIBSSH2_ERROR_AUTHENTICATION_FAILED || rc == LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED)
        return FAIL(E_SSH, "Add its public key to authorized_keys of that user on the host.",
                    "\"%s\" refuses the key \"%s\" of user \"%s\"", ssh->host, key->path, user);
    return rc == 0 ? OK : session_failure(ssh, "logging in");
}

static result log_in(struct ssh *ssh, const struct ssh_options *options)
{
    struct key_loading key = { .path = options->private_key };
    TRY(fiber_offload(load_key, &key));
    TRY(key.outcome);
    result r = offer_key(ssh, options->user, &key);
    secret_free(&key.text);
    TRY(r);
    ssh->logged_in = true;
    libssh2_keepalive_config(ssh->session, 1, 1);
    return OK;
}

/* ---- the whole ---- */

static result establish(struct ssh *ssh, const struct ssh_options *options)
{
    uint8_t pin[HOST_KEY_BLOB_BYTES];
    if (!host_key_parse(str_from(options->host_key), pin))
        return FAIL(
            E_CONFIG,
            "Copy the line of /etc/ssh/ssh_host_ed25519_key.pub from that host: \"ssh-ed25519 AAAA...\".",
            "the pinned host key of \"%s\" is not an Ed25519 public key", options->host);
    TRY(reach(ssh, options));
    TRY(shake_hands(ssh));
    TRY(check_host_key(ssh, pin));
    return log_in(ssh, options);
}

static pthread_once_t libssh2_ready = PTHREAD_ONCE_INIT;

static void prepare_libssh2(void)
{
    must(libssh2_init(0) == 0);
}

result ssh_connect(const struct ssh_options *options, struct ssh **ret)
{
    must(options->host != NULL && options->user != NULL && options->private_key != NULL &&
         options->host_key != NULL);
    must(pthread_once(&libssh2_ready, prepare_libssh2) == 0);
    uint64_t within_ms = options->connect_within_ms != 0 ? options->connect_within_ms : CONNECT_WITHIN_MS;
    struct ssh *ssh = NULL;
    TRY(session_new(options, &ssh));
    struct deadline deadline;
    deadline_begin(&deadline, within_ms);
    result r = establish(ssh, options);
    deadline_end(&deadline);
    if (!failed(r)) {
        *ret = ssh;
        return OK;
    }
    session_free(ssh);
    if (r.error.code == E_DEADLINE && !failed(fiber_check()))
        return FAIL(E_UNAVAILABLE, "Check that sshd runs on that host and that this host can reach it.",
                    "cannot log in to \"%s\" within %llu ms", options->host, (unsigned long long)within_ms);
    return r;
}

void ssh_negotiated(const struct ssh *ssh, struct ssh_negotiated *ret)
{
    LIBSSH2_SESSION *session = ssh->session;
    *ret = (struct ssh_negotiated){
        .kex = libssh2_session_methods(session, LIBSSH2_METHOD_KEX),
        .host_key = libssh2_session_methods(session, LIBSSH2_METHOD_HOSTKEY),
        .cipher_out = libssh2_session_methods(session, LIBSSH2_METHOD_CRYPT_CS),
        .cipher_in = libssh2_session_methods(session, LIBSSH2_METHOD_CRYPT_SC),
        .mac_out = libssh2_session_methods(session, LIBSSH2_METHOD_MAC_CS),
        .mac_in = libssh2_session_methods(session, LIBSSH2_METHOD_MAC_SC),
        .server_version = ssh->hello.line,
        .client_version = "SSH-2.0-libssh2_" LIBSSH2_VERSION,
        .strict_kex_offered = hello_offers(&ssh->hello, KEXINIT_KEX, STR("kex-strict-s-v00@openssh.com")),
    };
    memcpy(ret->fingerprint, ssh->fingerprint, sizeof ret->fingerprint);
}
