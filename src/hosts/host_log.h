#pragma once
/* The record of remote commands, one JSON object a line: at, run, step, host, argv, exit_status, signal, duration_ms,
 * digest (of the output), error. Those of a run are in STATE_PATH/commands/RUN.jsonl. Those of whoever only looks have
 * its name for a run, and all are in STATE_PATH/commands/look-YYYY-MM-DD.jsonl (UTC), a file a day. Who begins a day's
 * file removes those of more than HOST_LOG_DAYS before.
 *
 * Several processes write into one file, a line a write(). A crash or a full disk may tear a line; those after it are
 * whole. There may be empty lines. Folders that are made are 0700 and files 0600; what root makes belongs to
 * whoever has the folder above. Nothing here waits but for the disk, for the time of a short write. */
#include "ssh/ssh.h"

enum {
    HOST_LOG_DAYS = 7,
    HOST_LOG_ARGV_BYTES =
        4096, /* of all words of an argv; of a longer one the rest is left out, and argv_cut is true */
};

struct host_log_options {
    const char *state_path;
    const char *looker; /* "node-check": the run of a command that names none, or this one */
    /* A command that looked is not recorded, and why. Told once, and again only when one was recorded between. */
    void (*unrecorded)(void *context, const struct error *why);
    void *context;
};

struct host_log;
/* The strings are copied. */
struct host_log *host_log_new(const struct host_log_options *options);
void host_log_free(struct host_log *log); /* takes NULL */

/* The commands of sessions that are opened with these options are recorded. A log of NULL leaves them as they are. */
void host_log_attach(struct host_log *log, struct ssh_options *options);
void host_log_add(struct host_log *log, const struct ssh_trace *trace);

/* E_IO: a command of a run could not be recorded, and so there shall be no further one. Takes NULL. */
result host_log_failure(const struct host_log *log) MUST_USE;
