#pragma once
/* What keeps the guards of a cell's schema (guard.sql): a superuser's event triggers, which note DDL on them, and the rights of
 * the roles around the schema's owner. Everything here waits. */
#include "pg/exec.h"

extern const char cell_guard_sql[], cell_guard_sha256[];

/* conn's user is a superuser, as for guard_keep. */
result guard_is_kept(struct pg_conn *conn, bool *ret) MUST_USE;
/* Applies guard.sql, in a transaction, and ends the administrator's sessions. */
result guard_keep(struct pg_conn *conn) MUST_USE;
/* What the current transaction has noted so far belongs to a schema file; nothing is there to note it in a new cell. */
result guard_note_migration(struct pg_conn *conn, const char *name) MUST_USE;
