#pragma once
/* One SSH session with one host, on a fiber: SSH v2, only the pinned host key, an Ed25519 user key, and the few algorithms of
 * policy.h. A remote command is an argv list; quote.c quotes it for the shell on the host.
 *
 * A session serves one call at a time; other calls wait, first come, first served. E_DEADLINE or E_CANCELLED during a call,
 * and every loss of the connection, end the session: the socket is closed at once, and every later call fails with E_UNAVAILABLE.
 * Closing the session does not end the remote command; the guard does (guard.h). Every function that waits says so. */
#include "base/arena.h"
#include "loop/fiber.h"
#include "ssh/guard.h"

enum {
    SSH_DIGEST_SIZE = 65,              /* hexadecimal, and a NUL */
    SSH_FINGERPRINT_SIZE = 51,         /* "SHA256:" and 43 letters, and a NUL */
    SSH_COMMAND_BYTES_MAX = 32 * 1024, /* of a command line, quoted and with its guard */
    SSH_INPUT_BYTES_MAX = 16 << 20,    /* of standard input; more is for ssh_put */
    SSH_OUTPUT_BYTES = 64 * 1024,      /* kept of each stream, if the command sets no limit */
};

/* ---- the record ---- of every remote command, once, when it has ended or was lost. argv is the command's own, without its
 * guard. A put is recorded too, as { "put", PATH } with the digest of the file, and ssh_guard_over as
 * { "over", STATE, FENCE, STEP, ATTEMPT }. */
struct ssh_trace {
    const char *run, *step; /* of the command; may be NULL */
    const char *host;
    const char *const *argv;
    const struct error *error; /* NULL: it ran to its end, and the members below are known */
    int exit_status;           /* -1: killed by a signal, or not known */
    const char *signal;        /* "KILL"; NULL: none */
    uint64_t duration_ms;
    char digest[SSH_DIGEST_SIZE];
};

/* ---- the session ---- */
struct ssh_options {
    const char *host;    /* its name in messages and records */
    const char *address; /* a name (resolved off the loop) or a numeric address; NULL: `host` */
    uint16_t port;       /* 0: 22 */
    const char *user;
    const char *private_key;    /* the path of an OpenSSH Ed25519 key without a passphrase, mode 0600 */
    const char *host_key;       /* the pin: "ssh-ed25519 AAAA..." */
    uint64_t connect_within_ms; /* resolving, TCP, key exchange and login together; 0: 10,000 */
    uint64_t keepalive_ms;      /* of keepalives to a silent host, which is lost after three; 0: 5,000 */
    void (*record)(void *context, const struct ssh_trace *trace); /* may be NULL; does not wait */
    void *record_context;
};

struct ssh;

/* Waits. The options are not kept. E_HOST_KEY: the host's key is not the pin (the error has both fingerprints; the host did
 * not learn the user's name or key). E_SSH: it is not an SSH v2 server, offers only weak algorithms, or refuses the user's
 * key. E_CONFIG: the pin or the private key is not usable. E_UNAVAILABLE: no answer, or not in time. */
result ssh_connect(const struct ssh_options *options, struct ssh **ret) MUST_USE;
void ssh_close(struct ssh *ssh);        /* does not wait; no call may be running; takes NULL */
bool ssh_serves(const struct ssh *ssh); /* false: the session is lost; close it */

struct ssh_negotiated {
    const char *kex, *host_key, *cipher_out, *cipher_in, *mac_out, *mac_in; /* out: from here to the host */
    const char *server_version, *client_version; /* "SSH-2.0-OpenSSH_9.2p1 Debian-2" */
    char fingerprint[SSH_FINGERPRINT_SIZE];      /* of the host key */
    bool strict_kex_offered; /* by the server, against CVE-2023-48795; libssh2 1.10 cannot use it */
};
void ssh_negotiated(const struct ssh *ssh,
                    struct ssh_negotiated *ret); /* strings live as long as the session */

/* ---- commands ---- */
struct ssh_command {
    const char *const *argv; /* ends with NULL; argv[0] is looked up in the remote PATH */
    struct str input;        /* standard input, whole */
    size_t out_max, err_max; /* bytes kept; the rest counts for size and digest only. 0: SSH_OUTPUT_BYTES */
    uint64_t within_ms;      /* not 0 */
    const struct ssh_guard *guard; /* NULL: not guarded: it goes on when the session is lost */
    const char *run, *step;        /* for the record; may be NULL */
};

struct ssh_output {
    struct str out, err; /* in the arena, with a NUL after */
    bool out_cut, err_cut;
    uint64_t out_bytes, err_bytes; /* all of them */
    int exit_status;               /* -1: killed by a signal */
    const char *signal;            /* "KILL"; NULL: none */
    uint64_t duration_ms;
    char digest[SSH_DIGEST_SIZE]; /* SHA-256 over the SHA-256 of all of stdout and that of all of stderr */
};

/* Waits until the command has ended and all its output is here; so a daemon that it starts must close its output. OK also for
 * a command that failed: check the signal and the exit status. E_LIMIT: argv or input are too large. E_ARGUMENT: argv has no
 * program. E_DEADLINE: it did not end in time; a guarded command was ended on the host, and the session still works unless the
 * host did not answer either. E_STALE: the guard refused it because its run or step is over; nothing was done. */
result ssh_exec(struct ssh *ssh, struct arena *arena, const struct ssh_command *command,
                struct ssh_output *ret) MUST_USE;

/* ---- files ---- */
struct ssh_file {
    const char *path;              /* there; absolute */
    struct str bytes;              /* its content; or */
    const char *local;             /* the path of a local file, read off the loop */
    uint32_t mode;                 /* 0600 */
    uint64_t within_ms;            /* not 0 */
    const struct ssh_guard *guard; /* for the rename: a straggler's file does not appear. May be NULL */
    const char *run, *step;
};

/* Waits. Writes a temporary file beside `path` by SFTP, with fsync and mode, then renames it: a reader sees the old file or
 * the new one, never a part. Fails if `path` is a directory. After a failure the target is unchanged; a lost session may leave the
 * temporary file (PATH.domicile-HEX). */
result ssh_put(struct ssh *ssh, struct arena *arena, const struct ssh_file *file) MUST_USE;
