/* The operator's own steps: the commands of a row run on the node of that row. */
#include "cell/internal.h"

static result check_own(void *context, struct runbook_call *call, enum answer *ret)
{
    const struct provisioning *p = context;
    struct ssh_output output;
    TRY(host_look(p->hosts, call->own->on, call, host_words(call->arena, &call->own->check), STR(""),
                  &output));
    struct str words = last_line(output.out);
    runbook_answer(call, ret, output.exit_status == 0, "%s: status %d%s%.*s", call->own->on->name.ptr,
                   output.exit_status, words.len > 0 ? ": " : "", STR_ARG(words));
    return OK;
}

static result run_words(void *context, struct runbook_call *call, const struct config_words *words)
{
    const struct provisioning *p = context;
    const struct host_command command = { .argv = host_words(call->arena, words),
                                          .within_ms = call->own->within_ms };
    return host_run(p->hosts, call->own->on, call, &command, NULL);
}

static result run_own(void *context, struct runbook_call *call)
{
    return run_words(context, call, &call->own->run);
}

static result undo_own(void *context, struct runbook_call *call)
{
    return run_words(context, call, &call->own->undo);
}

const struct runbook_own cell_own_steps = { check_own, run_own, undo_own };
