/* cell provision, adopt, add-standby, remove-standby: runbooks over SSH, under a lease of the directory. */
#include "cell/runbooks.h"
#include "cell/steps.h"

#include "base/encode.h"
#include "base/secret.h"
#include "cli/cell.h"
#include "cli/drive.h"
#include "cli/host_log.h"
#include "directory/sqlite.h"

#include <string.h>
#include <unistd.h>

enum {
    LEASE_MS = 8000,
    RENEW_MS = 2000,
    LEASE_WITHIN_MS = LEASE_MS + 3000, /* a process that was killed holds its lease until it runs out */
    LEASE_AGAIN_MS = 250,
};

struct change {
    struct cli *cli;
    const struct cell *cell;
    const char *subject;
    struct runbook runbook;
    struct provisioning provisioning;
    struct cell_hosts *hosts;
    result (*prepare)(struct change *change); /* what is special about it; may be NULL */
    bool only_with_yes;
    /* while it goes on */
    struct directory *directory;
    struct directory_lease lease;
    struct scope driver;
    result outcome, lost;
};

/* ---- the lease ---- */

static result lease_name(const struct change *change, struct str *ret)
{
    const char *name = arena_printf(&change->cli->arena, "run-%s", change->cell->name.ptr);
    if (strlen(name) > DIRECTORY_NAME_MAX)
        return FAIL(E_CONFIG, "Give the cell a shorter name.",
                    "the name of the cell \"%s\" is too long for a lease", change->cell->name.ptr);
    *ret = str_from(name);
    return OK;
}

static result acquire(struct change *change)
{
    uint8_t salt[4];
    struct str name;
    bool told = false;
    random_bytes(salt, sizeof salt);
    struct str bytes = { (const char *)salt, sizeof salt };
    struct str holder = str_from(arena_printf(&change->cli->arena, "domicile-%d-%s", (int)getpid(),
                                              encode_hex(&change->cli->arena, bytes)));
    TRY(lease_name(change, &name));
    for (uint64_t began_ns = clock_monotonic_ns();;) {
        result r = directory_lease_acquire(change->directory, name, holder, LEASE_MS, &change->lease);
        if (!failed(r) || r.error.code != E_BUSY)
            return r;
        if ((clock_monotonic_ns() - began_ns) / 1000000 > LEASE_WITHIN_MS)
            return FAIL(E_BUSY, "Wait until it ends: domicile runbook runs shows it.",
                        "another process changes the cell \"%s\"", change->subject);
        if (!told)
            cli_progress(change->cli,
                         "waiting for another process that has the cell, or had it a moment ago");
        told = true;
        TRY(fiber_sleep(LEASE_AGAIN_MS));
    }
}

/* Without the lease nobody acts: the run stops where it is. */
static void keep(void *arg)
{
    struct change *change = arg;
    while (!failed(fiber_sleep(RENEW_MS))) {
        result r = directory_lease_renew(change->directory, &change->lease, LEASE_MS);
        bool over = clock_monotonic_ns() + MS(RENEW_MS) * 1000000 >= change->lease.until_ns;
        if (failed(r) && r.error.code != E_CANCELLED && (r.error.code == E_STALE || over)) {
            change->lost = r;
            scope_cancel(&change->driver);
            return;
        }
    }
}

/* ---- nothing to do ---- */

static bool all_hold(const struct runbook *runbook, const struct runbook_planned *planned)
{
    for (size_t i = 0; i < runbook->step_count; i++)
        if (planned[i].answer != ANSWER_YES)
            return false;
    return true;
}

static void say_already(struct change *change, const struct runbook_planned *planned)
{
    struct cli *cli = change->cli;
    if (!cli_has(cli, OPT_JSON)) {
        fprintf(cli->out, "%s: already done, nothing was changed (%zu steps)\n", change->subject,
                change->runbook.step_count);
        return;
    }
    json_t *document = runbook_plan_json(&change->runbook, planned);
    json_object_set_new(document, "subject", json_string(change->subject));
    json_object_set_new(document, "already", json_true());
    cli_print_json(cli, document);
}

