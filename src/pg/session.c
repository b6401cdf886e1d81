#include "pg/session.h"

#include "base/clock.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

/* What a server says besides: settings that changed, warnings, TLS's own. */
enum { ELSEWHERE_BYTES = 64 * 1024 };

/* libuv's handles die in their close callbacks, later than the session. */
struct session_handles {
    uv_poll_t poll;
    uv_timer_t overdue;
    int open;
};

/* ---- lists ---- */

static void list_append(struct call_list *list, struct call *call)
{
    call->list = list;
    call->next = NULL;
    call->prev = list->last;
    *(list->last != NULL ? &list->last->next : &list->first) = call;
    list->last = call;
    list->count++;
}

static void list_remove(struct call *call)
{
    struct call_list *list = call->list;
    must(list != NULL);
    *(call->prev != NULL ? &call->prev->next : &list->first) = call->next;
    *(call->next != NULL ? &call->next->prev : &list->last) = call->prev;
    list->count--;
    call->list = NULL;
}

/* ---- calls ---- */

static void call_end(struct call *call, enum call_state state)
{
    call->state = state;
    wait_wake(&call->wait);
}

static void call_refuse(struct call *call, const struct error *error, const char *sqlstate)
{
    call->error = *error;
    snprintf(call->reply->sqlstate, sizeof call->reply->sqlstate, "%s", sqlstate);
    call_end(call, CALL_REFUSED);
}

static void call_take_out(struct call *call)
{
    if (call->list != NULL)
        list_remove(call);
    if (call->batch != NULL)
        call->batch->calls[call->slot] = NULL;
    call->batch = NULL;
}

void call_forget(struct call *call)
{
    call_take_out(call);
    pg_reply_done(call->reply);
}

void session_queue(struct session *session, struct call *call)
{
    call->state = CALL_WAITING;
    list_append(&session->queue, call);
    turn_hook_ask(&session->send);
}

size_t session_load(const struct session *session)
{
    size_t load = session->queue.count + session->again.count;
    for (size_t i = 0; i < session->in_flight; i++)
        load += session->batches[(session->oldest + i) % BATCHES_IN_FLIGHT].count;
    return load;
}

/* ---- the end of a connection ---- */

static void session_lose(struct session *session, result why)
{
    if (session->why.code != E_OK)
        return;
    session->why = session->last_word.code != E_OK ? session->last_word : why.error;
    wait_wake(session->ended);
}

/* Which statement the server is answering: the next of the oldest batch, NULL between batches. */
static const char *answering(const struct session *session)
{
    const struct batch *batch = &session->batches[session->oldest];
    return session->in_flight > 0 && batch->answered < batch->count ? batch->names[batch->answered] : NULL;
}

static result lost(struct session *session, const char *how)
{
    PGconn *pq = session->conn->pq;
    const char *statement = answering(session);
    if (session->conn->overflowed)
        return FAIL(E_SCHEMA, PG_UNFIT_HINT, "\"%s\" answered \"%s\" with more bytes than it may have",
                    session->name, statement == NULL ? "commit" : statement);
    return FAIL(E_UNAVAILABLE, "Check that PostgreSQL is running there and can be reached from this host.",
                "the connection to \"%s\" was lost: %s%.*s", PQhost(pq), how,
                STR_ARG(pg_first_line(PQerrorMessage(pq))));
}

/* What was sent may have been committed or not: a read may be sent again, once; a write's caller must be told. */
static void end_sent(struct call *call)
{
    pg_reply_done(call->reply);
    if (call->statement->idempotent && !call->sent_twice) {
        call->sent_twice = true;
        call_end(call, CALL_UNPLACED);
        return;
    }
    result unknown = FAIL(
        E_UNAVAILABLE,
        "Read the record before you write it again, or repeat the request with the same Idempotency-Key.",
        "the connection to the database was lost during \"%s\"; it is not known whether the change was made",
        call->statement->name);
    call_refuse(call, &unknown.error, "08007");
}

/* The call whose answer was too large is told so, and is not sent to another connection to do the same there. */
static void end_blamed(struct session *session)
{
    struct batch *batch = &session->batches[session->oldest];
    struct call *call = answering(session) == NULL ? NULL : batch->calls[batch->answered];
    if (!session->conn->overflowed || call == NULL)
        return;
    call_take_out(call);
    pg_reply_done(call->reply);
    call_refuse(call, &session->why, "");
}

