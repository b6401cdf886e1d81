/* Reads what a journal says, without trusting a byte of it. */
#include "base/json.h"
#include "runbook/internal.h"

static const char damaged_hint[] =
    "Check the hosts and the journal for what the run has done, then move the file away.";

struct reader {
    struct arena *arena;
    struct journal_history *history;
    struct journal_event *events;
    size_t capacity, line; /* lines from 1 */
};

static result damage(const struct reader *reader, const char *what)
{
    return FAIL(E_JOURNAL, damaged_hint, "line %zu of the journal is damaged: %s", reader->line, what);
}

/* ---- members ---- */
/* NULL when it is absent. False: it is there and does not fit. */
static bool text_member(const struct reader *reader, const json_t *object, const char *name, size_t max,
                        const char **ret)
{
    struct str text = json_member_str(object, name);
    *ret = NULL;
    if (text.ptr == NULL)
        return json_object_get(object, name) == NULL;
    if (text.len == 0 || text.len > max)
        return false;
    char *copy = arena_cstr(reader->arena, text);
    clean_text(copy);
    *ret = copy;
    return strlen(copy) == text.len && memcmp(copy, text.ptr, text.len) == 0;
}

static bool number_member(const json_t *object, const char *name, uint64_t max, uint64_t *ret)
{
    const json_t *value = json_object_get(object, name);
    json_int_t number = json_integer_value(value);
    *ret = (uint64_t)number;
    return value == NULL || (json_is_integer(value) && number > 0 && (uint64_t)number <= max);
}

static bool flag_member(const json_t *object, const char *name, bool *ret)
{
    const json_t *value = json_object_get(object, name);
    *ret = json_is_true(value);
    return value == NULL || *ret;
}

static bool steps_member(const struct reader *reader, const json_t *object, struct journal_event *event)
{
    const json_t *steps = json_object_get(object, "steps");
    size_t count = json_array_size(steps);
    if (event->kind != JOURNAL_BEGIN)
        return steps == NULL;
    if (count == 0 || count > RUNBOOK_STEPS_MAX)
        return false;
    const char **ids = arena_array(reader->arena, const char *, count);
    for (size_t i = 0; i < count; i++) {
        struct str id = str_from(json_string_value(json_array_get(steps, i)));
        if (!str_is_id(id))
            return false;
        for (size_t before = 0; before < i; before++)
            if (str_is(id, ids[before]))
                return false;
        ids[i] = arena_cstr(reader->arena, id);
    }
    event->steps = ids;
    event->step_count = count;
    return true;
}

static bool kind_member(const json_t *object, enum journal_kind *ret)
{
    struct str word = json_member_str(object, "event");
    for (*ret = 0; *ret < JOURNAL_KINDS; (*ret)++)
        if (str_is(word, journal_word(*ret)))
            return true;
    return false;
}

static bool state_member(const json_t *object, struct journal_event *event)
{
    struct str word = json_member_str(object, "state");
    if (event->kind != JOURNAL_END)
        return json_object_get(object, "state") == NULL;
    for (event->state = RUN_DONE; event->state <= RUN_ABANDONED; event->state++)
        if (str_is(word, run_state_word(event->state)))
            return true;
    return false;
}

static bool names_member(const struct reader *reader, const json_t *object, struct journal_event *event)
{
    bool fits = text_member(reader, object, "run", RUNBOOK_RUN_ID_MAX, &event->run) &&
                text_member(reader, object, "runbook", RUNBOOK_NAME_MAX, &event->runbook) &&
                text_member(reader, object, "subject", RUNBOOK_SUBJECT_MAX, &event->subject) &&
                text_member(reader, object, "shape", JOURNAL_SUM_HEX, &event->shape);
    bool all = event->run && event->runbook && event->subject && event->shape;
    bool any = event->run || event->runbook || event->subject || event->shape;
    return fits && (event->kind == JOURNAL_BEGIN ? all : !any);
}

/* NULL: it fits. Else what does not. */
static const char *read_members(const struct reader *reader, const json_t *object,
                                struct journal_event *event)
{
    uint64_t attempt = 0;
    if (!kind_member(object, &event->kind))
        return "its event is not known";
    if (!names_member(reader, object, event) || !steps_member(reader, object, event))
        return "it has a run where it must not, or has none where it must";
    if (!state_member(object, event))
        return "its state is not known";
    if (!number_member(object, "fence", INT64_MAX, &event->fence) ||
        !number_member(object, "serial", INT64_MAX, &event->serial) ||
        !number_member(object, "attempt", UINT32_MAX, &attempt))
        return "a number is not valid";
    event->attempt = (uint32_t)attempt;
    if (!flag_member(object, "no_return", &event->no_return) ||
        !flag_member(object, "cancelled", &event->cancelled))
        return "a flag is not true or false";
    if (!text_member(reader, object, "at", CLOCK_TEXT_SIZE, &event->at) || event->at == NULL ||
        !text_member(reader, object, "step", RUNBOOK_RUN_ID_MAX, &event->step) ||
        !text_member(reader, object, "evidence", JOURNAL_TEXT_MAX, &event->evidence) ||
        !text_member(reader, object, "error", JOURNAL_TEXT_MAX, &event->error) ||
        !text_member(reader, object, "why", JOURNAL_TEXT_MAX, &event->why))
        return "a text is not valid";
    return NULL;
}

