#include "gateway/trace.h"

#include "base/clock.h"
#include "base/log.h"
#include "loop/fiber.h"

#include <stdlib.h>

enum { LOOK_MS = 1000, RETRY_MS = 1000, KEY_MAX = 512 };

/* One allocation: its strings stand behind it. */
struct queued {
    struct queued *next;
    size_t bytes;
    struct trace_row row;
};

struct queue {
    struct trace *trace;
    struct record_cell *cell;
    struct queued *first, *last;
    size_t rows, bytes;
    struct wait *idle; /* of its fiber */
    bool over;         /* it has ended */
};

struct trace {
    struct trace_options options;
    struct trace_minute minute;
    bool minute_begun, ending;
    uint64_t minute_ns;
    uint64_t dropped_told; /* of stats.dropped, what the log knows */
    struct error why;      /* the last row was dropped, or could not be written */
    struct trace_stats stats;
    struct scope scope;
    size_t queue_count;
    struct queue queues[]; /* one a cell, then the one of what belongs to none */
};

static const char *const actions[TRACE_KINDS] = {
    [TRACE_REFUSAL] = "refusal", [TRACE_TOKEN] = "token", [TRACE_ALARM] = "alarm"
};

/* ---- queues ---- */

static struct str keep(char **at, struct str s, size_t max)
{
    struct str kept = { *at, s.len < max ? s.len : max };
    if (kept.len > 0)
        memcpy(*at, s.ptr, kept.len);
    *at += kept.len;
    return kept;
}

/* Cut words may end within a character of UTF-8, which PostgreSQL refuses; but only keys may have such. */
static struct queued *copy_row(const struct trace_row *row)
{
    enum { WORD_MAX = TRACE_WORD_SIZE - 1, RULE_MAX = TRACE_RULE_SIZE - 1 };
    const struct trace_event *event = &row->event;
    size_t room = 8 * WORD_MAX + RULE_MAX + (event->key.len <= KEY_MAX ? event->key.len : 0);
    struct queued *queued = malloc(sizeof *queued + room);
    must(queued != NULL);
    char *at = (char *)(queued + 1);
    *queued = (struct queued){ .bytes = sizeof *queued + room, .row = *row };
    struct trace_event *kept = &queued->row.event;
    kept->outcome = keep(&at, event->outcome, WORD_MAX);
    kept->customer = keep(&at, event->customer, WORD_MAX);
    kept->class = keep(&at, event->class, WORD_MAX);
    kept->home = keep(&at, event->home, WORD_MAX);
    kept->actor.client = keep(&at, event->actor.client, WORD_MAX);
    kept->actor.role = keep(&at, event->actor.role, WORD_MAX);
    kept->actor.request = keep(&at, event->actor.request, WORD_MAX);
    queued->row.request_to = keep(&at, row->request_to, WORD_MAX);
    kept->actor.rule = keep(&at, event->actor.rule, RULE_MAX);
    kept->key = event->key.len <= KEY_MAX ? keep(&at, event->key, KEY_MAX) : (struct str){ 0 };
    return queued;
}

static void drop(struct trace *trace, const struct trace_row *row)
{
    trace->stats.dropped += row->count == 0 ? 1 : row->count;
}

static void enqueue(struct queue *queue, const struct trace_row *row)
{
    struct queued *queued = copy_row(row);
    if (queue->rows >= TRACE_QUEUE_ROWS || queue->bytes + queued->bytes > TRACE_QUEUE_BYTES) {
        drop(queue->trace, row);
        free(queued);
        return;
    }
    if (queue->last != NULL)
        queue->last->next = queued;
    else
        queue->first = queued;
    queue->last = queued;
    queue->rows++;
    queue->bytes += queued->bytes;
    if (queue->idle != NULL)
        wait_wake(queue->idle);
}

static void dequeue(struct queue *queue)
{
    struct queued *queued = queue->first;
    queue->first = queued->next;
    if (queue->first == NULL)
        queue->last = NULL;
    queue->rows--;
    queue->bytes -= queued->bytes;
    free(queued);
}

static struct queue *queue_of(struct trace *trace, const struct record_cell *cell)
{
    for (size_t i = 0; cell != NULL && i + 1 < trace->queue_count; i++)
        if (trace->queues[i].cell == cell)
            return &trace->queues[i];
    return &trace->queues[trace->queue_count - 1];
}

/* ---- writing ---- */

static bool is_for_later(enum error_code code)
{
    return code == E_UNAVAILABLE || code == E_BUSY || code == E_EPOCH;
}

static result wait_for_rows(struct queue *queue)
{
    struct wait wait;
    wait_init(&wait);
    queue->idle = &wait;
    result r = wait_for(&wait);
    queue->idle = NULL;
    return r;
}

/* The first row stays in the queue while it is written. False: it is time to end. */
static bool write_first(struct queue *queue)
{
    struct trace *trace = queue->trace;
    result r = trace->options.write(trace->options.context, queue->cell, &queue->first->row);
    if (failed(r) && (failed(fiber_check()) || (trace->ending && is_for_later(r.error.code))))
        return false;
    if (failed(r))
        trace->why = r.error;
    if (failed(r) && is_for_later(r.error.code))
        return !failed(fiber_sleep(RETRY_MS));
    if (failed(r))
        drop(trace, &queue->first->row);
    dequeue(queue);
    return true;
}

static void write_all(void *arg)
{
    struct queue *queue = arg;
    bool more = true;
    while (more) {
        if (queue->first != NULL)
            more = write_first(queue);
        else
            more = !queue->trace->ending && !failed(wait_for_rows(queue));
    }
    queue->over = true;
}

