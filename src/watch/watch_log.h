#pragma once
/* A line of PostgreSQL's structured log: log_destination = 'jsonlog', lc_messages = 'C'. Pure.
 *
 * What a client sends (the names of a user, a database, an application) is in a JSON string there: it makes no line and no
 * member of its own. Only the server writes the beginning of a message; what a session wrote with RAISE has a context. */
#include "base/json.h"

enum watch_log_kind {
    WATCH_LOG_OTHER,
    WATCH_LOG_CONNECTION, /* authorized: its role and address are the session's own */
    WATCH_LOG_REPLICATION,
    WATCH_LOG_COMMAND,
};

struct watch_log_line {
    enum watch_log_kind kind;
    int64_t at_ms;          /* of any line; 0: its time is not UTC, or no time */
    struct str user, host;  /* of all but others; "[local]": a Unix socket */
    struct str application; /* of connections; it is what the client says */
    struct str command;     /* BASE_BACKUP, START_REPLICATION, ...; "another command" */
    bool tls;               /* of connections */
    json_t *json;           /* what the views are of */
};

/* `text` has no newline. False: it is not a line of a structured log, and *ret is not set. */
bool watch_log_parse(struct str text, struct watch_log_line *ret) MUST_USE;
void watch_log_line_done(struct watch_log_line *line);
