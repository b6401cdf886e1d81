#pragma once
/* The journal of a run: one JSON object a line, each with its number and a checksum that goes on from the line before.
 *
 *   {"seq":3,"at":"2026-01-31T12:00:00.000Z","event":"act","step":"fence","attempt":1,"serial":1,"sum":"5f2c..."}
 *
 * A process that dies while it writes leaves a torn last line (cut off, or with bytes that never arrived): it was never
 * acknowledged, so nothing was done on its account, and it is dropped. Any other line that does not fit is damage: an
 * error that names the line. The format is pure; the file is in journal_file.c. */
#include "base/buf.h"
#include "runbook/run.h"

enum {
    JOURNAL_LINE_MAX = 16 * 1024,
    JOURNAL_BYTES_MAX = 4 << 20,
    JOURNAL_SUM_HEX = 16,
};

enum journal_kind {
#define X(kind, word) kind,
#include "runbook/journal.def"
#undef X
    JOURNAL_KINDS
};
const char *journal_word(enum journal_kind kind);

struct journal_event {
    enum journal_kind kind;
    /* begin */
    const char *run, *runbook, *subject, *shape; /* shape: runbook_shape of the table */
    const char *const *steps;                    /* their ids */
    size_t step_count;
    /* begin and resume */
    uint64_t fence;
    /* of a step; NULL and 0: it says nothing about that */
    const char *step;
    uint32_t attempt;
    uint64_t serial; /* of acts and undos */
    bool no_return;  /* act and skip of a step of no return */
    bool cancelled;  /* back: since somebody cancelled */
    const char *evidence, *error, *why;
    enum run_state state; /* end */
    const char *at;       /* RFC 3339; set by journal_line */
};

/* Without its number and sum; the caller owns it. */
json_t *journal_event_json(const struct journal_event *event);

/* The end of what is written. */
struct journal_chain {
    uint64_t seq;
    char sum[JOURNAL_SUM_HEX + 1];
};
/* Makes the line behind `chain`, newline included. E_LIMIT: too long. journal_chain_take goes on behind it. */
result journal_line(const struct journal_chain *chain, const struct journal_event *event, struct buf *ret)
    MUST_USE;
void journal_chain_take(struct journal_chain *chain, struct str line);

/* The checksum of `bytes` behind `before`, in hexadecimal; they may be the same array. */
void journal_sum(const char before[JOURNAL_SUM_HEX + 1], struct str bytes, char ret[JOURNAL_SUM_HEX + 1]);

/* Where a run stands: what the reader makes of the lines, and what the engine goes by. */
struct journal_standing {
    const char *const *steps; /* ids */
    size_t step_count;
    uint64_t fence, serial;
    bool acted[RUNBOOK_STEPS_MAX]; /* by number of the step: an act was begun, and it was not undone */
    bool passed;                   /* the point of no return */
    bool walking, cancelled;       /* back, and since somebody cancelled */
    enum run_state state;
};
/* The one function that changes it. E_JOURNAL: no engine writes that event here; then nothing is changed. */
result journal_take(struct journal_standing *standing, const struct journal_event *event) MUST_USE;

/* What a journal says. In the arena. */
struct journal_history {
    const struct journal_event *events; /* the first is "begin" */
    size_t count;                       /* 0: the run never began */
    size_t whole_bytes; /* of the lines that hold; behind them is the torn one, if there is one */
    bool torn;
    struct journal_chain chain;
    struct journal_standing standing;
    const char *why, *step; /* the last ones; "" */
};
/* E_JOURNAL names the line that is damaged. */
result journal_read(struct str text, struct arena *arena, struct journal_history *ret) MUST_USE;

void runbook_shape(const struct runbook *runbook, char ret[JOURNAL_SUM_HEX + 1]);

/* ---- where it is kept ---- a file, or what a test puts in its place. All but close wait. */
struct journal {
    /* All that is there. Once, before the first append. */
    result (*load)(struct journal *journal, struct arena *arena, struct str *ret);
    result (*cut)(struct journal *journal, size_t bytes); /* drops a torn line; on disk when OK */
    result (*append)(struct journal *journal,
                     struct str line); /* on disk when OK; after a failure it is over */
    void (*close)(struct journal *journal);
};
/* A new file, there after a crash. E_JOURNAL. */
result journal_create(const char *state_path, const char *id, struct journal **ret) MUST_USE;
/* E_NOT_FOUND; E_BUSY: another process has it. */
result journal_open(const char *state_path, const char *id, struct journal **ret) MUST_USE;

/* Looking, without a lock. */
result journal_peek(const char *state_path, const char *id, struct arena *arena, struct str *ret,
                    bool *ret_driven) MUST_USE;
struct journal_names {
    const char **items; /* ids, sorted */
    size_t count;
};
result journal_names(const char *state_path, struct arena *arena, struct journal_names *ret) MUST_USE;