/* ---- the minute ---- */

static void end_minute(struct trace *trace)
{
    for (size_t i = 0; i < trace->minute.sum_count; i++) {
        const struct trace_sum *sum = &trace->minute.sums[i];
        log_event(LOG_WARNING, "%u more in a minute: kind=%s outcome=%s rule=%s role=%s home=%s", sum->count,
                  actions[sum->kind], sum->outcome, sum->rule, sum->role, sum->home);
        const struct trace_row row = { .action = actions[sum->kind],
                                       .event = { .kind = sum->kind,
                                                  .outcome = str_from(sum->outcome),
                                                  .actor = { .client = STR("several"),
                                                             .role = str_from(sum->role),
                                                             .rule = str_from(sum->rule),
                                                             .request = str_from(sum->first) },
                                                  .home = str_from(sum->home) },
                                       .count = sum->count,
                                       .request_to = str_from(sum->last) };
        enqueue(queue_of(trace, NULL), &row);
    }
    if (trace->stats.dropped > trace->dropped_told) {
        log_failure(LOG_ERROR, &trace->why, "%llu refusals, tokens and alarms have no audit row",
                    (unsigned long long)(trace->stats.dropped - trace->dropped_told));
        trace->dropped_told = trace->stats.dropped;
    }
    trace->minute = (struct trace_minute){ 0 };
    trace->minute_begun = false;
}

static void end_minute_if_over(struct trace *trace)
{
    if (trace->minute_begun && clock_monotonic_ns() - trace->minute_ns >= (uint64_t)TRACE_MINUTE_MS * 1000000)
        end_minute(trace);
}

static void begin_minute(struct trace *trace)
{
    if (trace->minute_begun)
        return;
    trace->minute_begun = true;
    trace->minute_ns = clock_monotonic_ns();
}

/* Rows that were dropped later than their minute are told as well. */
static void look(void *arg)
{
    struct trace *trace = arg;
    while (!failed(fiber_sleep(LOOK_MS))) {
        end_minute_if_over(trace);
        if (trace->stats.dropped > trace->dropped_told)
            begin_minute(trace);
    }
}

/* ---- its life ---- */

result trace_new(const struct trace_options *options, struct trace **ret)
{
    must(options->cell_count > 0);
    size_t count = options->cell_count + 1;
    struct trace *trace = calloc(1, sizeof *trace + count * sizeof trace->queues[0]);
    must(trace != NULL);
    trace->options = *options;
    trace->queue_count = count;
    result r = fiber_spawn(&trace->scope, "trace", look, trace);
    for (size_t i = 0; i < count && !failed(r); i++) {
        trace->queues[i] =
            (struct queue){ .trace = trace, .cell = &options->cells[i == options->cell_count ? 0 : i] };
        r = fiber_spawn(&trace->scope, "trace rows", write_all, &trace->queues[i]);
    }
    if (failed(r))
        trace_free(trace, 0);
    else
        *ret = trace;
    return r;
}

static bool writes(const struct trace *trace)
{
    bool any = false;
    for (size_t i = 0; i < trace->queue_count; i++)
        any = any || (trace->queues[i].rows > 0 && !trace->queues[i].over);
    return any;
}

void trace_free(struct trace *trace, uint64_t within_ms)
{
    if (trace == NULL)
        return;
    enum { LOOK_AGAIN_MS = 10 };
    struct shield shield;
    struct deadline deadline;
    trace->ending = true;
    end_minute(trace);
    fiber_shield(&shield);
    deadline_begin(&deadline, within_ms);
    while (writes(trace) && !failed(fiber_sleep(LOOK_AGAIN_MS)))
        ;
    deadline_end(&deadline);
    scope_end(&trace->scope);
    fiber_unshield(&shield);
    for (size_t i = 0; i < trace->queue_count; i++)
        while (trace->queues[i].first != NULL) {
            drop(trace, &trace->queues[i].first->row);
            dequeue(&trace->queues[i]);
        }
    end_minute(trace); /* tells what was dropped */
    free(trace);
}

/* ---- noting ---- */

static void log_note(const struct trace_event *event)
{
    const struct record_actor *actor = &event->actor;
    if (event->kind == TRACE_TOKEN)
        log_event(LOG_INFO, "a token was given: request=%.*s client=%.*s role=%.*s", STR_ARG(actor->request),
                  STR_ARG(actor->client), STR_ARG(actor->role));
    else if (event->kind == TRACE_REFUSAL)
        log_event(LOG_WARNING, "refused: request=%.*s outcome=%.*s rule=%.*s role=%.*s home=%.*s",
                  STR_ARG(actor->request), STR_ARG(event->outcome), STR_ARG(actor->rule),
                  STR_ARG(actor->role), STR_ARG(event->home));
}

bool trace_note(struct trace *trace, const struct trace_event *event)
{
    if (trace == NULL) {
        log_note(event);
        return true;
    }
    end_minute_if_over(trace);
    begin_minute(trace);
    if (!trace_minute_keeps(&trace->minute, event->kind, event->outcome, event->actor.rule, event->actor.role,
                            event->home, event->actor.request)) {
        trace->stats.summed++;
        return false;
    }
    trace->stats.rows++;
    log_note(event);
    const struct trace_row row = { .action = actions[event->kind], .event = *event };
    enqueue(queue_of(trace, event->cell), &row);
    return true;
}

struct trace_stats trace_stats(const struct trace *trace)
{
    struct trace_stats stats = trace->stats;
    for (size_t i = 0; i < trace->queue_count; i++)
        stats.queued += trace->queues[i].rows;
    return stats;
}
