#include "base/text.h"
#include "loop/fiber.h"
#include "runbook/engine.h"

#include <stdio.h>

enum doing_kind { DOING_ASK, DOING_ACT, DOING_UNDO, DOING_PAUSE };

struct doing {
    struct run *run;
    const struct runbook_step *step;
    enum doing_kind kind;
    uint64_t within_ms;
    struct runbook_call call;
    result outcome;
    enum answer answer;
};

static result do_it(struct doing *doing)
{
    void *context = doing->run->context;
    switch (doing->kind) {
    case DOING_ASK:
        return doing->step->ask(context, &doing->call, &doing->answer);
    case DOING_ACT:
        return doing->step->act(context, &doing->call);
    case DOING_UNDO:
        return doing->step->undo(context, &doing->call);
    default:
        return fiber_sleep(doing->within_ms);
    }
}

static void on_fiber(void *arg)
{
    struct doing *doing = arg;
    struct deadline deadline;
    struct arena arena;
    bool pauses = doing->kind == DOING_PAUSE;
    arena_init(&arena);
    doing->call.arena = &arena;
    deadline_begin(&deadline, pauses ? UINT64_MAX : doing->within_ms);
    doing->outcome = do_it(doing);
    deadline_end(&deadline);
    doing->call.arena = NULL;
    arena_done(&arena);
}

/* A cancel may end an act that can still be undone, and every pause; never a walk-back. */
static bool may_be_ended(const struct doing *doing)
{
    const struct journal_standing *standing = &doing->run->standing;
    return !standing->walking && (!standing->passed || doing->kind == DOING_PAUSE);
}

static result call(struct doing *doing)
{
    struct scope scope = SCOPE_INIT;
    struct run *run = doing->run;
    TRY(fiber_spawn(&scope, doing->step->id, on_fiber, doing));
    if (may_be_ended(doing))
        run->doing = &scope;
    result r = scope_join(&scope);
    run->doing = NULL;
    return r;
}

static struct doing prepare(struct run *run, size_t step, enum doing_kind kind, uint64_t within_ms,
                            uint32_t attempt)
{
    const struct runbook_step *row = run->runbook->steps[step];
    return (struct doing){
        .run = run,
        .step = row,
        .kind = kind,
        .within_ms = within_ms,
        .outcome = OK,
        .answer = ANSWER_UNKNOWN,
        .call = { .run = run->id,
                  .fence = run->standing.fence,
                  .serial = run->standing.serial,
                  .step = row->id,
                  .number = (uint32_t)step + 1,
                  .count = (uint32_t)run->runbook->step_count,
                  .attempt = attempt,
                  .own = row->own },
    };
}

static void note_error(struct run *run, const struct doing *doing)
{
    const struct error *error = &doing->outcome.error;
    run->error[0] = '\0';
    if (error->code == E_DEADLINE)
        text_fit(run->error, sizeof run->error, "it took longer than %s",
                 duration_text(doing->within_ms, &run->arena));
    else if (error->code != E_OK)
        text_fit(run->error, sizeof run->error, "%s", error->what);
    clean_text(run->error);
}

/* ---- asking ---- */
static result ask_once(struct run *run, size_t step, uint64_t within_ms, uint32_t times, enum answer *ret)
{
    struct doing doing = prepare(run, step, DOING_ASK, within_ms, times);
    TRY(call(&doing));
    if (failed(doing.outcome)) {
        doing.answer = ANSWER_UNKNOWN;
        runbook_evidence(&doing.call, "%s", doing.outcome.error.what);
    }
    must(doing.answer >= ANSWER_NO && doing.answer <= ANSWER_UNKNOWN);
    memcpy(run->evidence, doing.call.evidence, sizeof run->evidence);
    *ret = doing.answer;
    return OK;
}

static bool ended_by_cancel(const struct run *run)
{
    return run->cancelled && !run->standing.walking && !run->standing.passed;
}

result run_ask(struct run *run, size_t step, bool once, enum answer *ret)
{
    const struct runbook_step *row = run->runbook->steps[step];
    uint64_t end_ns = clock_monotonic_ns() + runbook_ask_within_ms(row) * 1000000;
    for (uint32_t times = 1;; times++) {
        uint64_t now_ns = clock_monotonic_ns(), left_ms = now_ns < end_ns ? (end_ns - now_ns) / 1000000 : 0;
        if (times > 1 && left_ms == 0)
            return OK;
        TRY(ask_once(run, step, left_ms, times, ret));
        if (*ret != ANSWER_UNKNOWN || once || ended_by_cancel(run))
            return OK;
        run_say(run, NOTICE_WAITING, step, times, run->evidence);
        now_ns = clock_monotonic_ns();
        TRY(run_pause(run, step, now_ns < end_ns ? (end_ns - now_ns) / 1000000 : 0));
        if (ended_by_cancel(run))
            return OK;
    }
}

/* ---- acting ---- */
result run_act(struct run *run, size_t step, uint32_t attempt)
{
    struct doing doing = prepare(run, step, DOING_ACT, run->runbook->steps[step]->within_ms, attempt);
    TRY(call(&doing));
    note_error(run, &doing);
    return OK;
}

result run_undo(struct run *run, size_t step, uint32_t attempt)
{
    struct doing doing = prepare(run, step, DOING_UNDO, run->runbook->steps[step]->within_ms, attempt);
    TRY(call(&doing));
    note_error(run, &doing);
    return OK;
}

result run_pause(struct run *run, size_t step, uint64_t at_most_ms)
{
    uint64_t pause_ms = runbook_pause_ms(run->runbook->steps[step]);
    struct doing doing = prepare(run, step, DOING_PAUSE, pause_ms < at_most_ms ? pause_ms : at_most_ms, 0);
    if (doing.within_ms == 0 || (run->cancelled && !run->standing.walking))
        return OK;
    return call(&doing);
}
