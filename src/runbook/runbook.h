#pragma once
/* A runbook: a list of steps. A step is one row: a goal (a question), an act that makes the goal true, an undo, and limits.
 * Each row is written once, beside its functions:
 *
 *   const struct runbook_step step_fence = { "fence", "Block writes on the old primary",
 *       "does the old primary refuse writes?", old_refuses, close_old, .undo = open_old, .within_ms = SEC(20), .tries = 3 };
 *   const struct runbook_step step_promote = { "promote", "Promote the standby", "is the new primary writable?",
 *       new_writable, promote, .no_return = true, .within_ms = SEC(60), .tries = 2 };
 *   static const struct runbook_step *const steps[] = { &step_fence, &step_promote };
 *
 * The rows say what to do; the engine (run.h) says when: limits, tries, cancel, walk-back and the journal belong to the engine,
 * not to step functions. docs/runbooks.md describes it for operators. The contract of a row:
 *
 *   - A question changes nothing, and may be asked at any time and any number of times. After its step is done, the goal stays
 *     true while later steps act: a resumed run asks all goals again from the first one.
 *   - An act is idempotent: it may have been done before, fully or in part, by this process or by a killed one. So is an undo,
 *     which is called when an act has begun or was about to, even if it failed.
 *   - After an undo the answer is NO. (If an undo leaves the goal true, the walk-back is not finished.)
 *
 * Everything here except runbook_plan is pure. Rows are static and const; they own nothing. */
#include "base/arena.h"
#include "base/clock.h"

#include <jansson.h>

struct config_words; /* config/config.h */
struct cell_step;

enum {
    RUNBOOK_STEPS_MAX = 64,
    RUNBOOK_TRIES_MAX = 100,
    RUNBOOK_EVIDENCE_MAX = 1024, /* bytes of evidence, NUL included; longer: see text_fit */
    RUNBOOK_SUBJECT_MAX = 128,   /* bytes of the subject of a run, without NUL */
    RUNBOOK_NAME_MAX = 40,       /* the same of a runbook's name */
    RUNBOOK_RUN_ID_MAX = 63,     /* and of a run's id */
    RUNBOOK_PAUSE_MS = 1000,     /* between tries, and between questions, if a step has no pause_ms */
    RUNBOOK_WITHIN_MS_MAX = 24 * 3600 * 1000,
};

enum answer { ANSWER_NO, ANSWER_YES, ANSWER_UNKNOWN };
const char *answer_word(enum answer answer); /* "no", "yes", "unknown" */

/* The input of a step function, and its evidence. src/hosts also uses it to tell who sends a command to a host. */
struct runbook_call {
    const char *run; /* the run's id; "plan" when a plan asks; NULL: a question outside a run */
    uint64_t fence;  /* grows with each resume: the newest driver has the greatest */
    uint64_t
        serial; /* grows with every act and undo of the run, over resumes as well. (run, fence, serial) is what a
                       * remote host remembers, to refuse a straggler of a step that is over. Of a question: that of the
                       * last act or undo, 0 before the first. */
    const char *step;       /* the step's id */
    uint32_t number, count; /* step `number` (from 1) of `count` */
    uint32_t
        attempt; /* of this act or undo in this process, from 1; of a question: how often it was asked in a row */
    const struct cell_step *own; /* the operator's row that this step was made of; NULL for a built-in one */
    struct arena *arena;         /* of this call alone */
    char evidence[RUNBOOK_EVIDENCE_MAX]; /* set with runbook_evidence */
};

/* The call of a question outside a run; `step` is its name in the record of commands. */
static inline struct runbook_call runbook_call_to_look(const char *step, struct arena *arena)
{
    return (struct runbook_call){ .step = step, .arena = arena };
}

/* What was seen, in words: "pg_is_in_recovery() on \"eu2\" is false". It goes into the journal and to the terminal, so it must
 * never contain a secret or a record. The last one counts. Control characters and invalid UTF-8 become "?". */
void runbook_evidence(struct runbook_call *call, const char *format, ...) PRINTF(2, 3);

/* Step functions run on a fiber, under the deadline of their step. After the deadline all their waits return E_DEADLINE, and
 * after a cancel E_CANCELLED: clean up and return. They hold nothing when they return. Their changes in `context` are lost when
 * another process resumes the run: a later step must ask again. */
typedef result runbook_act(void *context, struct runbook_call *call);
/* Sets *ret to the answer and returns OK. An error (a host does not answer) means UNKNOWN, with the error as evidence; so a
 * question may use TRY. */
typedef result runbook_ask(void *context, struct runbook_call *call, enum answer *ret);
/* An answer with its evidence: YES or NO. */
void runbook_answer(struct runbook_call *call, enum answer *ret, bool yes, const char *format, ...)
    PRINTF(4, 5);

