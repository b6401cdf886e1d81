/* Data directories. Each is created under a temporary name, and renamed when it is complete: so the data directory is never
 * incomplete, and the name shows what a killed act has left. */
#include "cell/internal.h"

enum { INITDB_WITHIN_MS = 300000, MOVE_WITHIN_MS = 600000, COPY_WITHIN_MS = 12 * 3600 * 1000 };

static const char *beside(const struct runbook_call *call, const struct node *node)
{
    return arena_printf(call->arena, "%s.domicile-new", node->paths.data);
}

/* ---- before ---- */

static result run_all(const struct provisioning *p, const struct runbook_call *call, const struct node *node,
                      const struct host_command *commands, size_t count)
{
    for (size_t i = 0; i < count; i++)
        TRY(host_run(p->hosts, node, call, &commands[i], NULL));
    return OK;
}
#define RUN_ALL(p, call, node, commands) run_all(p, call, node, commands, COUNT(commands))

/* The data directory must not exist, or be empty. The temporary directory that a killed act has left is ours by its name; but
 * a server that runs on it is not. */
static result refuse_what_is_there(const struct provisioning *p, const struct runbook_call *call,
                                   const struct node *node, const char *path)
{
    static const char hint[] =
        "Check the directory. Move it away if nobody needs it, or adopt the cell if it belongs to the cell.";
    struct host_fact facts[] = {
        { .argv = HOST_ARGV("test", "-e", node->paths.data) },
        { .argv = HOST_ARGV("ls", "-A", "--", node->paths.data) },
        running_fact(call->arena, node, path),
    };
    bool running;
    TRY(host_ask(p->hosts, node, call, facts, 3));
    if (facts[0].exit_status != 1 && facts[1].exit_status != 0)
        return FAIL(E_CONFLICT, hint, "\"%s\": cannot list \"%s\"", node->name.ptr, node->paths.data);
    if (facts[0].exit_status != 1 && last_line(facts[1].out).len > 0)
        return FAIL(E_CONFLICT, hint, "\"%s\": \"%s\" is not empty, and is not this cell's data directory",
                    node->name.ptr, node->paths.data);
    TRY(running_read(node, &facts[2], &running));
    return running ? FAIL(E_CONFLICT, "Check that server, and stop it.",
                          "\"%s\": a PostgreSQL server runs on \"%s\"", node->name.ptr, path)
                   : OK;
}

static result clear_beside(const struct provisioning *p, const struct runbook_call *call,
                           const struct node *node)
{
    const char *path = beside(call, node);
    char *parent = arena_cstr(call->arena, str_from(node->paths.data));
    *strrchr(parent, '/') = '\0';
    TRY(refuse_what_is_there(p, call, node, path));
    const struct host_command commands[] = {
        { .argv = HOST_ARGV("mkdir", "-p", "--", parent[0] == '\0' ? "/" : parent),
          .within_ms = MOVE_WITHIN_MS },
        { .argv = HOST_ARGV("rm", "-rf", "--", path), .within_ms = MOVE_WITHIN_MS },
    };
    return RUN_ALL(p, call, node, commands);
}

static result move_into_place(const struct provisioning *p, const struct runbook_call *call,
                              const struct node *node)
{
    char *parent = arena_cstr(call->arena, str_from(node->paths.data));
    *strrchr(parent, '/') = '\0';
    const struct host_command commands[] = {
        { .argv = HOST_ARGV("mv", "-T", "--", beside(call, node), node->paths.data),
          .within_ms = MOVE_WITHIN_MS },
        { .argv = HOST_ARGV("sync", parent[0] == '\0' ? "/" : parent), .within_ms = MOVE_WITHIN_MS },
    };
    return RUN_ALL(p, call, node, commands);
}

/* ---- the primary ---- */

