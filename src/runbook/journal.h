#pragma once
/* The journal of a run: one JSON object a line, each with its number and a checksum that continues the line before.
 *
 *   {"seq":3,"at":"2026-01-31T12:00:00.000Z","event":"act","step":"fence","attempt":1,"serial":1,"sum":"5f2c..."}
 *
 * A process that dies while it writes leaves an incomplete last line (cut off, or with bytes that never arrived). That line was
 * never acknowledged, so nothing was done because of it, and it is dropped. Any other invalid line is damage: an error that
 * names the line. The format is pure; the file is in journal_file.c. */
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
    /* of a step; otherwise NULL and 0 */
    const char *step;
    uint32_t attempt;
    uint64_t serial; /* of acts and undos */
    bool no_return;  /* act and skip of a step of no return */
    bool cancelled;  /* back: because of a cancel */
    const char *evidence, *error, *why;
    enum run_state state; /* end */
    const char *at;       /* RFC 3339; set by journal_line */
};

/* Without number and sum; the caller owns it. */
json_t *journal_event_json(const struct journal_event *event);

/* The end of what is written. */
struct journal_chain {
    uint64_t seq;
    char sum[JOURNAL_SUM_HEX + 1];
};
/* The line after `chain`, with its newline. E_LIMIT: too long. journal_chain_take continues after it. */
result journal_line(const struct journal_chain *chain, const struct journal_event *event, struct buf *ret)
    MUST_USE;
void journal_chain_take(struct journal_chain *chain, struct str line);

/* The checksum of `bytes` after `before`, in hexadecimal; they may be the same array. */
void journal_sum(const char before[JOURNAL_SUM_HEX + 1], struct str bytes, char ret[JOURNAL_SUM_HEX + 1]);

/* The progress of a run: the reader computes it from the lines, and the engine uses it. */
struct journal_standing {
    const char *const *steps; /* ids */
    size_t step_count;
    uint64_t fence, serial;
    bool acted[RUNBOOK_STEPS_MAX]; /* by number of the step: an act was begun, and it was not undone */
    bool passed;                   /* the point of no return */
    bool walking, cancelled;       /* back, and because of a cancel */
    enum run_state state;
};
/* The only function that changes it. E_JOURNAL: that event is not possible here; then nothing is changed. */
result journal_take(struct journal_standing *standing, const struct journal_event *event) MUST_USE;

/* The content of a journal, in the arena. */
struct journal_history {
    const struct journal_event *events; /* the first is "begin" */
    size_t count;                       /* 0: the run never began */
    size_t whole_bytes;                 /* of the valid lines; an incomplete line may follow */
    bool torn;
    struct journal_chain chain;
    struct journal_standing standing;
    const char *why, *step; /* the last ones; "" */
};
/* E_JOURNAL names the line that is damaged. */
result journal_read(struct str text, struct arena *arena, struct journal_history *ret) MUST_USE;

void runbook_shape(const struct runbook *runbook, char ret[JOURNAL_SUM_HEX + 1]);

/* ---- storage ---- a file, or a test's replacement. All functions except close wait. */
struct journal {
    /* The whole content. Once, before the first append. */
    result (*load)(struct journal *journal, struct arena *arena, struct str *ret);
    result (*cut)(struct journal *journal, size_t bytes); /* drops an incomplete line; on disk when OK */
    result (*append)(struct journal *journal,
                     struct str line); /* on disk when OK; after a failure the journal cannot be used */
    void (*close)(struct journal *journal);
};
/* A new file, which survives a crash. E_JOURNAL. */
result journal_create(const char *state_path, const char *id, struct journal **ret) MUST_USE;
/* E_NOT_FOUND; E_BUSY: another process has it. */
result journal_open(const char *state_path, const char *id, struct journal **ret) MUST_USE;

/* Reading, without a lock. */
result journal_peek(const char *state_path, const char *id, struct arena *arena, struct str *ret,
                    bool *ret_driven) MUST_USE;
struct journal_names {
    const char **items; /* ids, sorted */
    size_t count;
};
result journal_names(const char *state_path, struct arena *arena, struct journal_names *ret) MUST_USE;
