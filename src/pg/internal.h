#pragma once
/* What the files of this folder share; nobody else includes it. */
#include "pg/connect.h"
#include "pg/exec.h"

struct pg_conn {
    PGconn *pq;
};

enum { PG_PARAMS_MAX = 32 };

/* libpq wants parallel arrays. They point into `values`. */
struct pg_arrays {
    const char *values[PG_PARAMS_MAX];
    int lengths[PG_PARAMS_MAX], formats[PG_PARAMS_MAX];
};
void pg_arrays_fill(struct pg_arrays *arrays, const struct pg_value *values, size_t count);

/* Its first line, without the newline: libpq's messages are paragraphs. */
struct str pg_first_line(const char *message);

/* What the server refused, for the statement called `name`; copies the SQLSTATE. */
result pg_refused(const PGresult *refusal, const char *name, char ret_sqlstate[6]) MUST_USE;

/* Waits. Prepares one statement. */
result pg_prepare(struct pg_conn *conn, const char *name, const char *sql) MUST_USE;
