#pragma once
/* What the files of this folder share; nobody else includes it. */
#include "pg/connect.h"
#include "pg/exec.h"

struct pg_conn {
    PGconn *pq;
    size_t allowed;  /* bytes that may arrive yet: pg_allow */
    bool overflowed; /* more would have come: nothing is read any more */
};

/* From now on `bytes` may arrive, TLS included. libpq takes as much memory as a message says that it has, so what a server
 * may send is limited below it, where the bytes come in. Without TLS (throw-away servers) there is no limit. */
void pg_watch_reads(struct pg_conn *conn); /* from the beginning; PG_ANSWER_BYTES_MAX at first */
void pg_allow(struct pg_conn *conn, size_t bytes);
bool pg_consume(
    struct pg_conn *conn); /* PQconsumeInput; false: the connection is lost, or more came than may */

enum { PG_PARAMS_MAX = 32 };

/* libpq wants parallel arrays. They point into `values`. */
struct pg_arrays {
    const char *values[PG_PARAMS_MAX];
    int lengths[PG_PARAMS_MAX], formats[PG_PARAMS_MAX];
};
void pg_arrays_fill(struct pg_arrays *arrays, const struct pg_value *values, size_t count);

/* Its first line, without the newline: libpq's messages are paragraphs. */
struct str pg_first_line(const char *message);

/* What the server, called `who`, refused, for the statement called `name`; copies the SQLSTATE. */
result pg_refused(const PGresult *refusal, const char *who, const char *name, char ret_sqlstate[6]) MUST_USE;

/* Waits. Prepares one statement. */
result pg_prepare(struct pg_conn *conn, const char *name, const char *sql) MUST_USE;
