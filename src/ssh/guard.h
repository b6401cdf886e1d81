#pragma once
/* The guard: a line of POSIX shell that starts a remote command; no agent needs to be installed. It runs a command only if no
 * later run or step has sent one to that host, and ends it when the session is lost or its time limit has passed.
 *
 * The host needs sh, flock (util-linux), timeout, sync and stat (coreutils), and a directory that the user can write.
 * docs/decisions/009-guard.md explains how it works and what it cannot do. */
#include "base/arena.h"

/* Who sends a command. Tokens are ordered by fence, then step, then attempt. The host refuses a token that is smaller than one
 * that it has seen; it records an equal or greater token on disk before the command starts. */
struct ssh_token {
    uint64_t fence; /* of the lease under which the run acts: it only grows. At most INT64_MAX */
    uint32_t step, attempt;
};

struct ssh_guard {
    const char *state; /* the directory in which the guard of that host keeps its state; absolute */
    struct ssh_token token;
};

struct ssh;

/* Waits. Ends all commands with an older token on that host: records the token, so that stragglers are refused from now
 * on, stops older commands that still run, and returns when none runs. Recorded under run and step, which may be NULL.
 * E_STALE: a later token has been there, and nothing was done. E_DEADLINE: a command still runs. */
result ssh_guard_over(struct ssh *ssh, const struct ssh_guard *guard, const char *run, const char *step,
                      uint64_t within_ms) MUST_USE;
