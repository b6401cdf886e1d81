/* Configuration files, and the servers that run with them. */
#include "cell/internal.h"

#include "loop/fiber.h"

enum {
    START_WITHIN_MS = 120000,
    SMALL_WITHIN_MS = 30000,
    LOADED_WITHIN_MS = 5000,
    ASK_AGAIN_MS = 100,
    FILE_MODE = 0600
};

/* ---- the files on the host ---- */

struct files {
    struct str postgresql, conf, hba, ident, certificate; /* ptr NULL: the file is missing */
    bool standby;
};
enum { FILES = 6 };

static const char *certificate_path(struct arena *arena, const struct node *node)
{
    return arena_printf(arena, "%s/server.crt", node->paths.tls);
}

static result read_files(const struct provisioning *p, const struct runbook_call *call,
                         const struct node *node, const char *folder, struct files *ret)
{
    struct arena *arena = call->arena;
    struct host_fact facts[FILES] = {
        { .path = arena_printf(arena, "%s/postgresql.conf", folder) },
        { .path = arena_printf(arena, "%s/" CONF_FILE, folder) },
        { .path = arena_printf(arena, "%s/pg_hba.conf", folder) },
        { .path = arena_printf(arena, "%s/pg_ident.conf", folder) },
        { .path = arena_printf(arena, "%s/standby.signal", folder) },
        { .path = certificate_path(arena, node) },
    };
    TRY(host_ask(p->hosts, node, call, facts, FILES));
    *ret = (struct files){ .postgresql = facts[0].out,
                           .conf = facts[1].out,
                           .hba = facts[2].out,
                           .ident = facts[3].out,
                           .standby = facts[4].out.ptr != NULL,
                           .certificate = facts[5].out };
    return OK;
}

/* ---- the files as they should be ---- */

static struct str conf_wanted(const struct provisioning *p, const struct runbook_call *call,
                              const struct node *node, struct str certificate, enum waits waits)
{
    struct arena *arena = call->arena;
    struct str hba = conf_hba(arena, p->cell, p->leaving), ident = conf_ident(arena, node);
    const struct node *standbys[CELL_NODES_MAX];
    bool primary = node_is_primary(p, node);
    size_t count = standbys_awaited(p, standbys);
    const struct conf_node at = {
        .node = node,
        .upstream = primary ? NULL : p->cell->primary,
        .socket = host_socket(arena, node),
        .standbys = standbys,
        .standby_count = primary && waits == WAITS_FOR_STANDBYS ? count : 0,
        .certificate = certificate,
        .hba = str_from(arena_printf(arena, "%.*s%.*s", STR_ARG(hba), STR_ARG(ident))),
    };
    return conf_text(arena, p->cell, &at);
}

void waiting_facts(struct arena *arena, const struct node *primary, struct host_fact facts[WAITING_FACTS])
{
    facts[0] = (struct host_fact){ .path = arena_printf(arena, "%s/" CONF_FILE, primary->paths.data) };
    facts[1] = (struct host_fact){ .path = certificate_path(arena, primary) };
}

bool waiting_is_written(const struct provisioning *p, const struct runbook_call *call,
                        const struct host_fact facts[WAITING_FACTS])
{
    return str_eq(facts[0].out, conf_wanted(p, call, p->cell->primary, facts[1].out, WAITS_FOR_STANDBYS));
}

/* The first setting that is different: "max_wal_senders". */
static const char *difference(struct arena *arena, struct str there, struct str wanted)
{
    struct str line, other, name;
    if (there.ptr == NULL)
        return CONF_FILE " is missing";
    while (str_cut(&wanted, '\n', &line)) {
        if (!str_cut(&there, '\n', &other) || !str_eq(line, other)) {
            str_cut(&line, ' ', &name);
            return arena_printf(arena, "%.*s differs in " CONF_FILE, STR_ARG(name));
        }
    }
    return CONF_FILE " has additional lines";
}

/* NULL: all files are as they should be. A later step checks the synchronous standbys. */
static const char *misfit_of(const struct provisioning *p, const struct runbook_call *call,
                             const struct node *node, const struct files *files)
{
    struct arena *arena = call->arena;
    struct str wanted = conf_wanted(p, call, node, files->certificate, WAITS_FOR_NOBODY),
               waiting = conf_wanted(p, call, node, files->certificate, WAITS_FOR_STANDBYS);
    if (files->postgresql.ptr == NULL)
        return "postgresql.conf is missing";
    if (conf_with_include(arena, files->postgresql).ptr != NULL)
        return "postgresql.conf does not end with: " CONF_INCLUDE;
    if (!str_eq(files->hba, conf_hba(arena, p->cell, p->leaving)))
        return "pg_hba.conf differs";
    if (!str_eq(files->ident, conf_ident(arena, node)))
        return "pg_ident.conf differs";
    if (!str_eq(files->conf, wanted) && !str_eq(files->conf, waiting))
        return difference(arena, files->conf, wanted);
    if (files->standby == node_is_primary(p, node))
        return files->standby ? "standby.signal exists" : "standby.signal is missing";
    return NULL;
}

