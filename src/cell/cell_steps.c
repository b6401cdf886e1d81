#include "cell/cell_steps.h"

#include "cell/steps.h"
#include "config/config.h"

static struct cell_call call_of(const struct runbook_call *call)
{
    return (struct cell_call){ .arena = call->arena,
                               .run = call->run,
                               .step = call->step,
                               .fence = call->fence,
                               .serial = call->serial,
                               .attempt = call->attempt };
}

static result ask(const void *context, struct runbook_call *call, cell_look *look, enum answer *ret)
{
    const struct cell_call of_cell = call_of(call);
    struct cell_seen seen = { 0 };
    TRY(look(context, &of_cell, &seen));
    runbook_evidence(call, "%s", seen.text);
    *ret = seen.holds ? ANSWER_YES : ANSWER_NO;
    return OK;
}

#define GOAL(symbol, look, question)                                                                         \
    static result ask_##look(void *context, struct runbook_call *call, enum answer *ret)                     \
    {                                                                                                        \
        return ask(context, call, look, ret);                                                                \
    }                                                                                                        \
    const struct runbook_goal symbol = { question, ask_##look, SEC(60) };
#define ACT(symbol, act)                                                                                     \
    result symbol(void *context, struct runbook_call *call)                                                  \
    {                                                                                                        \
        const struct cell_call of_cell = call_of(call);                                                      \
        return act(context, &of_cell);                                                                       \
    }
#include "cell/cell_steps.def"
#undef GOAL
#undef ACT

/* ---- the operator's own steps ---- their commands run on the node that the row names */

static const char *const *words_of(struct runbook_call *call, const struct config_words *words)
{
    return host_words(call->arena, words);
}

static result ask_own(void *context, struct runbook_call *call, enum answer *ret)
{
    const struct provisioning *p = context;
    const struct cell_call of_cell = call_of(call);
    struct ssh_output output;
    TRY(host_look(p->hosts, call->own->on, &of_cell, words_of(call, &call->own->check), STR(""), &output));
    struct str words = last_line(output.out);
    runbook_evidence(call, "%s: status %d%s%.*s", call->own->on->name.ptr, output.exit_status,
                     words.len > 0 ? ": " : "", STR_ARG(words));
    *ret = output.exit_status == 0 ? ANSWER_YES : ANSWER_NO;
    return OK;
}

static result run_own(void *context, struct runbook_call *call, const struct config_words *words)
{
    const struct provisioning *p = context;
    const struct cell_call of_cell = call_of(call);
    const struct host_command command = { .argv = words_of(call, words), .within_ms = call->own->within_ms };
    return host_run(p->hosts, call->own->on, &of_cell, &command, NULL);
}

static result act_own(void *context, struct runbook_call *call)
{
    return run_own(context, call, &call->own->run);
}

static result undo_own(void *context, struct runbook_call *call)
{
    return run_own(context, call, &call->own->undo);
}

const struct runbook_own runbook_own_on_hosts = { ask_own, act_own, undo_own };