static void end_unsent(struct call_list *list)
{
    for (struct call *call = list->first; call != NULL; call = list->first) {
        list_remove(call);
        call_end(call, CALL_UNPLACED);
    }
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct session_handles *handles = handle->data;
    if (--handles->open == 0)
        free(handles);
}

static void handles_close(struct session_handles *handles)
{
    handles->poll.data = handles->overdue.data = handles;
    uv_close((uv_handle_t *)&handles->poll, on_handle_closed);
    uv_close((uv_handle_t *)&handles->overdue, on_handle_closed);
}

void session_close(struct session *session, const struct error *why)
{
    if (session->conn == NULL)
        return;
    session->why = *why;
    turn_hook_forget(&session->send);
    handles_close(session->handles);
    session->handles = NULL;
    end_blamed(session);
    pg_close(session->conn);
    session->conn = NULL;
    for (; session->in_flight > 0; session->in_flight--) {
        struct batch *batch = &session->batches[session->oldest];
        for (size_t i = 0; i < batch->count; i++) {
            struct call *call = batch->calls[i];
            if (call != NULL) {
                call_take_out(call);
                end_sent(call);
            }
        }
        session->oldest = (session->oldest + 1) % BATCHES_IN_FLIGHT;
    }
    end_unsent(&session->again);
    end_unsent(&session->queue);
}

/* ---- how much may arrive ---- */

/* The rows of an answer are a message each; what has none is one. */
static size_t largest_message(const PGresult *one)
{
    int rows = PQntuples(one), columns = PQnfields(one);
    size_t largest = rows == 0 ? PQresultMemorySize(one) : 0;
    for (int row = 0; row < rows; row++) {
        size_t bytes = 16;
        for (int column = 0; column < columns; column++)
            bytes += 4 + (size_t)PQgetlength(one, row, column);
        if (bytes > largest)
            largest = bytes;
    }
    return largest;
}

static void note_messages(struct session *session, const PGresult *one)
{
    if (one == NULL || PQresultMemorySize(one) <= session->largest_message)
        return;
    size_t largest = largest_message(one);
    if (largest > session->largest_message)
        session->largest_message = largest;
}

/* Until the answer that comes is complete: itself, and what libpq reads beyond it, which is as much as its buffer holds:
 * less than twice the largest message, this answer's or an earlier one. */
static void allow(struct session *session)
{
    const struct batch *batch = &session->batches[session->oldest];
    size_t answer = answering(session) == NULL ? 0 : batch->answer_bytes[batch->answered];
    size_t largest = answer > session->largest_message ? answer : session->largest_message;
    pg_allow(session->conn, ELSEWHERE_BYTES + answer + 2 * largest);
}

/* ---- sending ---- */

static size_t params_bytes(const struct call *call)
{
    size_t bytes = 0;
    for (size_t i = 0; i < call->count; i++)
        bytes += (size_t)call->params[i].len;
    return bytes;
}

static bool batch_send_call(struct session *session, struct batch *batch, struct call *call)
{
    struct pg_arrays arrays;
    pg_arrays_fill(&arrays, call->params, call->count);
    if (PQsendQueryPrepared(session->conn->pq, call->statement->name, (int)call->count, arrays.values,
                            arrays.lengths, arrays.formats, 1) == 0)
        return false;
    list_remove(call);
    call->batch = batch;
    call->slot = batch->count;
    batch->answer_bytes[batch->count] = pg_shape_bytes(&call->statement->shape);
    batch->names[batch->count] = call->statement->name;
    batch->calls[batch->count++] = call;
    session->counters.statements++;
    return true;
}

static bool batch_fill(struct session *session, struct batch *batch)
{
    if (session->again.first != NULL)
        return batch_send_call(session, batch, session->again.first);
    size_t bytes = 0;
    while (session->queue.first != NULL && batch->count < BATCH_CALLS) {
        struct call *call = session->queue.first;
        bytes += params_bytes(call);
        if (batch->count > 0 && (bytes > BATCH_BYTES || call->statement->alone))
            break;
        if (!batch_send_call(session, batch, call))
            return false;
        if (call->statement->alone)
            break;
    }
    return true;
}

static void overdue_start(struct session *session, uint64_t within_ms);

static bool batch_send(struct session *session)
{
    struct batch *batch = &session->batches[(session->oldest + session->in_flight) % BATCHES_IN_FLIGHT];
    batch->count = batch->answered = 0;
    batch->undone = false;
    batch->head_since_ns = clock_monotonic_ns();
    session->in_flight++;
    session->counters.batches++;
    if (!uv_is_active((uv_handle_t *)&session->handles->overdue))
        overdue_start(session, session->overdue_ms);
    bool sent = batch_fill(session, batch) && PQpipelineSync(session->conn->pq) == 1;
    if (session->in_flight == 1)
        allow(session);
    return sent;
}

