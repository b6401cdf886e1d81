/* A plan: asks all goals, and changes nothing. */
#include "loop/fiber.h"
#include "runbook/internal.h"

static struct runbook_planned plan_step(const struct runbook *runbook, size_t i, void *context,
                                        struct arena *arena)
{
    const struct runbook_step *step = runbook->steps[i];
    struct runbook_planned planned = { step, ANSWER_UNKNOWN, "", 0 };
    struct runbook_call call = { .run = "plan",
                                 .step = step->id,
                                 .number = (uint32_t)i + 1,
                                 .count = (uint32_t)runbook->step_count,
                                 .attempt = 1,
                                 .own = step->own };
    struct arena scratch;
    struct deadline deadline;
    uint64_t began_ns = clock_monotonic_ns();
    arena_init(&scratch);
    call.arena = &scratch;
    deadline_begin(&deadline, runbook_ask_within_ms(step));
    result r = step->ask(context, &call, &planned.answer);
    deadline_end(&deadline);
    arena_done(&scratch);
    if (failed(r)) {
        planned.answer = ANSWER_UNKNOWN;
        runbook_evidence(&call, "%s", r.error.what);
    }
    planned.evidence = arena_cstr(arena, str_from(call.evidence));
    planned.took_ms = (clock_monotonic_ns() - began_ns) / 1000000;
    return planned;
}

result runbook_plan(const struct runbook *runbook, void *context, struct arena *arena,
                    const struct runbook_planned **ret)
{
    struct runbook_planned *planned = arena_array(arena, struct runbook_planned, runbook->step_count);
    for (size_t i = 0; i < runbook->step_count; i++) {
        TRY(fiber_check());
        planned[i] = plan_step(runbook, i, context, arena);
    }
    TRY(fiber_check());
    *ret = planned;
    return OK;
}

json_t *runbook_plan_json(const struct runbook *runbook, const struct runbook_planned *planned)
{
    json_t *steps = json_array();
    for (size_t i = 0; i < runbook->step_count; i++) {
        const struct runbook_planned *at = &planned[i];
        bool check = at->step->act == NULL;
        const char *would = at->answer == ANSWER_YES       ? "skip"
                            : at->answer == ANSWER_UNKNOWN ? "ask-again"
                            : check                        ? "fail"
                                                           : "act";
        json_array_append_new(steps,
                              json_pack("{s:i,s:s,s:s,s:s,s:s,s:s,s:s,s:I}", "number", (int)i + 1, "id",
                                        at->step->id, "title", at->step->title, "goal", at->step->question,
                                        "answer", answer_word(at->answer), "evidence", at->evidence, "would",
                                        would, "took_ms", (json_int_t)at->took_ms));
    }
    return json_pack("{s:s,s:o}", "runbook", runbook->name, "steps", steps);
}
