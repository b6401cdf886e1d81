/* The engine: forward step by step, and back. */
#include "runbook/engine.h"
#include "base/text.h"
#include "loop/fiber.h"

#include <stdio.h>

enum verdict { VERDICT_TRUE, VERDICT_FAILED, VERDICT_UNKNOWN, VERDICT_CANCELLED };

static const struct runbook_step *row_of(const struct run *run, size_t step)
{
    return run->runbook->steps[step];
}

static void set_why(struct run *run, const char *format, ...) PRINTF(2, 3);
static void set_why(struct run *run, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    text_vfit(run->why, sizeof run->why, format, args);
    va_end(args);
    clean_text(run->why);
}

/* The reason why a goal is not true: the error of the act, or the evidence of the goal. */
static const char *reason(struct run *run)
{
    const char *between = run->error[0] && run->evidence[0] ? "; " : "";
    const char *text = arena_printf(&run->arena, "%s%s%s", run->error, between, run->evidence);
    return text[0] ? text : "no reason was given";
}

static result write_about(struct run *run, enum journal_kind kind, size_t step, uint32_t attempt)
{
    const struct journal_event event = {
        .kind = kind,
        .step = row_of(run, step)->id,
        .attempt = attempt,
        .serial = kind == JOURNAL_ACT || kind == JOURNAL_UNDO ? run->standing.serial + 1 : 0,
        .no_return = row_of(run, step)->no_return && (kind == JOURNAL_ACT || kind == JOURNAL_SKIP),
        .evidence = run->evidence,
        .error = run->error,
    };
    return run_write(run, &event);
}

/* ---- one step ---- */
static result is_true(struct run *run, size_t step, uint32_t attempt, bool acted, enum verdict *ret)
{
    bool skipped = !acted && row_of(run, step)->act != NULL;
    TRY(write_about(run, skipped ? JOURNAL_SKIP : JOURNAL_DONE, step, attempt));
    run_say(run, skipped ? NOTICE_SKIPPED : NOTICE_TRUE, step, attempt, run->evidence);
    *ret = VERDICT_TRUE;
    return OK;
}

static result is_unknown(struct run *run, size_t step, uint32_t attempt, enum verdict *ret)
{
    TRY(write_about(run, JOURNAL_UNKNOWN, step, attempt));
    set_why(run, "step \"%s\": the answer of its goal is unknown: %s", row_of(run, step)->id, reason(run));
    run_say(run, NOTICE_FAILED, step, attempt, run->why);
    *ret = VERDICT_UNKNOWN;
    return OK;
}

static result was_cancelled(struct run *run, size_t step, enum verdict *ret)
{
    set_why(run, "cancelled at step \"%s\"%s", row_of(run, step)->id,
            run->standing.passed ? ", after the point of no return" : "");
    *ret = VERDICT_CANCELLED;
    return OK;
}

/* The journal first: an act begins only after its line is written. */
static result act_and_ask(struct run *run, size_t step, uint32_t attempt, enum answer *ret)
{
    run->error[0] = '\0';
    TRY(write_about(run, JOURNAL_ACT, step, attempt));
    *ret = ANSWER_UNKNOWN;
    if (run->cancelled)
        return OK;
    run_say(run, NOTICE_ACT, step, attempt, "");
    TRY(run_act(run, step, attempt));
    if (run->cancelled && !run->standing.passed)
        return OK;
    run_say(run, NOTICE_ASKING, step, attempt, run->error);
    return run_ask(run, step, false, ret);
}

static result drive_step(struct run *run, size_t step, enum verdict *ret)
{
    const struct runbook_step *row = row_of(run, step);
    bool acted = false;
    run->error[0] = '\0';
    run_say(run, NOTICE_STEP, step, 1, "");
    for (uint32_t attempt = 1;; attempt++) {
        enum answer answer = ANSWER_UNKNOWN;
        TRY(run_ask(run, step, row->no_return, &answer));
        if (answer == ANSWER_NO && row->act != NULL && !run->cancelled) {
            TRY(act_and_ask(run, step, attempt, &answer));
            acted = true;
        }
        if (answer == ANSWER_YES)
            return is_true(run, step, attempt, acted, ret);
        if (run->cancelled)
            return was_cancelled(run, step, ret);
        if (answer == ANSWER_UNKNOWN)
            return is_unknown(run, step, attempt, ret);
        TRY(write_about(run, JOURNAL_NOT_DONE, step, attempt));
        if (attempt == row->tries)
            break;
        run_say(run, NOTICE_AGAIN, step, attempt, reason(run));
        TRY(run_pause(run, step, UINT64_MAX));
        if (run->cancelled)
            return was_cancelled(run, step, ret);
    }
    set_why(run, "step \"%s\" failed: %s", row->id, reason(run));
    run_say(run, NOTICE_FAILED, step, row->tries, run->why);
    *ret = VERDICT_FAILED;
    return OK;
}

static result go_forward(struct run *run, enum verdict *ret)
{
    *ret = VERDICT_TRUE;
    for (size_t step = 0; step < run->runbook->step_count && *ret == VERDICT_TRUE; step++) {
        if (run->cancelled)
            return was_cancelled(run, step, ret);
        TRY(drive_step(run, step, ret));
    }
    return OK;
}