static void on_socket(uv_poll_t *poll, int status, int events);

static void watch(struct session *session, int events)
{
    if (session->watched == events)
        return;
    must(uv_poll_start(&session->handles->poll, events, on_socket) == 0);
    session->watched = events;
}

static void flush(struct session *session)
{
    int left = PQflush(session->conn->pq);
    if (left < 0)
        session_lose(session, lost(session, ""));
    else
        watch(session, left == 1 ? UV_READABLE | UV_WRITABLE : UV_READABLE);
}

/* While one batch is in flight, the next leaves when it is as large: a small one would only cost a commit of its own,
 * and its calls gain nothing, since the server takes one after the other. */
static bool batch_is_due(const struct session *session)
{
    if (session->in_flight == 0)
        return session->again.count + session->queue.count > 0;
    return session->in_flight < BATCHES_IN_FLIGHT &&
           session->again.count + session->queue.count >= session->batches[session->oldest].count;
}

static void on_turn(struct turn_hook *hook)
{
    struct session *session = (struct session *)((char *)hook - offsetof(struct session, send));
    while (session_serves(session) && batch_is_due(session)) {
        if (!batch_send(session))
            session_lose(session, lost(session, ""));
    }
    if (session_serves(session) && session->in_flight > 0)
        flush(session);
}

/* ---- receiving ---- */

/* A deadlock or a serialization failure blames one of several for being there at the same time: alone it may pass. */
static bool is_transient(const char *sqlstate)
{
    return sqlstate[0] == '4' && sqlstate[1] == '0';
}

static void batch_answer(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct call *call = batch->calls[i];
        if (call == NULL)
            continue;
        call->batch = NULL;
        call_end(call, CALL_ANSWERED);
    }
}

static void batch_undo(struct session *session, struct batch *batch)
{
    session->counters.undone++;
    for (size_t i = 0; i < batch->count; i++) {
        struct call *call = batch->calls[i];
        if (call == NULL)
            continue;
        call->batch = NULL;
        pg_reply_done(call->reply);
        bool to_blame = batch->count == 1 || i == batch->refused;
        if (to_blame && (batch->count == 1 || !is_transient(batch->sqlstate))) {
            call_refuse(call, &batch->refusal, batch->sqlstate);
        } else {
            list_append(&session->again, call);
            session->counters.again++;
        }
    }
}

static void batch_finish(struct session *session)
{
    struct batch *batch = &session->batches[session->oldest];
    session->oldest = (session->oldest + 1) % BATCHES_IN_FLIGHT;
    session->in_flight--;
    if (batch->undone)
        batch_undo(session, batch);
    else
        batch_answer(batch);
    if (session->in_flight > 0)
        session->batches[session->oldest].head_since_ns = clock_monotonic_ns();
    turn_hook_ask(&session->send);
}

