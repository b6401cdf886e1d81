/* cell provision, adopt, add-standby, remove-standby: runbooks over SSH, under a lease of the directory. */
#include "cell/runbooks.h"
#include "cell/steps.h"
#include "cli/cell.h"
#include "cli/drive.h"
#include "cli/host_log.h"
#include "directory/sqlite.h"

#include <string.h>

struct change {
    struct cli *cli;
    const struct cell *cell;
    const char *subject;
    struct runbook runbook;
    struct provisioning provisioning;
    struct cell_hosts *hosts;
    result (*prepare)(struct change *change); /* of this command; may be NULL */
    bool only_with_yes;
};

/* ---- the command ---- */

static result plan(struct change *change, const struct cli_drive *what)
{
    struct cli *cli = change->cli;
    TRY(cli_plan(cli, what));
    if (!cli_has(cli, OPT_PLAN) && !cli_has(cli, OPT_JSON))
        fputs("run the command again with --yes to do the steps above that are not done yet\n", cli->out);
    return OK;
}

static result drive(struct change *change, struct cli_drive *what)
{
    TRY(cell_run_lease(change->cell, &change->cli->arena, &what->lease));
    TRY(directory_open_sqlite(change->cli->config->directory_path, &what->directory));
    result r = cli_drive(change->cli, what);
    directory_free(what->directory);
    return r;
}

static result go(struct change *change)
{
    struct cli *cli = change->cli;
    TRY(provisioning_init(&change->provisioning, change->cell, change->hosts));
    if (change->prepare != NULL)
        TRY(change->prepare(change));
    const struct runbook base = change->runbook;
    TRY(runbook_extend(&base, change->cell->steps, change->cell->step_count, &cell_own_steps, &cli->arena,
                       &change->runbook));
    struct cli_drive what = { .runbook = &change->runbook,
                              .context = &change->provisioning,
                              .subject = change->subject };
    bool only_plan = cli_has(cli, OPT_PLAN) || (change->only_with_yes && !cli_has(cli, OPT_YES));
    return only_plan ? plan(change, &what) : drive(change, &what);
}

static result on_loop(void *arg)
{
    struct change *change = arg;
    struct host_log *log = cli_host_log(change->cli, "plan");
    result r = cell_hosts_new(change->cell, log, &change->hosts);
    if (!failed(r))
        r = go(change);
    cell_hosts_free(change->hosts);
    host_log_free(log);
    return r;
}

static result change_cell(struct cli *cli, struct change *change)
{
    change->cli = cli;
    TRY(cell_parse(cli, cli->arguments[0], &change->cell));
    change->subject = cli->argument_count > 1
                          ? arena_printf(&cli->arena, "%s/%s", cli->arguments[0], cli->arguments[1])
                          : cli->arguments[0];
    if (strlen(change->subject) > RUNBOOK_SUBJECT_MAX)
        return FAIL(E_ARGUMENT, "Choose shorter names for the cell and the node.", "\"%s\" is too long",
                    change->subject);
    return cli_on_loop(on_loop, change);
}

result cli_cell_provision(struct cli *cli)
{
    struct change change = { .runbook = provision_runbook };
    return change_cell(cli, &change);
}

static result prepare_adopt(struct change *change)
{
    change->provisioning.adopting = true;
    return OK;
}

result cli_cell_adopt(struct cli *cli)
{
    struct change change = { .runbook = adopt_runbook, .prepare = prepare_adopt, .only_with_yes = true };
    return change_cell(cli, &change);
}

/* ---- standbys ---- */

static result find_standby(struct change *change, const struct node **ret)
{
    for (size_t i = 0; i < change->cell->node_count; i++)
        if (str_is(change->cell->nodes[i].name, change->cli->arguments[1]))
            *ret = &change->cell->nodes[i];
    if (*ret == NULL)
        return FAIL(E_NOT_FOUND, "Declare the node in the region's file first.",
                    "the cell \"%s\" has no node \"%s\"", change->cli->arguments[0],
                    change->cli->arguments[1]);
    if (*ret == change->cell->primary)
        return FAIL(E_ARGUMENT, "Give the name of a standby.", "\"%s\" is the primary of the cell \"%s\"",
                    (*ret)->name.ptr, change->cli->arguments[0]);
    return OK;
}

static result prepare_add(struct change *change)
{
    const struct node *node = NULL;
    TRY(find_standby(change, &node));
    change->provisioning.standbys[0] = node;
    change->provisioning.standby_count = 1;
    return OK;
}

result cli_cell_add_standby(struct cli *cli)
{
    struct change change = { .runbook = add_standby_runbook, .prepare = prepare_add };
    return change_cell(cli, &change);
}

static result prepare_remove(struct change *change)
{
    const struct node *node = NULL;
    struct cli *cli = change->cli;
    TRY(find_standby(change, &node));
    if (change->cell->synchronous && change->cell->node_count <= 2 && !cli_has(cli, OPT_YES) &&
        !cli_has(cli, OPT_PLAN))
        return FAIL(
            E_CONFLICT, "Add another standby first, or give --yes: then the primary alone has the writes.",
            "\"%s\" is the only standby of the synchronous cell \"%s\"", node->name.ptr, cli->arguments[0]);
    change->provisioning.leaving = node;
    change->provisioning.standbys[0] = node;
    change->provisioning.standby_count = 1;
    return OK;
}

result cli_cell_remove_standby(struct cli *cli)
{
    struct change change = { .runbook = remove_standby_runbook, .prepare = prepare_remove };
    return change_cell(cli, &change);
}