/* ---- back ---- */
static result undo_step(struct run *run, size_t step, bool *ret_undone)
{
    const struct runbook_step *row = row_of(run, step);
    *ret_undone = false;
    for (uint32_t attempt = 1; attempt <= row->tries; attempt++) {
        enum answer answer = ANSWER_UNKNOWN;
        if (attempt > 1)
            TRY(run_pause(run, step, UINT64_MAX));
        run->error[0] = run->evidence[0] = '\0';
        TRY(write_about(run, JOURNAL_UNDO, step, attempt));
        run_say(run, NOTICE_UNDO, step, attempt, "");
        TRY(run_undo(run, step, attempt));
        TRY(run_ask(run, step, false, &answer));
        *ret_undone = answer == ANSWER_NO;
        TRY(write_about(run, *ret_undone ? JOURNAL_UNDONE : JOURNAL_NOT_UNDONE, step, attempt));
        run_say(run, *ret_undone ? NOTICE_UNDONE : NOTICE_NOT_UNDONE, step, attempt,
                *ret_undone ? run->evidence : reason(run));
        if (answer != ANSWER_YES)
            return OK;
    }
    return OK;
}

static result keep_step(struct run *run, size_t step)
{
    run->error[0] = run->evidence[0] = '\0';
    TRY(write_about(run, JOURNAL_KEPT, step, 0));
    run_say(run, NOTICE_KEPT, step, 0, "");
    return OK;
}

/* By its journal, this run is before the point of no return; but somebody else may have passed it. */
static result passed_by_others(struct run *run)
{
    size_t step = 0;
    while (step < run->runbook->step_count && !row_of(run, step)->no_return)
        step++;
    if (step == run->runbook->step_count)
        return OK;
    enum answer answer = ANSWER_UNKNOWN;
    TRY(run_ask(run, step, true, &answer));
    if (answer != ANSWER_YES)
        return OK;
    run->error[0] = '\0';
    TRY(write_about(run, JOURNAL_SKIP, step, 1));
    set_why(run, "%s; nothing is undone, since the goal of \"%s\" is already true: %s",
            arena_cstr(&run->arena, str_from(run->why)), row_of(run, step)->id, run->evidence);
    return OK;
}

static result turn_back(struct run *run, bool cancelled)
{
    TRY(passed_by_others(run));
    if (run->standing.passed)
        return OK;
    const struct journal_event event = { .kind = JOURNAL_BACK, .cancelled = cancelled, .why = run->why };
    TRY(run_write(run, &event));
    run_say(run, NOTICE_BACK, NO_STEP, 0, run->why);
    return OK;
}

/* A step that cannot be undone ends the walk-back: it needs the steps before it. */
static result walk_back(struct run *run, bool *ret_whole)
{
    *ret_whole = true;
    for (size_t step = run->runbook->step_count; step-- > 0 && *ret_whole;) {
        if (!run->standing.acted[step])
            continue;
        if (row_of(run, step)->undo == NULL)
            TRY(keep_step(run, step));
        else
            TRY(undo_step(run, step, ret_whole));
        if (!*ret_whole)
            set_why(run, "step \"%s\" is not undone: %s", row_of(run, step)->id, reason(run));
    }
    return OK;
}

/* ---- the whole ---- */
static result end_code(const struct run *run)
{
    switch (run->standing.state) {
    case RUN_DONE:
        return OK;
    case RUN_UNDONE:
        return run->standing.cancelled ? FAIL(E_CANCELLED, "Nothing more needs to be done.",
                                              "the run \"%s\" was cancelled and is undone", run->id)
                                       : FAIL(E_STEP, "Correct the cause, and run the command again.",
                                              "%s; the run is undone", run->why);
    default:
        return FAIL(E_NEEDS_PERSON,
                    "Check the hosts, then resume or cancel the run; domicile runbook runs shows it.",
                    "the run \"%s\" needs a person: %s", run->id, run->why);
    }
}

static result end(struct run *run, enum run_state state)
{
    const struct journal_event event = { .kind = JOURNAL_END, .state = state, .why = run->why };
    TRY(run_write(run, &event));
    run_say(run, NOTICE_END, NO_STEP, 0, run->why);
    return OK;
}

static result drive(struct run *run)
{
    enum verdict verdict = VERDICT_FAILED;
    bool whole = false;
    if (!run->standing.walking) {
        run->why[0] = '\0';
        TRY(go_forward(run, &verdict));
        if (verdict == VERDICT_TRUE)
            return end(run, RUN_DONE);
        if (verdict == VERDICT_UNKNOWN || run->standing.passed)
            return end(run, RUN_NEEDS_PERSON);
        TRY(turn_back(run, verdict == VERDICT_CANCELLED));
        if (run->standing.passed)
            return end(run, RUN_NEEDS_PERSON);
    }
    TRY(walk_back(run, &whole));
    return end(run, whole ? RUN_UNDONE : RUN_NEEDS_PERSON);
}

/* If this line cannot be written, nothing is lost: the run then looks like one whose process died. */
static void stop(struct run *run, const struct error *error)
{
    struct shield shield;
    struct deadline deadline;
    set_why(run, "stopped: %s", error->what);
    const struct journal_event event = { .kind = JOURNAL_STOP, .why = run->why };
    fiber_shield(&shield);
    deadline_begin(&deadline, SEC(5));
    result ignored = run_write(run, &event);
    (void)ignored;
    deadline_end(&deadline);
    fiber_unshield(&shield);
    run_say(run, NOTICE_END, NO_STEP, 0, run->why);
}

result run_drive(struct run *run)
{
    must(run->standing.state == RUN_OPEN);
    run->began_ns = clock_monotonic_ns();
    result r = drive(run);
    if (failed(r)) {
        stop(run, &r.error);
        return r;
    }
    return end_code(run);
}
