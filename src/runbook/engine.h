#pragma once
/* Shared by the engine's files: an open run. */
#include "runbook/internal.h"

struct scope;

struct run {
    const struct runbook *runbook;
    void *context;
    struct run_observer *observer;
    struct journal *journal;
    struct journal_chain chain;
    struct journal_standing standing;
    struct arena arena;
    struct buf line;
    const char *id;
    uint64_t began_ns;
    bool cancelled;                      /* by an operator */
    struct scope *doing;                 /* the fibers that a cancel may end; NULL: none */
    char evidence[RUNBOOK_EVIDENCE_MAX]; /* of the last answer */
    char error[RUNBOOK_EVIDENCE_MAX];    /* of the last act or undo; "" */
    char why[JOURNAL_TEXT_MAX];
};

/* Writes the event to disk, then updates the standing: an event that is not written has not happened. */
result run_write(struct run *run, const struct journal_event *event) MUST_USE;
void run_say(struct run *run, enum run_notice_kind kind, size_t step, uint32_t attempt, const char *text);
enum { NO_STEP = RUNBOOK_STEPS_MAX };

/* ---- calls.c ---- calls each step function on a fiber of its own, so that a cancel ends the function, not the engine */
/* Asks until the answer is YES or NO, the limit has passed, or a cancel ends it; `once`: asks one time. Fails only if the
 * engine itself must stop. */
result run_ask(struct run *run, size_t step, bool once, enum answer *ret) MUST_USE;
result run_act(struct run *run, size_t step, uint32_t attempt)
    MUST_USE; /* run->error says what it returned */
result run_undo(struct run *run, size_t step, uint32_t attempt) MUST_USE; /* the same */
result run_pause(struct run *run, size_t step, uint64_t at_most_ms) MUST_USE;
