#pragma once
/* One SSH session with one host, on a fiber: SSH v2, the pinned host key or nothing, an Ed25519 user key, and the few
 * algorithms of policy.h. A host is given argv lists; the shell there sees them quoted by quote.c and nothing else.
 *
 * A session serves one call at a time: others wait for it, first come, first served. A call that is cut short by
 * E_DEADLINE or E_CANCELLED, and every loss of the connection, ends the session: the socket is closed at once, and every
 * later call fails with E_UNAVAILABLE. Closing the session does not end the remote command by itself: the guard does
 * (guard.h). Every function that waits says so. */
#include "base/arena.h"
#include "loop/fiber.h"
#include "ssh/guard.h"

enum {
    SSH_DIGEST_SIZE = 65,              /* hexadecimal, and a NUL */
    SSH_FINGERPRINT_SIZE = 51,         /* "SHA256:" and 43 letters, and a NUL */
    SSH_COMMAND_BYTES_MAX = 32 * 1024, /* of a command line, quoted and with its guard */
    SSH_INPUT_BYTES_MAX = 16 << 20,    /* of standard input; more is for ssh_put */
    SSH_OUTPUT_BYTES = 64 * 1024,      /* kept of each stream when a command does not say */
};

/* ---- the record ---- of every remote command, told once, when it has ended or was lost. argv is the command's own,
 * without its guard. A put is recorded too, as { "put", PATH } with the digest of the file, and ssh_guard_over as
 * { "over", STATE, FENCE, STEP, ATTEMPT }. */
struct ssh_trace {
    const char *run, *step; /* as the command named them; may be NULL */
    const char *host;
    const char *const *argv;
    const struct error *error; /* NULL: it ran to its end, and what follows is known */
    int exit_status;           /* -1: killed by a signal, or not known */
    const char *signal;        /* "KILL"; NULL: none */
    uint64_t duration_ms;
    char digest[SSH_DIGEST_SIZE];
};

/* ---- the session ---- */
struct ssh_options {
    const char *host;    /* what messages and records call it */
    const char *address; /* a name (resolved off the loop) or a numeric address; NULL: `host` */
    uint16_t port;       /* 0: 22 */
    const char *user;
    const char *private_key;    /* the path of an OpenSSH Ed25519 key without a passphrase, mode 0600 */
    const char *host_key;       /* the pin: "ssh-ed25519 AAAA..." */
    uint64_t connect_within_ms; /* resolving, TCP, key exchange and log-in together; 0: 10,000 */
    uint64_t keepalive_ms; /* a silent host is asked so often, and is lost after three times that; 0: 5,000 */
    void (*record)(void *context, const struct ssh_trace *trace); /* may be NULL; does not wait */
    void *record_context;
};

struct ssh;

/* Waits. The options are not kept. E_HOST_KEY: the host has another key than the pin (both fingerprints are shown;
 * nothing of the user was told to it). E_SSH: it is no SSH v2 server, it offers too weak algorithms only, or it refuses
 * the user's key. E_CONFIG: the pin or the private key is not usable. E_UNAVAILABLE: nobody answers, or not in time. */
result ssh_connect(const struct ssh_options *options, struct ssh **ret) MUST_USE;
void ssh_close(struct ssh *ssh);        /* does not wait; no call may be in it; takes NULL */
bool ssh_serves(const struct ssh *ssh); /* false: it is lost, close it */

struct ssh_negotiated {
    const char *kex, *host_key, *cipher_out, *cipher_in, *mac_out, *mac_in; /* out: from here to the host */
    const char *server_version, *client_version; /* "SSH-2.0-OpenSSH_9.2p1 Debian-2" */
    char fingerprint[SSH_FINGERPRINT_SIZE];      /* of the host key */
    bool strict_kex_offered; /* the server would count its packets (CVE-2023-48795); libssh2 1.10 does not */
};
void ssh_negotiated(const struct ssh *ssh,
                    struct ssh_negotiated *ret); /* strings live as long as the session */

/* ---- commands ---- */
struct ssh_command {
    const char *const *argv; /* ends with NULL; argv[0] is looked up in the remote PATH */
    struct str input;        /* standard input, whole */
    size_t out_max, err_max; /* bytes kept; the rest is counted, digested and dropped. 0: SSH_OUTPUT_BYTES */
    uint64_t within_ms;      /* not 0 */
    const struct ssh_guard *guard; /* NULL: it is not guarded, and survives a session that is lost */
    const char *run, *step;        /* for the record; may be NULL */
};

struct ssh_output {
    struct str out, err; /* in the arena, a NUL behind */
    bool out_cut, err_cut;
    uint64_t out_bytes, err_bytes; /* all of them */
    int exit_status;               /* -1: killed by a signal */
    const char *signal;            /* "KILL"; NULL: none */
    uint64_t duration_ms;
    char digest[SSH_DIGEST_SIZE]; /* SHA-256 over the SHA-256 of all of stdout and that of all of stderr */
};

/* Waits until the command has ended and all its output is here: a daemon that it leaves behind must not hold its output.
 * OK also for a command that failed: look at the signal and the exit status. E_LIMIT: argv or input are too large.
 * E_ARGUMENT: argv cannot be said. E_DEADLINE: it did not end within its time; a guarded command was ended on the host,
 * and the session serves on unless the host did not answer either. E_STALE: the guard refused it, since its run or step
 * is over, and nothing was done. */
result ssh_exec(struct ssh *ssh, struct arena *arena, const struct ssh_command *command,
                struct ssh_output *ret) MUST_USE;

/* ---- files ---- */
struct ssh_file {
    const char *path;              /* there; absolute */
    struct str bytes;              /* what it shall hold; or */
    const char *local;             /* the path of a local file, read off the loop */
    uint32_t mode;                 /* 0600 */
    uint64_t within_ms;            /* not 0 */
    const struct ssh_guard *guard; /* for the rename: a straggler's file does not appear. May be NULL */
    const char *run, *step;
};

/* Waits. Through SFTP to a new name beside `path`, fsync, mode, then a rename that replaces what is there at once: a
 * reader sees the old file or the new one, never a part, and a file that stood there is gone. A directory there is
 * refused. After a failure the target is as it was; a lost session may leave the new name (PATH.domicile-HEX) behind. */
result ssh_put(struct ssh *ssh, struct arena *arena, const struct ssh_file *file) MUST_USE;