struct runbook_step {
    const char *id;       /* "fence": kebab-case, unique in the runbook; the step's name in the journal */
    const char *title;    /* "Block writes on the old primary": an order, without a period */
    const char *question; /* of the goal; ends with "?": "does the old primary refuse writes?" */
    runbook_ask *ask;
    runbook_act *
        act; /* NULL: a check, without an act: after NO it is asked again, `tries` times; then the step has failed */
    runbook_act *undo;      /* NULL: the changes stay when the run walks back */
    uint64_t within_ms;     /* limit of one act, and of one undo */
    uint64_t ask_within_ms; /* limit for asking until the answer is YES or NO; 0: within_ms */
    uint32_t tries;         /* acts, while the answer is NO; the same for undo */
    bool no_return;         /* after this act begins, or its goal is found true, nothing is ever undone */
    uint64_t pause_ms;      /* before trying again, and before asking again; 0: RUNBOOK_PAUSE_MS */
    const struct cell_step *own;
};

struct runbook {
    const char *name;                        /* "failover": kebab-case */
    const char *title;                       /* "Make a standby the primary when the primary is lost" */
    const struct runbook_step *const *steps; /* in their order */
    size_t step_count;
};

/* A list of runbooks ends with NULL. Returns NULL if there is none of that name. */
const struct runbook *runbook_find(const struct runbook *const *list, struct str name);

/* ---- self-check ---- a test and `domicile runbook check` check every table */
struct runbook_faults {
    const char *items[32]; /* "step \"fence\" has no limit" */
    size_t count;          /* found; may be more than there are items */
};
void runbook_look_over(const struct runbook *runbook, struct arena *arena, struct runbook_faults *ret);
result runbook_check(const struct runbook *runbook)
    MUST_USE; /* E_RUNBOOK has the first fault, and the number of others */

/* The longest that a step, or the runbook without a walk-back, can take by its limits. */
uint64_t runbook_step_limit_ms(const struct runbook_step *step);
uint64_t runbook_limit_ms(const struct runbook *runbook);
uint64_t runbook_ask_within_ms(const struct runbook_step *step);
uint64_t runbook_pause_ms(const struct runbook_step *step);

/* ---- the operator's own steps ---- rows of a cell's `steps`, inserted after the step that `after` names. The caller gives the
 * three functions for such rows; they find the row in call->own. */
struct runbook_own {
    runbook_ask *ask;  /* call->own->check: exit status 0: YES; another status: NO */
    runbook_act *act;  /* call->own->run */
    runbook_act *undo; /* call->own->undo, if the row has one */
};
/* Adds the rows for this runbook (row->runbook is its name), in order. *ret is in the arena, and points into the rows. E_CONFIG
 * with file and line: `after` names no step, an id exists already, an undo after the point of no return, more than
 * RUNBOOK_STEPS_MAX steps. Without such rows *ret equals `base`. */
result runbook_extend(const struct runbook *base, const struct cell_step *rows, size_t row_count,
                      const struct runbook_own *own, struct arena *arena, struct runbook *ret) MUST_USE;

/* Checks rows alone: each names a runbook of the list, and fits it. E_CONFIG. */
result runbook_check_rows(const struct runbook *const *list, const struct cell_step *rows, size_t row_count)
    MUST_USE;
extern const struct runbook_own runbook_own_shown; /* for a table that is looked at and never run */

/* ---- printing ---- into the arena */
const char *runbook_draw_text(const struct runbook *runbook, struct arena *arena);
const char *runbook_draw_dot(const struct runbook *runbook, struct arena *arena); /* Graphviz */
/* Cells of a table for cli_print_table: rows * RUNBOOK_SHOW_COLUMNS of them, the head first. */
enum { RUNBOOK_SHOW_COLUMNS = 8 };
struct runbook_table {
    const char **cells;
    size_t rows;
};
struct runbook_table runbook_show(const struct runbook *runbook, struct arena *arena);
json_t *runbook_json(const struct runbook *runbook);         /* the caller owns it */
const char *duration_text(uint64_t ms, struct arena *arena); /* "250 ms", "20 s", "1 min 30 s", "2 h" */

/* ---- a plan ---- asks all goals and changes nothing. Waits: on a fiber. */
struct runbook_planned {
    const struct runbook_step *step;
    enum answer answer;
    const char *evidence; /* "" if there is none */
    uint64_t took_ms;
};
/* One answer a step (runbook->step_count of them, in the arena); a goal that only an earlier step makes askable is
 * UNKNOWN. Fails only when the fiber was cancelled or its deadline has passed. */
result runbook_plan(const struct runbook *runbook, void *context, struct arena *arena,
                    const struct runbook_planned **ret) MUST_USE;
json_t *runbook_plan_json(const struct runbook *runbook, const struct runbook_planned *planned);
