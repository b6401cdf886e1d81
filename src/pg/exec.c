#include "pg/exec.h"

#include "base/text.h"
#include "pg/internal.h"
#include "pg/shape.h"

#include <stdio.h>
#include <sys/socket.h>

enum { NAME_SIZE = 128 };

void pg_arrays_fill(struct pg_arrays *arrays, const struct pg_value *values, size_t count)
{
    must(count <= PG_PARAMS_MAX);
    for (size_t i = 0; i < count; i++) {
        bool is_null = values[i].ptr == NULL && values[i].len == 0;
        arrays->values[i] = is_null ? NULL : values[i].ptr != NULL ? values[i].ptr : values[i].number;
        arrays->lengths[i] = values[i].len;
        arrays->formats[i] = 1;
    }
}

struct str pg_first_line(const char *message)
{
    return (struct str){ message, strcspn(message, "\n") };
}

/* Refused for being there at the same time as others, or for having to wait too long; the same statement may pass
 * later: serialization_failure, deadlock_detected, lock_not_available, query_canceled. */
static bool is_busy(const char *sqlstate)
{
    static const char busy[][6] = { "40001", "40P01", "55P03", "57014" };
    for (size_t i = 0; i < COUNT(busy); i++)
        if (strcmp(sqlstate, busy[i]) == 0)
            return true;
    return false;
}

result pg_refused(const PGresult *refusal, const char *who, const char *name, char ret_sqlstate[6])
{
    const char *sqlstate = PQresultErrorField(refusal, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(refusal, PG_DIAG_MESSAGE_PRIMARY);
    if (message == NULL)
        message = PQresultErrorMessage(refusal);
    snprintf(ret_sqlstate, 6, "%s", sqlstate != NULL ? sqlstate : "");
    if (is_busy(ret_sqlstate))
        return FAIL(E_BUSY, "Try again in a moment.",
                    "\"%s\" cancelled \"%s\", which changed nothing (%s): %.*s", who, name, ret_sqlstate,
                    STR_ARG(pg_first_line(message)));
    return FAIL(E_SQL, "Check PostgreSQL's log at that time.", "\"%s\" refused \"%s\" (%s): %.*s", who, name,
                ret_sqlstate, STR_ARG(pg_first_line(message)));
}

static result lost(struct pg_conn *conn)
{
    if (conn->overflowed)
        return FAIL(E_UNAVAILABLE, PG_UNFIT_HINT, "\"%s\" answered with more than %d MiB", PQhost(conn->pq),
                    PG_ANSWER_BYTES_MAX / 1024 / 1024);
    return FAIL(E_UNAVAILABLE, "Check that PostgreSQL is running there and can be reached from this host.",
                "the connection to \"%s\" was lost: %.*s", PQhost(conn->pq),
                STR_ARG(pg_first_line(PQerrorMessage(conn->pq))));
}

static result send_all(struct pg_conn *conn)
{
    int left;
    while ((left = PQflush(conn->pq)) == 1) {
        int seen;
        TRY(fiber_await_fd(PQsocket(conn->pq), WATCH_READABLE | WATCH_WRITABLE, &seen));
        if ((seen & WATCH_READABLE) != 0 && !pg_consume(conn))
            return lost(conn);
    }
    return left == 0 ? OK : lost(conn);
}

static result next_result(struct pg_conn *conn, PGresult **ret)
{
    while (PQisBusy(conn->pq)) {
        int seen;
        TRY(fiber_await_fd(PQsocket(conn->pq), WATCH_READABLE, &seen));
        if (!pg_consume(conn))
            return lost(conn);
    }
    *ret = PQgetResult(conn->pq);
    return OK;
}

/* Takes all results of what was sent; keeps the last good one, and the first refusal. */
static result take_results(struct pg_conn *conn, const char *name, struct pg_reply *reply)
{
    result outcome = OK;
    for (;;) {
        PGresult *one = NULL;
        TRY(next_result(conn, &one));
        if (one == NULL)
            break;
        ExecStatusType status = PQresultStatus(one);
        if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
            PQclear(reply->result);
            reply->result = one;
            continue;
        }
        if (!failed(outcome) && status == PGRES_FATAL_ERROR)
            outcome = pg_refused(one, PQhost(conn->pq), name, reply->sqlstate);
        else if (!failed(outcome))
            outcome = FAIL(E_INTERNAL, NULL, "\"%s\" answered with %s", name, PQresStatus(status));
        PQclear(one);
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH)
            return outcome;
    }
    return failed(outcome) && PQstatus(conn->pq) == CONNECTION_BAD ? lost(conn) : outcome;
}

/* Nobody waits for the answer any more. The server sees the end of the connection, and ends the statement. */
static void hang_up(struct pg_conn *conn)
{
    (void)shutdown(PQsocket(conn->pq), SHUT_RDWR); /* fails when it is over already */
}

static result finish(struct pg_conn *conn, int sent, const char *name, struct pg_reply *reply)
{
    if (sent == 0)
        return lost(conn);
    pg_allow(conn, PG_ANSWER_BYTES_MAX);
    struct pg_reply taken = PG_REPLY_INIT;
    result r = send_all(conn);
    if (!failed(r))
        r = take_results(conn, name, &taken);
    if (r.error.code == E_DEADLINE || r.error.code == E_CANCELLED)
        hang_up(conn);
    if (failed(r)) {
        PQclear(taken.result);
        taken.result = NULL;
    }
    *reply = taken;
    return r;
}

/* A statement's first words name it in errors. */
static const char *name_of(const char *sql, char name[NAME_SIZE])
{
    text_shorten(name, NAME_SIZE, (struct str){ sql, strcspn(sql, "(\n") });
    return name;
}

result pg_exec(struct pg_conn *conn, const char *sql, const struct pg_value *params, size_t count,
               struct pg_reply *reply)
{
    TRY(fiber_check());
    struct pg_arrays arrays;
    pg_arrays_fill(&arrays, params, count);
    char name[NAME_SIZE];
    return finish(
        conn,
        PQsendQueryParams(conn->pq, sql, (int)count, NULL, arrays.values, arrays.lengths, arrays.formats, 1),
        name_of(sql, name), reply);
}

result pg_run(struct pg_conn *conn, const char *sql)
{
    struct pg_reply reply = PG_REPLY_INIT;
    result r = pg_exec(conn, sql, NULL, 0, &reply);
    pg_reply_done(&reply);
    return r;
}

result pg_run_script(struct pg_conn *conn, const char *script)
{
    TRY(fiber_check());
    struct pg_reply reply = PG_REPLY_INIT;
    result r = finish(conn, PQsendQuery(conn->pq, script), "script", &reply);
    pg_reply_done(&reply);
    return r;
}

result pg_prepare(struct pg_conn *conn, const char *name, const char *sql)
{
    TRY(fiber_check());
    struct pg_reply reply = PG_REPLY_INIT;
    result r = finish(conn, PQsendPrepare(conn->pq, name, sql, 0, NULL), name, &reply);
    pg_reply_done(&reply);
    return r;
}
