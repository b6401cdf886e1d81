#pragma once
/* Single statements and scripts on a plain connection: migrations, the CLI, checks. The record path uses
 * pool.h. Every function here waits. One fiber at a time on a connection. When the wait is cut short
 * (E_DEADLINE, E_CANCELLED) or fails with E_UNAVAILABLE, the connection cannot be used any more: close it.
 *
 * A wait that is cut short also ends the statement on the server, within a second: nothing of it is done. But a commit
 * that waits for a standby goes on waiting, and may be done later: of a write the outcome is unknown. */
#include "pg/connect.h"
#include "pg/reply.h"

/* One statement with parameters $1...; types follow from the statement. reply->sqlstate says why it was refused:
 * E_BUSY by a time limit, a deadlock or a concurrent transaction, and it may pass later; E_SQL by all else. Either way
 * nothing was done. */
result pg_exec(struct pg_conn *conn, const char *sql, const struct pg_value *params, size_t count,
               struct pg_reply *reply) MUST_USE;

/* One statement without parameters and without interest in its rows. */
result pg_run(struct pg_conn *conn, const char *sql) MUST_USE;

/* Statements separated by semicolons, one implicit transaction unless the script or an earlier BEGIN says
 * otherwise. */
result pg_run_script(struct pg_conn *conn, const char *script) MUST_USE;
