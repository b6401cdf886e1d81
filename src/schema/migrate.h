#pragma once
/* A cell's schema: src/schema/NNN-name.sql, in the library itself, applied in order, each in a
 * transaction of its own, under one advisory lock. What was applied is remembered with its SHA-256: a file
 * that changed after it was applied is refused. The cell is stamped with region, name and epoch once, and
 * never again. Everything here waits. */
#include "pg/exec.h"

struct cell_stamp {
    const char *region, *cell;
    int64_t epoch; /* 1 for a new cell */
};

struct cell_migration {
    int version;
    const char *name; /* "001-base" */
    const char *sql;
    const char *sha256; /* of the file, 64 hexadecimal digits */
};
extern const struct cell_migration cell_migrations[]; /* in order, 1, 2, 3... */
extern const size_t cell_migration_count;

/* conn's user is a superuser: nobody else may act as domicile_owner, which owns the schema (guard.h). Each file is applied as
 * the owner, and has an audit row where the cell is stamped. Running it again changes nothing. applied (optional) is told
 * each file that was applied; "guard" where that was all. E_REGION_STAMP: the cell is another region's or cell's. E_SCHEMA:
 * an applied file has changed, or the cell is newer than this program. E_SQL: a file failed and was rolled back. */
result cell_migrate(struct pg_conn *conn, const struct cell_stamp *stamp,
                    void (*applied)(void *context, const struct cell_migration *migration), void *context)
    MUST_USE;

/* The same with other files: for tests. */
result cell_migrate_with(struct pg_conn *conn, const struct cell_stamp *stamp,
                         const struct cell_migration *migrations, size_t count,
                         void (*applied)(void *context, const struct cell_migration *migration),
                         void *context) MUST_USE;

/* For a gateway, on each connection before it serves: is this the expected cell, with the schema that the gateway
 * needs? ret_epoch may be NULL. E_REGION_STAMP, E_SCHEMA. */
result cell_check(struct pg_conn *conn, const char *region, const char *cell, int64_t *ret_epoch) MUST_USE;
