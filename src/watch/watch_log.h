#pragma once
/* PostgreSQL's log lines, as log_line_prefix '%m [%p] %q%u@%d from %h ' and log_error_verbosity terse make them. Pure.
 *
 * The prefix has the user's name as the client sent it, so a client can put any text there, and forge lines. A name that
 * hides its own lines gives a forged line, which is a finding. */
#include "base/str.h"

enum watch_log_kind {
    WATCH_LOG_OTHER,
    WATCH_LOG_CONNECTION,
    WATCH_LOG_REPLICATION,
    WATCH_LOG_COMMAND,
    WATCH_LOG_FORGED, /* a line within a line: a user's name that looks like a line */
};

struct watch_log_line {
    enum watch_log_kind kind;
    int64_t at_ms; /* of any line; 0: its time is not UTC, or no time */
    struct str user, host;
    struct str application; /* of connections */
    struct str command;     /* BASE_BACKUP, START_REPLICATION, CREATE_REPLICATION_SLOT, ... */
    bool tls;               /* of connections */
};

/* Views into `line`, which has no newline. */
struct watch_log_line watch_log_parse(struct str line);