/* All is asked first: what is done already leaves no run behind. */
static result is_done(struct change *change, bool *ret)
{
    char open[RUNBOOK_RUN_ID_MAX + 1];
    const struct runbook_planned *planned;
    *ret = false;
    TRY(run_find_open(change->cli->config->state_path, change->runbook.name, change->subject, open));
    if (open[0] != '\0' || cli_has(change->cli, OPT_CANCEL))
        return OK;
    cli_progress(change->cli, "looking at the hosts of %s", change->subject);
    result r = runbook_plan(&change->runbook, &change->provisioning, &change->cli->arena, &planned);
    cli_progress_end(change->cli);
    TRY(r);
    *ret = all_hold(&change->runbook, planned);
    if (*ret)
        say_already(change, planned);
    return OK;
}

/* ---- driving ---- */

static void drive(void *arg)
{
    struct change *change = arg;
    const struct cli_drive what = { &change->runbook, &change->provisioning, change->subject,
                                    change->lease.fence };
    bool done = false;
    change->outcome = is_done(change, &done);
    if (!failed(change->outcome) && !done)
        change->outcome = cli_drive(change->cli, &what);
}

static result drive_under_lease(struct change *change)
{
    struct scope keeper = SCOPE_INIT;
    change->driver = SCOPE_INIT;
    change->lost = OK;
    change->outcome = FAIL(E_INTERNAL, NULL, "the run was not driven");
    result r = fiber_spawn(&keeper, "lease", keep, change);
    if (!failed(r))
        r = fiber_spawn(&change->driver, "run", drive, change);
    if (!failed(r))
        r = scope_join(&change->driver);
    scope_end(&keeper);
    if (failed(change->lost))
        return FAIL(E_STALE, "Give the command again: it goes on where it stopped.",
                    "the lease of the cell \"%s\" was lost: %s", change->subject, change->lost.error.what);
    return failed(r) ? r : change->outcome;
}

static result run_it(struct change *change)
{
    TRY(directory_open_sqlite(change->cli->config->directory_path, &change->directory));
    result r = acquire(change);
    cli_progress_end(change->cli);
    if (!failed(r)) {
        r = drive_under_lease(change);
        result released = directory_lease_release(change->directory, &change->lease);
        if (!failed(r) && failed(released) && released.error.code != E_STALE)
            r = released;
    }
    directory_free(change->directory);
    return r;
}

/* ---- the command ---- */

static result go(struct change *change)
{
    struct cli *cli = change->cli;
    bool plan = cli_has(cli, OPT_PLAN) || (change->only_with_yes && !cli_has(cli, OPT_YES));
    TRY(provisioning_init(&change->provisioning, change->cell, change->hosts));
    if (change->prepare != NULL)
        TRY(change->prepare(change));
    const struct runbook base = change->runbook;
    TRY(runbook_extend(&base, change->cell->steps, change->cell->step_count, &cell_own_steps, &cli->arena,
                       &change->runbook));
    if (plan) {
        const struct cli_drive what = { &change->runbook, &change->provisioning, change->subject, 0 };
        TRY(cli_plan(cli, &what));
        if (!cli_has(cli, OPT_PLAN) && !cli_has(cli, OPT_JSON))
            fputs("give the command again with --yes to change what is to be done above\n", cli->out);
        return OK;
    }
    return run_it(change);
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
        return FAIL(E_ARGUMENT, "Give the cell and the node shorter names.", "\"%s\" is too long",
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
        return FAIL(E_NOT_FOUND, "Declare the node in the region's file first; it is what says where it is.",
                    "the cell \"%s\" has no node \"%s\"", change->cli->arguments[0],
                    change->cli->arguments[1]);
    if (*ret == change->cell->primary)
        return FAIL(E_ARGUMENT, "Name one of its standbys.", "\"%s\" is the primary of the cell \"%s\"",
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
            E_CONFLICT, "Add another standby first, or say --yes: then writes are on the primary alone.",
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