static result is_configured(const struct provisioning *p, struct runbook_call *call, const struct node *node,
                            enum answer *ret)
{
    struct files files;
    TRY(read_files(p, call, node, node->paths.data, &files));
    const char *why = misfit_of(p, call, node, &files);
    if (why != NULL)
        runbook_answer(call, ret, false, "%s: %s", node->name.ptr, why);
    else
        runbook_answer(call, ret, true, "%s: %s, %zu HBA rules", node->name.ptr,
                       conf_running(call->arena, files.conf)[0] != '\0' ? CONF_FILE : "?",
                       conf_hba_rules(p->cell, p->leaving));
    return OK;
}

/* ---- writing the files ---- */

static result put(const struct provisioning *p, const struct runbook_call *call, const struct node *node,
                  const char *path, struct str there, struct str wanted)
{
    if (there.ptr != NULL && str_eq(there, wanted))
        return OK;
    return host_put(p->hosts, node, call, path, wanted, FILE_MODE);
}

result configuration_put(const struct provisioning *p, const struct runbook_call *call,
                         const struct node *node, const char *folder, enum waits waits)
{
    static const char names[] = "\nsynchronous_standby_names";
    struct arena *arena = call->arena;
    struct files files;
    TRY(read_files(p, call, node, folder, &files));
    if (waits == WAITS_AS_IT_DOES)
        waits =
            files.conf.ptr != NULL && memmem(files.conf.ptr, files.conf.len, names, sizeof names - 1) != NULL
                ? WAITS_FOR_STANDBYS
                : WAITS_FOR_NOBODY;
    struct str with = conf_with_include(arena, files.postgresql);
    TRY(put(p, call, node, arena_printf(arena, "%s/pg_hba.conf", folder), files.hba,
            conf_hba(arena, p->cell, p->leaving)));
    TRY(put(p, call, node, arena_printf(arena, "%s/pg_ident.conf", folder), files.ident,
            conf_ident(arena, node)));
    TRY(put(p, call, node, arena_printf(arena, "%s/" CONF_FILE, folder), files.conf,
            conf_wanted(p, call, node, files.certificate, waits)));
    if (with.ptr != NULL)
        TRY(put(p, call, node, arena_printf(arena, "%s/postgresql.conf", folder), files.postgresql, with));
    if (!node_is_primary(p, node) && !files.standby)
        TRY(put(p, call, node, arena_printf(arena, "%s/standby.signal", folder), (struct str){ 0 }, STR("")));
    return OK;
}

static result configure(const struct provisioning *p, struct runbook_call *call, const struct node *node)
{
    return configuration_put(p, call, node, node->paths.data, WAITS_AS_IT_DOES);
}

static result primary_is_configured(void *context, struct runbook_call *call, enum answer *ret)
{
    return ask_nodes(context, call, MEANT_PRIMARY, is_configured, ret);
}

static result configure_primary(void *context, struct runbook_call *call)
{
    return act_on_nodes(context, call, MEANT_PRIMARY, is_configured, configure);
}

const struct runbook_step step_configure_primary = {
    .id = "configure-primary",
    .title = "Configure the primary",
    .question = "does the primary have its configuration and its HBA rules?",
    .ask = primary_is_configured,
    .act = configure_primary,
    .within_ms = SEC(60),
    .tries = 2,
};

static result standbys_are_configured(void *context, struct runbook_call *call, enum answer *ret)
{
    return ask_nodes(context, call, MEANT_STANDBYS, is_configured, ret);
}

static result configure_standbys(void *context, struct runbook_call *call)
{
    return act_on_nodes(context, call, MEANT_STANDBYS, is_configured, configure);
}

const struct runbook_step step_configure_standbys = {
    .id = "configure-standbys",
    .title = "Configure the standbys",
    .question = "does every standby have its configuration and its HBA rules?",
    .ask = standbys_are_configured,
    .act = configure_standbys,
    .within_ms = SEC(60),
    .tries = 2,
};

/* ---- running ---- */