/* Severity FATAL: the server says why it hangs up, and what follows is only that it did. */
static void keep_last_word(struct session *session, const PGresult *refusal)
{
    const char *severity = PQresultErrorField(refusal, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *message = PQresultErrorField(refusal, PG_DIAG_MESSAGE_PRIMARY);
    if (severity == NULL || message == NULL || strcmp(severity, "ERROR") == 0 ||
        session->last_word.code != E_OK)
        return;
    session->last_word =
        FAIL(E_UNAVAILABLE, "Check PostgreSQL's log at that time.", "\"%s\" ended the connection: %.*s",
             PQhost(session->conn->pq), STR_ARG(pg_first_line(message)))
            .error;
}

static void batch_refuse(struct session *session, struct batch *batch, const PGresult *refusal)
{
    keep_last_word(session, refusal);
    if (batch->undone)
        return;
    struct call *call = batch->answered < batch->count ? batch->calls[batch->answered] : NULL;
    batch->refusal =
        pg_refused(refusal, session->name, call != NULL ? call->statement->name : "commit", batch->sqlstate)
            .error;
    batch->refused = batch->answered;
    batch->undone = true;
}

/* One result of the oldest batch: a statement's rows or refusal, the NULL that ends a statement, or the Sync. */
static void take(struct session *session, PGresult *one)
{
    struct batch *batch = &session->batches[session->oldest];
    if (one == NULL) {
        bool at_commit = batch->answered == batch->count;
        if (at_commit && !batch->undone) /* after a refusal by the commit itself there is one more */
            session_lose(session, lost(session, "one answer too many"));
        batch->answered += !at_commit;
        return;
    }
    struct call *call = batch->answered < batch->count ? batch->calls[batch->answered] : NULL;
    switch (PQresultStatus(one)) {
    case PGRES_PIPELINE_SYNC:
        batch_finish(session);
        break;
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
        if (call != NULL && call->reply->result == NULL) {
            call->reply->result = one;
            return;
        }
        break;
    case PGRES_PIPELINE_ABORTED:
        break;
    default:
        batch_refuse(session, batch, one);
    }
    PQclear(one);
}

static void take_all(struct session *session)
{
    PGconn *pq = session->conn->pq;
    while (session_serves(session) && session->in_flight > 0 && !PQisBusy(pq)) {
        PGresult *one = PQgetResult(pq);
        if (PQstatus(pq) == CONNECTION_BAD) {
            if (one != NULL)
                batch_refuse(session, &session->batches[session->oldest], one);
            PQclear(one);
            session_lose(session, lost(session, ""));
            return;
        }
        note_messages(session, one);
        bool complete = one != NULL;
        take(session, one);
        if (complete && session_serves(session))
            allow(session);
    }
}

/* A TLS record may hold more than libpq took, and the socket is silent about that part. PostgreSQL 15 sends records
 * that libpq takes whole; 17 sends larger ones. */
static bool has_more(PGconn *pq)
{
    SSL *ssl = PQsslStruct(pq, "OpenSSL");
    return ssl != NULL && SSL_pending(ssl) > 0;
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct session *session = poll->data;
    if (!session_serves(session))
        return;
    if (status < 0) {
        session_lose(session, lost(session, uv_strerror(status)));
        return;
    }
    PGconn *pq = session->conn->pq;
    do {
        if (!pg_consume(session->conn)) {
            take_all(session);
            if (session_serves(session))
                session_lose(session, lost(session, ""));
            return;
        }
        take_all(session);
    } while (session_serves(session) && has_more(pq));
    if (session_serves(session))
        flush(session);
}

/* ---- a server that does not answer ---- */

static void on_overdue(uv_timer_t *timer)
{
    struct session *session = timer->data;
    if (!session_serves(session) || session->in_flight == 0)
        return;
    uint64_t waited_ms = (clock_monotonic_ns() - session->batches[session->oldest].head_since_ns) / 1000000;
    if (waited_ms < session->overdue_ms) {
        overdue_start(session, session->overdue_ms - waited_ms);
        return;
    }
    session_lose(session,
                 FAIL(E_UNAVAILABLE, "Check whether that server is overloaded, stopped or disconnected.",
                      "\"%s\" has not answered for %llu ms", PQhost(session->conn->pq),
                      (unsigned long long)waited_ms));
}

static void overdue_start(struct session *session, uint64_t within_ms)
{
    must(uv_timer_start(&session->handles->overdue, on_overdue, within_ms, 0) == 0);
}

/* ---- opening ---- */

void session_init(struct session *session, const char *name, uint64_t overdue_ms)
{
    *session = (struct session){ .name = name, .send = { .run = on_turn }, .overdue_ms = overdue_ms };
}

result session_open(struct session *session, struct pg_conn *conn, struct wait *ended)
{
    if (PQenterPipelineMode(conn->pq) == 0)
        return FAIL(E_INTERNAL, NULL, "cannot enter pipeline mode");
    struct session_handles *handles = calloc(1, sizeof *handles);
    if (handles == NULL)
        return FAIL(E_MEMORY, NULL, "not enough memory for a session");
    int status = uv_poll_init(loop_uv(), &handles->poll, PQsocket(conn->pq));
    if (status != 0) {
        free(handles);
        return FAIL(E_RESOURCE, NULL, "cannot watch the socket of the database: %s", uv_strerror(status));
    }
    must(uv_timer_init(loop_uv(), &handles->overdue) == 0);
    handles->open = 2;
    handles->poll.data = handles->overdue.data = session;
    session->conn = conn;
    session->handles = handles;
    session->ended = ended;
    session->why = session->last_word = (struct error){ .code = E_OK };
    session->oldest = session->in_flight = session->largest_message = 0;
    session->watched = 0;
    allow(session);
    watch(session, UV_READABLE);
    return OK;
}
