#include "gateway/trace.h"

static struct pg_value text_or_null(struct str s)
{
    return s.len == 0 ? pg_null() : pg_text(s);
}

/* The pool says so where a write was sent and not answered. */
static bool outcome_is_unknown(const struct pg_reply *reply)
{
    return strcmp(reply->sqlstate, "08007") == 0;
}

static result ask(const struct record_store *store, struct record_cell *cell, const struct trace_row *row,
                  struct pg_reply *reply)
{
    const struct trace_event *event = &row->event;
    const struct record_actor *actor = &event->actor;
    const struct pg_value params[] = {
        pg_text(store->region),         pg_int8(cell->epoch),
        text_or_null(event->customer),  text_or_null(event->class),
        text_or_null(event->key),       row->count == 0 ? pg_null() : pg_int4((int32_t)row->count),
        pg_text(str_from(row->action)), pg_text(event->outcome),
        pg_text(actor->client),         pg_text(actor->role),
        pg_text(actor->rule),           text_or_null(event->home),
        pg_text(actor->request),        text_or_null(row->request_to)
    };
    return pg_pool_call(cell->pool, STATEMENT_AUDIT_ADD, str_hash(STR_HASH_INIT, actor->request), params,
                        COUNT(params), reply);
}

result trace_write(void *context, struct record_cell *cell, const struct trace_row *row)
{
    struct record_store *store = context;
    const struct record_shelf shelf = { .store = store, .cell = cell, .epoch = cell->epoch };
    struct pg_reply reply = PG_REPLY_INIT;
    result r = ask(store, cell, row, &reply);
    if (failed(r) && outcome_is_unknown(&reply))
        r = FAIL(E_DEADLINE, NULL, "the cell \"%s\" did not say whether it wrote an audit row", cell->name);
    else if (!failed(r) && !str_is(pg_reply_str(&reply, 0, 0), "recorded"))
        r = record_outcome_error(&shelf, pg_reply_str(&reply, 0, 0));
    pg_reply_done(&reply);
    return r;
}