static result parse_event(const struct reader *reader, struct str line, struct journal_event *event)
{
    static const char *const names[] = { "seq",     "at",     "event",     "run",       "runbook",
                                         "subject", "shape",  "steps",     "fence",     "step",
                                         "attempt", "serial", "no_return", "cancelled", "evidence",
                                         "error",   "state",  "why",       "sum",       NULL };
    enum { DEPTH = 2 };
    json_t *object = NULL;
    uint64_t seq = 0;
    result parsed = json_parse(line, DEPTH, &object);
    if (failed(parsed))
        return damage(reader, parsed.error.what);
    const char *misfit = "it is not an object of known members";
    if (json_is_object(object) && !failed(json_only_members(object, names)))
        misfit = read_members(reader, object, event);
    if (misfit == NULL && (!number_member(object, "seq", INT64_MAX, &seq) || seq != reader->line))
        misfit = "its number does not follow the one before";
    json_decref(object);
    return misfit == NULL ? OK : damage(reader, misfit);
}

/* ---- lines ---- */
static bool sum_holds(const struct journal_chain *chain, struct str line)
{
    static const char tail[] = ",\"sum\":\"";
    char sum[JOURNAL_SUM_HEX + 1];
    if (line.len <= JOURNAL_TAIL_BYTES || line.len > JOURNAL_LINE_MAX)
        return false;
    struct str open = { line.ptr, line.len - JOURNAL_TAIL_BYTES };
    journal_sum(chain->sum, open, sum);
    const char *at = open.ptr + open.len;
    return memcmp(at, tail, sizeof tail - 1) == 0 &&
           memcmp(at + sizeof tail - 1, sum, JOURNAL_SUM_HEX) == 0 &&
           memcmp(at + sizeof tail - 1 + JOURNAL_SUM_HEX, "\"}\n", 3) == 0;
}

static void begin(struct journal_history *history, const struct journal_event *event)
{
    history->standing = (struct journal_standing){
        .steps = event->steps, .step_count = event->step_count, .fence = event->fence, .state = RUN_OPEN
    };
}

static void append(struct reader *reader, const struct journal_event *event)
{
    struct journal_history *history = reader->history;
    if (history->count == reader->capacity) {
        size_t larger = reader->capacity == 0 ? 64 : reader->capacity * 2;
        struct journal_event *events = arena_array(reader->arena, struct journal_event, larger);
        if (history->count > 0)
            memcpy(events, reader->events, history->count * sizeof *events);
        reader->events = events;
        reader->capacity = larger;
    }
    reader->events[history->count++] = *event;
    history->events = reader->events;
    if (event->step != NULL)
        history->step = event->step;
    if (event->why != NULL)
        history->why = event->why;
}

static result read_line(struct reader *reader, struct str line)
{
    struct journal_history *history = reader->history;
    struct journal_event event = { 0 };
    if (!sum_holds(&history->chain, line))
        return damage(reader, "its checksum is wrong");
    TRY(parse_event(reader, line, &event));
    if ((history->count == 0) != (event.kind == JOURNAL_BEGIN))
        return damage(reader, "\"begin\" must be the first line, and only the first");
    if (history->count == 0) {
        begin(history, &event);
    } else {
        result taken = journal_take(&history->standing, &event);
        if (failed(taken))
            return damage(reader, taken.error.what);
    }
    append(reader, &event);
    journal_chain_take(&history->chain, line);
    history->whole_bytes += line.len;
    return OK;
}

/* The last line is incomplete if its end, or bytes before it, never arrived (they read as zero). */
static bool is_torn(struct str rest, size_t length)
{
    return length == rest.len + 1 || (length == rest.len && memchr(rest.ptr, '\0', rest.len) != NULL);
}

static result read_lines(struct reader *reader, struct str text)
{
    while (text.len > 0) {
        const char *end = memchr(text.ptr, '\n', text.len);
        size_t length = end == NULL ? text.len + 1 : (size_t)(end - text.ptr) + 1;
        reader->line++;
        if (is_torn(text, length)) {
            reader->history->torn = true;
            return OK;
        }
        TRY(read_line(reader, (struct str){ text.ptr, length }));
        text.ptr += length;
        text.len -= length;
    }
    return OK;
}

result journal_read(struct str text, struct arena *arena, struct journal_history *ret)
{
    struct journal_history history = { .why = "", .step = "" };
    struct reader reader = { .arena = arena, .history = &history };
    history.standing.state = RUN_ABANDONED; /* until it begins */
    if (text.len > JOURNAL_BYTES_MAX)
        return FAIL(E_JOURNAL, damaged_hint, "the journal has more than %d bytes", JOURNAL_BYTES_MAX);
    TRY(read_lines(&reader, text));
    if (history.count == 0)
        history.why = "the run never began";
    *ret = history;
    return OK;
}