static result primary_is_made(void *context, struct runbook_call *call, enum answer *ret)
{
    const struct provisioning *p = context;
    const struct node *primary = p->cell->primary;
    struct control control;
    TRY(host_control(p, call, primary, &control));
    bool made = control.system[0] != '\0' && control.checksums;
    if (control.system[0] == '\0')
        runbook_answer(call, ret, false, "%s: no cluster in \"%s\"", primary->name.ptr, primary->paths.data);
    else
        runbook_answer(call, ret, made, "%s: system identifier %s, %s checksums", primary->name.ptr,
                       control.system, made ? "with" : "without");
    return OK;
}

static result make_primary(void *context, struct runbook_call *call)
{
    const struct provisioning *p = context;
    const struct node *primary = p->cell->primary;
    const char *path = beside(call, primary);
    TRY(clear_beside(p, call, primary));
    const struct host_command init = {
        .argv = host_program(call->arena, primary, &primary->commands.initdb, "initdb", "-D", path, "-U",
                             CONF_SUPERUSER, "--data-checksums", "--encoding=UTF8", "--locale=C.UTF-8",
                             "--auth=reject", "--no-instructions", (char *)NULL),
        .within_ms = INITDB_WITHIN_MS,
    };
    TRY(host_run(p->hosts, primary, call, &init, NULL));
    TRY(configuration_put(p, call, primary, path, WAITS_FOR_NOBODY));
    return move_into_place(p, call, primary);
}

const struct runbook_step step_initdb = {
    .id = "initdb",
    .title = "Create the primary's cluster",
    .question = "does the primary have a cluster with checksums?",
    .ask = primary_is_made,
    .act = make_primary,
    .within_ms = SEC(600),
    .ask_within_ms = SEC(60),
    .tries = 2,
};

/* ---- standbys ---- */

static result is_copied(const struct provisioning *p, struct runbook_call *call, const struct node *node,
                        enum answer *ret)
{
    const struct node *primary = p->cell->primary;
    struct control control, wanted;
    TRY(host_control(p, call, primary, &wanted));
    TRY(host_control(p, call, node, &control));
    if (control.system[0] == '\0')
        runbook_answer(call, ret, false, "%s: no copy in \"%s\"", node->name.ptr, node->paths.data);
    else if (strcmp(control.system, wanted.system) != 0)
        runbook_answer(call, ret, false, "%s: system identifier %s, but the primary's is %s", node->name.ptr,
                       control.system, wanted.system[0] != '\0' ? wanted.system : "not known yet");
    else
        runbook_answer(call, ret, true, "%s: system identifier %s", node->name.ptr, control.system);
    return OK;
}

static result standbys_are_copied(void *context, struct runbook_call *call, enum answer *ret)
{
    return ask_nodes(context, call, MEANT_STANDBYS, is_copied, ret);
}

/* It is configured as a standby before the rename, so that starting it never gives a second primary. */
static result copy(const struct provisioning *p, struct runbook_call *call, const struct node *node)
{
    const char *path = beside(call, node);
    TRY(clear_beside(p, call, node));
    const struct host_command backup = {
        .argv = host_program(call->arena, node, &node->commands.base_backup, "pg_basebackup", "-D", path,
                             "-d", conf_upstream(call->arena, node, p->cell->primary), "-S",
                             conf_slot(call->arena, node), "-X", "stream", "-c", "fast", "-w", (char *)NULL),
        .within_ms = COPY_WITHIN_MS,
    };
    TRY(host_run(p->hosts, node, call, &backup, NULL));
    TRY(configuration_put(p, call, node, path, WAITS_FOR_NOBODY));
    return move_into_place(p, call, node);
}

static result copy_to_standbys(void *context, struct runbook_call *call)
{
    return act_on_nodes(context, call, MEANT_STANDBYS, is_copied, copy);
}

const struct runbook_step step_base_backup = {
    .id = "base-backup",
    .title = "Take a base backup for each standby",
    .question = "does every standby have a copy of the primary's cluster?",
    .ask = standbys_are_copied,
    .act = copy_to_standbys,
    .within_ms = SEC(12 * 3600),
    .ask_within_ms = SEC(60),
    .tries = 2,
};