/* in recovery | its configuration | settings that need a restart | settings that postgresql.auto.conf overrides */
static const char running_sql[] =
    "SELECT pg_is_in_recovery(), coalesce(current_setting('" CONF_RUNNING "', true), ''),\n"
    "  (SELECT coalesce(string_agg(name, ', '), '') FROM pg_settings WHERE pending_restart),\n"
    "  (SELECT coalesce(string_agg(DISTINCT f.name, ', '), '') FROM pg_file_settings f\n"
    "    WHERE f.sourcefile LIKE '%/postgresql.auto.conf' AND f.applied AND f.name <> "
    "'synchronous_standby_names'\n"
    "      AND EXISTS (SELECT FROM pg_file_settings o WHERE o.name = f.name AND o.sourcefile LIKE "
    "'%/" CONF_FILE "'));\n";

/* One question about a node: does it run, what is in its file, which configuration has it loaded. */
struct running {
    bool up;
    struct str recovery, conf, restart, overridden;
    bool loaded;
};

static result ask_running(const struct provisioning *p, const struct runbook_call *call,
                          const struct node *node, struct running *ret)
{
    const struct host_sql sql = { .text = running_sql };
    struct host_fact facts[] = {
        running_fact(call->arena, node, node->paths.data),
        { .path = arena_printf(call->arena, "%s/" CONF_FILE, node->paths.data) },
        { 0 },
    };
    struct str row;
    *ret = (struct running){ 0 };
    TRY(host_sql_fact(p, call, node, &sql, &facts[2]));
    TRY(host_ask(p->hosts, node, call, facts, 3));
    TRY(running_read(node, &facts[0], &ret->up));
    if (!ret->up)
        return OK;
    TRY(host_sql_row(node, &facts[2], &row));
    str_cut(&row, '|', &ret->recovery);
    str_cut(&row, '|', &ret->conf);
    str_cut(&row, '|', &ret->restart);
    ret->overridden = row;
    ret->loaded = str_is(ret->conf, conf_running(call->arena, facts[1].out));
    return OK;
}

static result runs(const struct provisioning *p, struct runbook_call *call, const struct node *node,
                   enum answer *ret)
{
    struct running is;
    TRY(ask_running(p, call, node, &is));
    if (!is.up)
        runbook_answer(call, ret, false, "%s: PostgreSQL does not run", node->name.ptr);
    else if (str_is(is.recovery, "t") == node_is_primary(p, node))
        runbook_answer(call, ret, false, "%s: PostgreSQL runs as a %s", node->name.ptr,
                       node_is_primary(p, node) ? "standby" : "primary");
    else if (is.overridden.len > 0)
        runbook_answer(call, ret, false, "%s: postgresql.auto.conf overrides %.*s", node->name.ptr,
                       STR_ARG(is.overridden));
    else if (!is.loaded)
        runbook_answer(call, ret, false, "%s: PostgreSQL runs with another configuration", node->name.ptr);
    else if (is.restart.len > 0)
        runbook_answer(call, ret, false, "%s: a restart is needed for %.*s", node->name.ptr,
                       STR_ARG(is.restart));
    else
        runbook_answer(call, ret, true, "%s: PostgreSQL runs with its configuration", node->name.ptr);
    return OK;
}

static result own_or(const struct provisioning *p, const struct runbook_call *call, const struct node *node,
                     const struct config_words *own, const char *const *otherwise)
{
    const char *const *words = host_words(call->arena, own);
    const struct host_command command = { .argv = words != NULL ? words : otherwise,
                                          .within_ms = START_WITHIN_MS };
    return host_run(p->hosts, node, call, &command, NULL);
}

static const struct config_words nothing = { 0 };

static result start(const struct provisioning *p, const struct runbook_call *call, const struct node *node)
{
    char *log_folder = arena_cstr(call->arena, str_from(node->paths.log));
    *strrchr(log_folder, '/') = '\0';
    const struct host_command folders = { .argv = HOST_ARGV("mkdir", "-p", "-m", "0700", "--",
                                                            host_socket(call->arena, node),
                                                            log_folder[0] != '\0' ? log_folder : "/"),
                                          .within_ms = SMALL_WITHIN_MS };
    TRY(host_run(p->hosts, node, call, &folders, NULL));
    return own_or(p, call, node, &node->commands.start,
                  host_program(call->arena, node, &nothing, "pg_ctl", "start", "-s", "-w", "-t", "100", "-D",
                               node->paths.data, "-l", node->paths.log, (char *)NULL));
}

static result stop(const struct provisioning *p, const struct runbook_call *call, const struct node *node)
{
    return own_or(p, call, node, &node->commands.stop,
                  host_program(call->arena, node, &nothing, "pg_ctl", "stop", "-s", "-w", "-t", "100", "-m",
                               "fast", "-D", node->paths.data, (char *)NULL));
}

