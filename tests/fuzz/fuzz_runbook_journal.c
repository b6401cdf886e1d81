/* A journal from a disk that nobody vouches for. The first byte says how: 'r' as it is; else each line is a body whose
 * number and sum are put right first, so that what is behind them is reached. What is read twice is read the same; what
 * holds goes on holding when it is cut behind a line; and the engine could go on from it. */
#include "runbook/journal.h"

static void check_history(const struct journal_history *history, struct str text)
{
    must(history->whole_bytes <= text.len);
    must(history->count == history->chain.seq);
    must(history->torn == (history->whole_bytes < text.len));
    must(history->standing.step_count <= RUNBOOK_STEPS_MAX);
    for (size_t i = 0; i < history->count; i++) {
        json_t *json = journal_event_json(&history->events[i]);
        must(json_is_object(json));
        json_decref(json);
    }
}

/* Behind what was read, the next line is read as well. */
static void check_going_on(const struct journal_history *history, struct str text, struct arena *arena)
{
    struct journal_event event = { .kind = JOURNAL_END, .state = RUN_ABANDONED, .why = "fuzzed" };
    struct journal_history longer;
    struct journal_standing standing = history->standing;
    struct buf whole, line;
    if (history->count == 0 || failed(journal_take(&standing, &event)))
        return;
    buf_init(&whole, JOURNAL_BYTES_MAX);
    buf_init(&line, JOURNAL_LINE_MAX);
    must(!failed(journal_line(&history->chain, &event, &line)));
    if (buf_append(&whole, (struct str){ text.ptr, history->whole_bytes }) &&
        buf_append(&whole, buf_str(&line))) {
        must(!failed(journal_read(buf_str(&whole), arena, &longer)));
        must(longer.count == history->count + 1 && longer.standing.state == RUN_ABANDONED);
    }
    buf_done(&line);
    buf_done(&whole);
}

static void read_it(struct str text)
{
    struct arena arena;
    struct journal_history history;
    arena_init(&arena);
    if (!failed(journal_read(text, &arena, &history))) {
        check_history(&history, text);
        check_going_on(&history, text, &arena);
    }
    arena_done(&arena);
}

/* {"seq":N, + the body without its first brace and its last one + the sum. */
static bool put_right(struct str body, struct journal_chain *chain, struct buf *ret)
{
    char sum[JOURNAL_SUM_HEX + 1];
    size_t start = ret->len;
    struct str inner = body.len > 2 ? (struct str){ body.ptr + 1, body.len - 2 } : (struct str){ "", 0 };
    if (!buf_printf(ret, "{\"seq\":%llu,", (unsigned long long)chain->seq + 1) || !buf_append(ret, inner))
        return false;
    journal_sum(chain->sum, (struct str){ ret->ptr + start, ret->len - start }, sum);
    memcpy(chain->sum, sum, sizeof sum);
    chain->seq++;
    return buf_printf(ret, ",\"sum\":\"%s\"}\n", sum);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct journal_chain chain = { 0 };
    struct buf text;
    if (size == 0)
        return 0;
    struct str rest = { (const char *)bytes + 1, size - 1 }, line;
    if (bytes[0] == 'r') {
        read_it(rest);
        return 0;
    }
    buf_init(&text, JOURNAL_BYTES_MAX);
    while (rest.len > 0 && str_cut(&rest, '\n', &line) && put_right(line, &chain, &text))
        continue;
    read_it(buf_str(&text));
    buf_done(&text);
    return 0;
}
