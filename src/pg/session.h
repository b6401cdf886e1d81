#pragma once
/* One connection of a pool while it serves: its queue, the batches in flight, the socket. Internal to the folder.
 *
 * A call lives on its caller's stack. It stands in at most one place: a session's queue, or a slot of a batch. Whoever
 * leaves early takes itself out (session_forget), and the answer that comes later is thrown away. */
#include "pg/internal.h"
#include "pg/pool.h"

enum {
    BATCH_CALLS = 128,         /* statements that share a Sync at most */
    BATCH_BYTES = 1024 * 1024, /* parameters in a batch, but for one that is larger alone */
    BATCHES_IN_FLIGHT = 2,
};

enum call_state {
    CALL_WAITING,
    CALL_ANSWERED,
    CALL_REFUSED,  /* call->error says why */
    CALL_UNPLACED, /* its connection is gone and nothing was done: find another */
};

struct call {
    const struct pg_statement *statement;
    const struct pg_value *params;
    size_t count;
    struct pg_reply *reply;
    struct wait wait;
    enum call_state state;
    bool sent_twice;
    struct call_list *list; /* where it stands, or */
    struct call *next, *prev;
    struct batch *batch; /* in which, and where there */
    size_t slot;
    struct error error; /* when refused */
};

struct call_list {
    struct call *first, *last;
    size_t count;
};

struct batch {
    struct call *calls[BATCH_CALLS];  /* NULL: its caller has left */
    size_t answer_bytes[BATCH_CALLS]; /* that may come; also for who has left */
    const char *names[BATCH_CALLS];
    size_t count, answered;
    size_t refused; /* the slot of the statement that failed; count: at the commit */
    bool undone;
    struct error refusal;
    char sqlstate[6];
    uint64_t head_since_ns; /* when it became the oldest in flight */
};

struct session_counters {
    uint64_t statements, batches, undone, again;
};

struct session {
    struct pg_conn *conn; /* NULL: not serving */
    const char *name;     /* of the pool */
    struct session_handles *handles;
    struct turn_hook send;
    struct call_list queue; /* to be batched */
    struct call_list again; /* after an undone batch: each in a transaction of its own */
    struct batch batches[BATCHES_IN_FLIGHT];
    size_t oldest, in_flight;
    size_t largest_message; /* of this connection */
    int watched;            /* uv events */
    uint64_t overdue_ms;
    struct wait *ended;
    struct error why;       /* it ended */
    struct error last_word; /* what the server said before it hung up */
    struct session_counters counters;
};

void session_init(struct session *session, const char *name, uint64_t overdue_ms);
/* Takes conn over. `ended` is woken when the connection is lost; call session_close then. */
result session_open(struct session *session, struct pg_conn *conn, struct wait *ended) MUST_USE;
/* Does not wait. Every call that stands here is refused or unplaced, and woken. */
void session_close(struct session *session, const struct error *why);

static inline bool session_serves(const struct session *session)
{
    return session->conn != NULL && session->why.code == E_OK;
}

void session_queue(struct session *session, struct call *call);
void call_forget(struct call *call);                /* its caller leaves */
size_t session_load(const struct session *session); /* for choosing: calls waiting and in flight */
