#pragma once
/* The record of remote commands, one JSON object a line: at, run, step, host, argv, exit_status, signal, duration_ms,
 * digest (of the output), error. Commands of a run are in STATE_PATH/commands/RUN.jsonl. Read-only commands outside a run are
 * in STATE_PATH/commands/look-YYYY-MM-DD.jsonl (UTC), one file a day; their "run" is the name of the looker. The process that
 * begins a day's file removes files that are older than HOST_LOG_DAYS.
 *
 * Several processes write into one file, one line for each write(). A crash or a full disk may leave a line incomplete; later
 * lines are whole. There may be empty lines. New folders have mode 0700, new files 0600; if root creates them, their owner is
 * the owner of the folder above. Nothing here waits, except for the disk, for a short write. */
#include "ssh/ssh.h"

enum {
    HOST_LOG_DAYS = 7,
    HOST_LOG_ARGV_BYTES = 4096, /* of all words of an argv; a longer one is cut, with argv_cut true */
};

struct host_log_options {
    const char *state_path;
    const char *looker; /* "node-check": the run of commands that have none */
    /* Called when a read-only command cannot be recorded. Once, and again only after one was recorded. */
    void (*unrecorded)(void *context, const struct error *why);
    void *context;
};

struct host_log;
/* The strings are copied. */
struct host_log *host_log_new(const struct host_log_options *options);
void host_log_free(struct host_log *log); /* takes NULL */

/* Sessions that are opened with these options record their commands. A log of NULL changes nothing. */
void host_log_attach(struct host_log *log, struct ssh_options *options);
void host_log_add(struct host_log *log, const struct ssh_trace *trace);

/* E_IO: a command of a run could not be recorded, so the run must not send another one. Takes NULL. */
result host_log_failure(const struct host_log *log) MUST_USE;
