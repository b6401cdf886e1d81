#pragma once
/* A server without sockets: a test puts a peer's bytes into a connection and reads what comes out. */
#include "loop/on_loop.h"

#include "base/clock.h"
#include "base/log.h"
#include "http/internal.h"
#include "http/problem.h"

#include <stdio.h>
#include <stdlib.h>

/* The row of a table that is being looked at, for the message. */
#define check_row(row, condition)                                                                            \
    ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, "\"%s\": %s", (row), #condition))

struct memory {
    struct http_server *server;
    struct conn *conn;
    struct buf out; /* all that the connection has sent, with a NUL behind */
};

/* Long enough for handlers to run, answer and be flushed. */
static inline void settle(void)
{
    for (int i = 0; i < 8; i++)
        check_ok(fiber_yield());
}

static inline void memory_begin(struct memory *memory, const struct http_server_options *options, bool h2)
{
    *memory = (struct memory){ 0 };
    buf_init(&memory->out, 64 * 1024 * 1024);
    must(!failed(server_new_bare(&memory->server, options)) && buf_reserve(&memory->out, 1));
    memory->out.ptr[0] = '\0';
    memory->conn = conn_new(memory->server, NULL);
    must(memory->conn != NULL);
    memory->conn->handle_open = true; /* keeps it until memory_end */
    conn_open(memory->conn, h2 ? &h2_protocol : &h1_protocol);
}

static inline void memory_end(struct memory *memory)
{
    memory->conn->handle_open = false;
    conn_maybe_free(memory->conn);
    http_server_free(memory->server);
    buf_done(&memory->out);
}

/* Takes what is there to send, as the socket would. */
static inline void memory_collect(struct memory *memory)
{
    must(buf_append(&memory->out, buf_str(&memory->conn->out)) && buf_reserve(&memory->out, 1));
    memory->out.ptr[memory->out.len] = '\0';
    buf_done(&memory->conn->out);
    conn_wake_all(memory->conn);
    conn_touch(memory->conn);
}

static inline void memory_send(struct memory *memory, struct str bytes)
{
    conn_receive(memory->conn, bytes);
    settle();
    memory_collect(memory);
}

static inline bool memory_is_open(const struct memory *memory)
{
    return memory->conn->state == CONN_OPEN;
}

static inline bool has(const struct memory *memory, const char *text)
{
    return strstr(memory->out.ptr, text) != NULL;
}

static inline size_t count_of(const struct memory *memory, const char *part)
{
    size_t count = 0;
    for (const char *at = memory->out.ptr; (at = strstr(at, part)) != NULL; at += strlen(part))
        count++;
    return count;
}
