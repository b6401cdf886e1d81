#pragma once
/* A run: one execution of a runbook, and the one engine that drives it.
 *
 * For each step: ask the goal. YES: skipped. UNKNOWN: asked again within its limit, then the run stops for a person (a
 * step of no return: at once). NO: journal, act, ask again, journal the answer with its evidence; NO again: pause and
 * try, up to `tries`. What an act returned is noted; only the goal decides. UNKNOWN after an act stops for a person.
 *
 * A step that failed, or a cancel, before the point of no return: the run walks back: .undo of every step that acted, in
 * reverse, each within its limit, the goal asked after it. From the point of no return on nothing is ever undone: a
 * failed step stops the run for a person, and a cancel lets the act at hand finish and then does the same. A step of no
 * return whose goal is already true is past the point of no return as well: somebody else has gone there.
 *
 * The journal is on disk before each act and each undo: if it cannot be written, the act does not happen and the run
 * stops with E_JOURNAL. A process that dies leaves a run that another resumes from the journal. */
#include "runbook/runbook.h"

struct run; /* one that is open: its journal's file is locked, by this process alone */

/* By the journal. */
enum run_state {
    RUN_OPEN,         /* being driven, or interrupted: its process ended; to be resumed */
    RUN_DONE,         /* every goal was seen true */
    RUN_UNDONE,       /* walked back */
    RUN_NEEDS_PERSON, /* stopped, `why` says why; to be resumed once somebody has looked */
    RUN_ABANDONED,    /* a person ended it as it stood */
};
const char *run_state_word(enum run_state state); /* "open", "done", "undone", "needs-person", "abandoned" */

/* ---- what is seen of a run while it goes on ---- */
enum run_notice_kind {
    NOTICE_STEP,    /* step `number` of `count` begins: its goal is asked */
    NOTICE_WAITING, /* its answer is UNKNOWN: asked again */
    NOTICE_SKIPPED, /* already true */
    NOTICE_ACT,     /* its act begins: try `attempt` of `tries`, within `within_ms` */
    NOTICE_ASKING,  /* the act returned, with `text` if it failed; the goal is asked */
    NOTICE_AGAIN,   /* not true yet; `text` is why. It pauses and tries again */
    NOTICE_TRUE,    /* the goal is true; `text` is the evidence */
    NOTICE_FAILED,  /* the step has failed */
    NOTICE_BACK,    /* the run walks back; `text` is why */
    NOTICE_UNDO,    /* the undo of a step begins */
    NOTICE_UNDONE,
    NOTICE_NOT_UNDONE,
    NOTICE_KEPT, /* on the way back: the step has no undo, and what it did stays */
    NOTICE_END,  /* the run's end: `state`, and `text` is why */
    NOTICE_KINDS
};
struct run_notice {
    enum run_notice_kind kind;
    const char *run;
    const struct runbook_step *step; /* NULL with NOTICE_BACK and NOTICE_END */
    uint32_t number, count, attempt, tries;
    uint64_t at_ns, within_ms; /* of the act, the asking or the undo that begins: now, and its limit */
    uint64_t elapsed_ms;       /* since the run began, or was resumed */
    enum run_state state;
    const char *text; /* "" if there is nothing to say; valid during the call */
};
const char *run_notice_word(enum run_notice_kind kind); /* "step", "waiting", ...: of --json */
json_t *run_notice_json(const struct run_notice *notice);
struct run_observer {
    void (*notice)(struct run_observer *observer, const struct run_notice *notice); /* may not wait */
};

/* ---- opening ---- waits on the disk; on a fiber */
struct run_options {
    const char
        *state_path; /* config.state_path: journals are in its folder "runs" (0700), a file a run (0600) */
    const char *subject; /* what it is about: "eu-fr/eu-fr-1" */
    uint64_t fence;      /* of the lease under which it is driven; a resume needs a higher one than before */
    struct run_observer *observer; /* may be NULL */
    struct journal *journal;       /* tests: instead of a file; taken over. NULL: a file */
};
/* A new run, with an id of its own and a journal on disk. `runbook` and `context` outlive it. E_RUNBOOK: the table is
 * not sound; E_JOURNAL: no journal could be made. */
result run_begin(const struct runbook *runbook, void *context, const struct run_options *options,
                 struct run **ret) MUST_USE;
/* Goes on with a run whose process ended, or that needed a person. E_NOT_FOUND; E_BUSY: another process drives it;
 * E_CONFLICT: it is over, or the runbook is not the one that it began with; E_STALE: the fence is not higher;
 * E_JOURNAL names the line that is damaged. The subject is the journal's. */
result run_resume(const struct runbook *runbook, void *context, const char *id,
                  const struct run_options *options, struct run **ret) MUST_USE;
/* The newest run of this runbook about this subject that is not over; ret[0] is "" if there is none: what a command that
 * is given again goes on with. */
result run_find_open(const char *state_path, const char *runbook, const char *subject,
                     char ret[RUNBOOK_RUN_ID_MAX + 1]) MUST_USE;
void run_free(struct run *run); /* takes NULL; closes the journal, releases the lock */

const char *run_id(const struct run *run);
uint64_t run_fence(const struct run *run);

/* ---- driving ---- */
/* Waits until the run has ended or stopped. OK: RUN_DONE. E_CANCELLED: it was cancelled and is undone. E_STEP: it
 * failed and is undone. E_NEEDS_PERSON. E_JOURNAL: the journal could not be written; it can be resumed.
 * If the calling fiber is cancelled or its deadline passes (the daemon stops), the run stops where it is, as if the
 * process had died, with E_CANCELLED or E_DEADLINE, and can be resumed: run_state tells the two kinds apart. */
result run_drive(struct run *run) MUST_USE;
/* An operator's cancel; does not wait. Before the point of no return the wait of the act at hand ends and the run walks
 * back; after it the act at hand finishes and the run stops for a person. While it walks back: nothing. May be called
 * before run_drive: a run that is resumed so walks back without doing a step. */
void run_cancel(struct run *run);
enum run_state run_state(const struct run *run);
const char *run_why(const struct run *run); /* why it ended or stopped; "" while it goes on */

/* ---- looking at runs ---- wait on the disk; take no lock */
struct run_summary {
    const char *id, *runbook, *subject;
    enum run_state state;
    bool driven;      /* by a process, now */
    const char *step; /* the last one that it spoke of; "" */
    const char *why;
    const char *began, *changed; /* RFC 3339 */
    const char *damage;          /* NULL; what is wrong with the journal: then only `id` holds */
};
struct run_list {
    struct run_summary *items;
    size_t count;
};
result run_list(const char *state_path, struct arena *arena, struct run_list *ret)
    MUST_USE; /* oldest first */
json_t *run_summary_json(const struct run_summary *summary);
/* Ends a run that nobody drives, as it stands. E_BUSY, E_NOT_FOUND, E_CONFLICT: it is over. */
result run_abandon(const char *state_path, const char *id, const char *why) MUST_USE;
