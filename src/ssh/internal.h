#pragma once
/* Shared by the files of this folder only.
 *
 * libssh2 never waits: every call of it is in a loop that repeats the same call while it returns EAGAIN; session_wait waits in
 * between. A call begins with session_begin and ends with session_end, which makes the session unusable if the call stopped
 * in the middle of a protocol exchange. */
#include "ssh/hello.h"
#include "ssh/ssh.h"

#include <libssh2.h>

struct ssh {
    LIBSSH2_SESSION *session;
    LIBSSH2_CHANNEL *channel; /* of the call that runs */
    int fd;                   /* -1: closed */
    struct watch *watch;
    struct error lost; /* E_OK: the session works */
    struct error seen; /* by the callbacks: the reason why libssh2 will fail */
    bool logged_in;
    bool closed_by_host;
    struct semaphore one; /* call at a time */
    size_t turn_bytes;    /* moved since the loop had its turn */
    bool turn_is_over;
    size_t early_bytes;   /* received before the log-in */
    struct block *blocks; /* libssh2's memory */
    size_t memory_bytes;
    uint64_t moved_ns; /* when the last byte came or went */
    uint64_t keepalive_ms;
    struct hello hello;
    char fingerprint[SSH_FINGERPRINT_SIZE];
    const char *host;
    void (*record)(void *context, const struct ssh_trace *trace);
    void *record_context;
    struct arena arena;    /* of the session's strings */
    char chunk[32 * 1024]; /* of output */
};

/* ---- session.c ---- */
result session_new(const struct ssh_options *options, struct ssh **ret) MUST_USE;
void session_free(struct ssh *ssh); /* does not wait */

/* Waits until libssh2 should be called again. Fails if the fiber must end, or the host is silent for too long. */
result session_wait(struct ssh *ssh) MUST_USE;

/* The error for a failure of libssh2; `doing` names the step ("opening a channel"). */
result session_failure(struct ssh *ssh, const char *doing) MUST_USE;
result session_lose(struct ssh *ssh, result why); /* returns what it was given */

/* Repeats a call of libssh2 until it does not return EAGAIN; `rc` gets the number that it returns. */
#define AGAIN(ssh, rc, call)                                                                                 \
    while (((rc) = (call)) == LIBSSH2_ERROR_EAGAIN)                                                          \
    TRY(session_wait(ssh))

result session_begin(struct ssh *ssh) MUST_USE; /* waits for its turn; E_UNAVAILABLE: lost */
/* After session_begin: a failure in the middle of a protocol exchange ends the session. */
void session_end(struct ssh *ssh);

/* ---- exec.c ---- within session_begin and session_end; when it fails, the session is lost */
struct ssh_line {
    const char *text; /* for the shell there */
    struct str input;
    bool
        hold_input; /* the end of input is not sent before the command has ended: it would end a guarded one */
    size_t out_max, err_max;
    uint64_t within_ms;
};
result exec_line(struct ssh *ssh, struct arena *arena, const struct ssh_line *line, struct ssh_output *ret)
    MUST_USE;
/* Calls the session's recorder; `output` is what is known. */
void exec_record(struct ssh *ssh, const struct ssh_command *command, const struct ssh_output *output,
                 const result *outcome);
result exec_command(struct ssh *ssh, struct arena *arena, const struct ssh_command *command,
                    struct ssh_output *ret) MUST_USE;

/* ---- guard.c ---- */
result guard_line(struct arena *arena, const struct ssh_command *command, struct ssh_line *line) MUST_USE;
/* What the guard said about a command that has ended. */
result guard_verdict(struct ssh *ssh, const struct ssh_command *command, const struct ssh_output *output)
    MUST_USE;
