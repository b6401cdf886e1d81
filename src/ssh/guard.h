#pragma once
/* The guard: a line of POSIX shell that starts a remote command, with no agent to install. It lets a command run only if
 * no later run or step has been on that host, and ends it when the session is gone or its time has passed.
 *
 * On the host it needs sh, flock (util-linux), timeout, sync and stat (coreutils), and a directory that the user may
 * write. docs/decisions/009-guard.md says how it works and what it cannot do. */
#include "base/arena.h"

/* Who sends a command. Tokens are ordered: by fence, then step, then attempt. A smaller one than the host has seen is
 * refused; an equal or greater one is recorded there, on disk, before its command starts. */
struct ssh_token {
    uint64_t fence; /* of the lease under which the run acts: it only grows. At most INT64_MAX */
    uint32_t step, attempt;
};

struct ssh_guard {
    const char *state; /* the directory in which the guard of that host keeps its state; absolute */
    struct ssh_token token;
};

struct ssh;

/* Waits. It is recorded under run and step, which may be NULL. Ends whatever is older than the guard's token on that
 * host: records the token, so that stragglers are refused from now on, ends the older commands that still run there, and
 * returns when none does. E_STALE: a later one has been there, and nothing was done. E_DEADLINE: one still runs. */
result ssh_guard_over(struct ssh *ssh, const struct ssh_guard *guard, const char *run, const char *step,
                      uint64_t within_ms) MUST_USE;
