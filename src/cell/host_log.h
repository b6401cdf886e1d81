#pragma once
/* Within cell/: the log of remote commands, STATE_PATH/commands/RUN.jsonl, one JSON object a line. */
#include "ssh/ssh.h"

struct host_log;
struct host_log *host_log_new(const char *state_path);
void host_log_free(struct host_log *log); /* takes NULL */
/* Blocks on the disk for the time of a short write. A failure is kept: host_log_failure says it before the next command. */
void host_log_add(struct host_log *log, const struct ssh_trace *trace);
result host_log_failure(const struct host_log *log) MUST_USE; /* takes NULL */
