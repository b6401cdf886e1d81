#pragma once
/* A run: one execution of a runbook, and the engine that drives it.
 *
 * For each step the engine asks the goal. YES: the step is skipped. UNKNOWN: it asks again within the limit, then the run stops
 * for a person (at a step of no return: at once). NO: it writes the journal, acts, asks again, and journals the answer with its
 * evidence; NO again: pause and next try, up to `tries`. The result of an act is noted; only the goal decides. UNKNOWN after an
 * act stops the run for a person.
 *
 * When a step fails or an operator cancels before the point of no return, the run walks back: .undo of every step that acted,
 * in reverse, each within its limit, and the goal asked after it. After the point of no return nothing is ever undone: a failed
 * step stops the run for a person; a cancel lets the present act finish, and then does the same. If the goal of a step of no
 * return is already true, the point of no return is passed too: somebody else has done it.
 *
 * The journal is on disk before each act and each undo: if it cannot be written, the act does not happen and the run stops with
 * E_JOURNAL. If a process dies, another one resumes its run from the journal. */
#include "runbook/runbook.h"

struct run; /* an open run: this process has locked its journal */

/* By the journal. */
enum run_state {
    RUN_OPEN,         /* being driven, or interrupted: its process ended; to be resumed */
    RUN_DONE,         /* every goal was true */
    RUN_UNDONE,       /* walked back */
    RUN_NEEDS_PERSON, /* stopped, see `why`; to be resumed after a person has checked */
    RUN_ABANDONED,    /* a person closed it without further steps */
};
const char *run_state_word(enum run_state state); /* "open", "done", "undone", "needs-person", "abandoned" */

/* ---- observing a run ---- */
enum run_notice_kind {
    NOTICE_STEP,    /* step `number` of `count` begins: its goal is asked */
    NOTICE_WAITING, /* its answer is UNKNOWN: asked again */
    NOTICE_SKIPPED, /* already true */
    NOTICE_ACT,     /* its act begins: try `attempt` of `tries`, within `within_ms` */
    NOTICE_ASKING,  /* the act returned, with `text` if it failed; the goal is asked */
    NOTICE_AGAIN,   /* not true yet; `text` is why. A pause and another try follow */
    NOTICE_TRUE,    /* the goal is true; `text` is the evidence */
    NOTICE_FAILED,  /* the step has failed */
    NOTICE_BACK,    /* the run walks back; `text` is why */
    NOTICE_UNDO,    /* the undo of a step begins */
    NOTICE_UNDONE,
    NOTICE_NOT_UNDONE,
    NOTICE_KEPT, /* during the walk-back: the step has no undo, and its changes stay */
    NOTICE_END,  /* the run's end: `state`, and `text` is why */
    NOTICE_KINDS
};
struct run_notice {
    enum run_notice_kind kind;
    const char *run;
    const struct runbook_step *step; /* NULL with NOTICE_BACK and NOTICE_END */
    uint32_t number, count, attempt, tries;
    uint64_t at_ns,
        within_ms;       /* of the act, the question or the undo that begins: the time now, and its limit */
    uint64_t elapsed_ms; /* since the run began, or was resumed */
    enum run_state state;
    const char *text; /* may be ""; valid during the call */
};
const char *run_notice_word(enum run_notice_kind kind); /* "step", "waiting", ...: of --json */
json_t *run_notice_json(const struct run_notice *notice);
struct run_observer {
    void (*notice)(struct run_observer *observer, const struct run_notice *notice); /* may not wait */
};

/* ---- opening ---- waits on the disk; on a fiber */
struct run_options {
    const char
        *state_path; /* config.state_path: its folder "runs" (0700) has the journals, one file a run (0600) */
    const char *subject;           /* the object that it changes: "eu-fr/eu-fr-1" */
    uint64_t fence;                /* of the lease under which it is driven; a resume needs a greater one */
    struct run_observer *observer; /* may be NULL */
    struct journal *journal;       /* for tests, instead of a file; owned by the run. NULL: a file */
};
/* A new run, with a new id and a journal on disk. `runbook` and `context` must outlive it. E_RUNBOOK: the table is not valid;
 * E_JOURNAL: the journal cannot be created. */
result run_begin(const struct runbook *runbook, void *context, const struct run_options *options,
                 struct run **ret) MUST_USE;
/* Resumes a run whose process ended, or that needed a person. E_NOT_FOUND; E_BUSY: another process drives it; E_CONFLICT: it
 * has ended, or the runbook's steps have changed; E_STALE: the fence is not greater; E_JOURNAL names the damaged line. The
 * subject comes from the journal. */
result run_resume(const struct runbook *runbook, void *context, const char *id,
                  const struct run_options *options, struct run **ret) MUST_USE;
/* The newest run of this runbook and subject that has not ended, which a repeated command resumes; "" in *ret: none. */
result run_find_open(const char *state_path, const char *runbook, const char *subject,
                     char ret[RUNBOOK_RUN_ID_MAX + 1]) MUST_USE;
void run_free(struct run *run); /* takes NULL; closes the journal, releases the lock */

const char *run_id(const struct run *run);
uint64_t run_fence(const struct run *run);

/* ---- driving ---- */
/* Waits until the run has ended or stopped. OK: RUN_DONE. E_CANCELLED: it was cancelled and is undone. E_STEP: it failed and is
 * undone. E_NEEDS_PERSON. E_JOURNAL: the journal could not be written; the run can be resumed. If the calling fiber is
 * cancelled or its deadline passes (the daemon stops), the run stops where it is, as if the process had died, with E_CANCELLED
 * or E_DEADLINE, and can be resumed; run_state tells the two kinds of E_CANCELLED apart. */
result run_drive(struct run *run) MUST_USE;
/* An operator's cancel; does not wait. Before the point of no return the wait of the present act ends and the run walks back;
 * after it the present act finishes and the run stops for a person. During a walk-back it does nothing. If called before
 * run_drive, the run walks back without doing a step. */
void run_cancel(struct run *run);
enum run_state run_state(const struct run *run);
const char *run_why(const struct run *run); /* why it ended or stopped; "" while it runs */

/* ---- reading runs ---- wait on the disk; take no lock */
struct run_summary {
    const char *id, *runbook, *subject;
    enum run_state state;
    bool driven;      /* by a process, now */
    const char *step; /* the last one in the journal; may be "" */
    const char *why;
    const char *began, *changed; /* RFC 3339 */
    const char *damage;          /* NULL, or the damage of the journal: then only `id` is valid */
};
struct run_list {
    struct run_summary *items;
    size_t count;
};
result run_list(const char *state_path, struct arena *arena, struct run_list *ret)
    MUST_USE; /* oldest first */
json_t *run_summary_json(const struct run_summary *summary);
/* Closes a run that no process drives, without further steps. E_BUSY, E_NOT_FOUND; E_CONFLICT: it has ended. */
result run_abandon(const char *state_path, const char *id, const char *why) MUST_USE;