/* A reload is only a signal: it is done when the server shows the new configuration. *ret: the configuration that it shows at
 * last, even if that is the old one; the question then tells. E_HOST: it accepts no connection. */
static result load(const struct provisioning *p, const struct runbook_call *call, const struct node *node,
                   struct running *ret)
{
    TRY(own_or(p, call, node, &node->commands.reload,
               host_program(call->arena, node, &nothing, "pg_ctl", "reload", "-s", "-D", node->paths.data,
                            (char *)NULL)));
    for (unsigned waited_ms = 0;; waited_ms += ASK_AGAIN_MS) {
        result r = ask_running(p, call, node, ret);
        bool last = waited_ms >= LOADED_WITHIN_MS;
        if (failed(r) && (r.error.code != E_HOST || last))
            return r;
        if (!failed(r) && (ret->loaded || last))
            return OK;
        TRY(fiber_sleep(ASK_AGAIN_MS));
    }
}

result configuration_load(const struct provisioning *p, const struct runbook_call *call,
                          const struct node *node)
{
    struct running running;
    result r = load(p, call, node, &running);
    return failed(r) && r.error.code != E_HOST ? r
                                               : OK; /* the question then tells which configuration it has */
}

static const char reset_sql[] =
    "SELECT DISTINCT format('ALTER SYSTEM RESET %I', f.name) FROM pg_file_settings f\n"
    " WHERE f.sourcefile LIKE '%/postgresql.auto.conf' AND f.name <> 'synchronous_standby_names'\n"
    "   AND EXISTS (SELECT FROM pg_file_settings o WHERE o.name = f.name AND o.sourcefile LIKE '%/" CONF_FILE
    "')\n"
    "\\gexec\n";

/* Before the reload, the old HBA rules of an adopted cluster may refuse us. */
static result adjust(const struct provisioning *p, const struct runbook_call *call, const struct node *node)
{
    const struct host_sql reset = { .text = reset_sql };
    struct running running;
    TRY(load(p, call, node, &running));
    if (running.overridden.len > 0) {
        TRY(host_sql_run(p, call, node, &reset));
        TRY(load(p, call, node, &running));
    }
    if (running.restart.len == 0)
        return OK;
    TRY(stop(p, call, node));
    return start(p, call, node);
}

static result run_it(const struct provisioning *p, struct runbook_call *call, const struct node *node)
{
    bool up;
    TRY(host_is_running(p, call, node, &up));
    return up ? adjust(p, call, node) : start(p, call, node);
}

static result primary_runs(void *context, struct runbook_call *call, enum answer *ret)
{
    return ask_nodes(context, call, MEANT_PRIMARY, runs, ret);
}

static result start_primary(void *context, struct runbook_call *call)
{
    return act_on_nodes(context, call, MEANT_PRIMARY, runs, run_it);
}

const struct runbook_step step_start_primary = {
    .id = "start-primary",
    .title = "Start the primary",
    .question = "does the primary run with its configuration?",
    .ask = primary_runs,
    .act = start_primary,
    .within_ms = SEC(300),
    .ask_within_ms = SEC(60),
    .tries = 3,
};

static result standbys_run(void *context, struct runbook_call *call, enum answer *ret)
{
    return ask_nodes(context, call, MEANT_STANDBYS, runs, ret);
}

static result start_standbys(void *context, struct runbook_call *call)
{
    return act_on_nodes(context, call, MEANT_STANDBYS, runs, run_it);
}

const struct runbook_step step_start_standbys = {
    .id = "start-standbys",
    .title = "Start the standbys",
    .question = "does every standby run with its configuration?",
    .ask = standbys_run,
    .act = start_standbys,
    .within_ms = SEC(300),
    .ask_within_ms = SEC(60),
    .tries = 3,
};

/* ---- a standby that is removed ---- */

static result standby_is_stopped(void *context, struct runbook_call *call, enum answer *ret)
{
    const struct provisioning *p = context;
    bool up;
    TRY(host_is_running(p, call, p->leaving, &up));
    runbook_answer(call, ret, !up, up ? "%s: PostgreSQL runs" : "%s: PostgreSQL does not run",
                   p->leaving->name.ptr);
    return OK;
}

static result stop_standby(void *context, struct runbook_call *call)
{
    const struct provisioning *p = context;
    return stop(p, call, p->leaving);
}

const struct runbook_step step_stop = {
    .id = "stop",
    .title = "Stop the standby",
    .question = "has the standby stopped?",
    .ask = standby_is_stopped,
    .act = stop_standby,
    .within_ms = SEC(150),
    .ask_within_ms = SEC(60),
    .tries = 2,
};
