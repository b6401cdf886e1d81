#pragma once
/* The trace of what writes no audit row otherwise: refusals, tokens given, alarms. Each gets a line of the log and a row
 * of the audit log with its request's id; in each minute the first TRACE_KEPT of a kind, the rest are summed.
 *
 * Noting never waits, and never fails what it is about: rows wait in queues, one a cell and one for what belongs to none
 * (the region's first cell keeps these), and a fiber of each queue writes one row at a time. What finds a queue full,
 * since its cell is away, is dropped, counted, and told once a minute. */
#include "gateway/trace_minute.h"
#include "records/store.h"

enum { TRACE_QUEUE_ROWS = 1024, TRACE_QUEUE_BYTES = 512 * 1024 };

/* What a row says. Strings may be empty; what is longer than its column is cut, a longer key left out. */
struct trace_event {
    enum trace_kind kind;
    struct record_cell *cell; /* whose row it is; NULL: of none */
    struct str outcome;       /* of a refusal: the error's slug */
    struct str customer, class, key;
    struct record_actor actor; /* client and role "unknown": nobody was authenticated */
    struct str home;           /* the region where the request belongs */
};

/* A row as it is written. request_to is empty and count 0 but for sums. */
struct trace_row {
    const char *action;
    struct trace_event event;
    uint32_t count;
    struct str request_to;
};

struct trace_options {
    struct record_cell *cells; /* at least one */
    size_t cell_count;
    /* Writes one row; waits. E_UNAVAILABLE, E_BUSY and E_EPOCH: nothing was done, and it is tried again later. With any
     * other error the row is dropped: it was refused, or nobody knows whether it was written. */
    result (*write)(void *context, struct record_cell *cell, const struct trace_row *row);
    void *context;
};

struct trace;
/* E_RESOURCE: no fibers. */
result trace_new(const struct trace_options *options, struct trace **ret) MUST_USE;
/* Ends the minute, and writes what can be written within that time. Takes NULL. Waits. */
void trace_free(struct trace *trace, uint64_t within_ms);

/* Logs it, but for alarms, which the caller does. False: it was added to a sum, and the caller logs nothing. NULL: there is no
 * trace yet, or no more; true. */
bool trace_note(struct trace *trace, const struct trace_event *event);

struct trace_stats {
    uint64_t rows, summed, dropped; /* events; those dropped may be in one of the others as well */
    size_t queued;                  /* rows that wait for their cell */
};
struct trace_stats trace_stats(const struct trace *trace);

/* trace_options.write of a gateway; context: its record_store. */
result trace_write(void *store, struct record_cell *cell, const struct trace_row *row) MUST_USE;
