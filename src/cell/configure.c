/* Configuration files, and servers that run with them. */
#include "cell/internal.h"

#include "loop/fiber.h"

enum {
    START_WITHIN_MS = 120000,
    SMALL_WITHIN_MS = 30000,
    LOADED_WITHIN_MS = 5000,
    ASK_AGAIN_MS = 100,
    FILE_MODE = 0600
};

/* ---- what should be there ---- */

static struct str admission_of(const struct provisioning *p, const struct runbook_call *call,
                               const struct node *node)
{
    struct str hba = conf_hba(call->arena, p->cell, p->leaving), ident = conf_ident(call->arena, node);
    return str_from(arena_printf(call->arena, "%.*s%.*s", STR_ARG(hba), STR_ARG(ident)));
}

/* Whom the primary waits for: all standbys of the cell but one that leaves. */
static size_t awaited(const struct provisioning *p, const struct node *standbys[CELL_NODES_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < p->cell->node_count; i++)
        if (&p->cell->nodes[i] != p->cell->primary && &p->cell->nodes[i] != p->leaving)
            standbys[count++] = &p->cell->nodes[i];
    return p->cell->synchronous ? count : 0;
}

result configuration_text(const struct provisioning *p, const struct runbook_call *call,
                          const struct node *node, bool waits, struct str *ret)
{
    const struct node *standbys[CELL_NODES_MAX];
    bool primary = node_is_primary(p, node);
    size_t count = awaited(p, standbys);
    struct conf_node at = { .node = node,
                            .upstream = primary ? NULL : p->cell->primary,
                            .socket = host_socket(call->arena, node),
                            .standbys = standbys,
                            .standby_count = primary && waits ? count : 0,
                            .admission = admission_of(p, call, node) };
    TRY(host_read(p->hosts, node, call, arena_printf(call->arena, "%s/server.crt", node->paths.tls),
                  &at.certificate));
    *ret = conf_text(call->arena, p->cell, &at);
    return OK;
}

/* ---- files ---- */

struct files {
    struct str postgresql, conf, hba, ident;
    bool standby;
};

static result read_files(const struct provisioning *p, const struct runbook_call *call,
                         const struct node *node, const char *folder, struct files *ret)
{
    struct arena *arena = call->arena;
    TRY(host_read(p->hosts, node, call, arena_printf(arena, "%s/postgresql.conf", folder), &ret->postgresql));
    TRY(host_read(p->hosts, node, call, arena_printf(arena, "%s/" CONF_FILE, folder), &ret->conf));
    TRY(host_read(p->hosts, node, call, arena_printf(arena, "%s/pg_hba.conf", folder), &ret->hba));
    TRY(host_read(p->hosts, node, call, arena_printf(arena, "%s/pg_ident.conf", folder), &ret->ident));
    return host_has(p->hosts, node, call, arena_printf(arena, "%s/standby.signal", folder), &ret->standby);
}

/* The first setting that is different: "max_wal_senders". */
static const char *difference(struct arena *arena, struct str there, struct str wanted)
{
    struct str line, other, name;
    if (there.ptr == NULL)
        return CONF_FILE " is not there";
    while (str_cut(&wanted, '\n', &line)) {
        if (!str_cut(&there, '\n', &other) || !str_eq(line, other)) {
            str_cut(&line, ' ', &name);
            return arena_printf(arena, "%.*s is another in " CONF_FILE, STR_ARG(name));
        }
    }
    return CONF_FILE " has more in it";
}

/* Whether it waits for standbys is a later step's. */
static result is_configured(const struct provisioning *p, struct runbook_call *call, const struct node *node,
                            enum answer *ret)
{
    struct files files;
    struct str wanted, waiting, hba = conf_hba(call->arena, p->cell, p->leaving);
    const char *why = NULL;
    TRY(read_files(p, call, node, node->paths.data, &files));
    TRY(configuration_text(p, call, node, false, &wanted));
    TRY(configuration_text(p, call, node, true, &waiting));
    if (files.postgresql.ptr == NULL)
        why = "there is no postgresql.conf";
    else if (conf_with_include(call->arena, files.postgresql).ptr != NULL)
        why = "postgresql.conf does not end with: " CONF_INCLUDE;
    else if (!str_eq(files.hba, hba))
        why = "pg_hba.conf is another";
    else if (!str_eq(files.ident, conf_ident(call->arena, node)))
        why = "pg_ident.conf is another";
    else if (!str_eq(files.conf, wanted) && !str_eq(files.conf, waiting))
        why = difference(call->arena, files.conf, wanted);
    else if (files.standby == node_is_primary(p, node))
        why = files.standby ? "standby.signal is there" : "standby.signal is not there";
    if (why != NULL)
        runbook_answer(call, ret, false, "%s: %s", node->name.ptr, why);
    else
        runbook_answer(call, ret, true, "%s: %s, %zu rules", node->name.ptr,
                       conf_running(call->arena, files.conf)[0] != '\0' ? CONF_FILE : "?",
                       conf_hba_rules(p->cell, p->leaving));
    return OK;
}

result configuration_put(const struct provisioning *p, const struct runbook_call *call,
                         const struct node *node, const char *folder, bool waits)
{
    struct arena *arena = call->arena;
    struct files files;
    struct str conf;
    TRY(read_files(p, call, node, folder, &files));
    struct str with = conf_with_include(arena, files.postgresql);
    TRY(configuration_text(p, call, node, waits, &conf));
    TRY(host_put(p->hosts, node, call, arena_printf(arena, "%s/pg_hba.conf", folder),
                 conf_hba(arena, p->cell, p->leaving), FILE_MODE));
    TRY(host_put(p->hosts, node, call, arena_printf(arena, "%s/pg_ident.conf", folder),
                 conf_ident(arena, node), FILE_MODE));
    TRY(host_put(p->hosts, node, call, arena_printf(arena, "%s/" CONF_FILE, folder), conf, FILE_MODE));
    if (with.ptr != NULL)
        TRY(host_put(p->hosts, node, call, arena_printf(arena, "%s/postgresql.conf", folder), with,
                     FILE_MODE));
    if (!node_is_primary(p, node) && !files.standby)
        TRY(host_put(p->hosts, node, call, arena_printf(arena, "%s/standby.signal", folder), STR(""),
                     FILE_MODE));
    return OK;
}

/* A primary that waits for its standbys goes on to. */
static result configure(const struct provisioning *p, struct runbook_call *call, const struct node *node)
{
    struct str conf;
    TRY(host_read(p->hosts, node, call, arena_printf(call->arena, "%s/" CONF_FILE, node->paths.data), &conf));
    bool waits =
        memmem(conf.ptr != NULL ? conf.ptr : "", conf.len, "\nsynchronous_standby_names", 26) != NULL;
    return configuration_put(p, call, node, node->paths.data, waits);
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

/* in recovery | what it runs with | settings that wait for a restart | those that postgresql.auto.conf overrides */
static const char running_sql[] =
    "SELECT pg_is_in_recovery(), coalesce(current_setting('" CONF_RUNNING "', true), ''),\n"
    "  (SELECT coalesce(string_agg(name, ', '), '') FROM pg_settings WHERE pending_restart),\n"
    "  (SELECT coalesce(string_agg(DISTINCT f.name, ', '), '') FROM pg_file_settings f\n"
    "    WHERE f.sourcefile LIKE '%/postgresql.auto.conf' AND f.applied AND f.name <> "
    "'synchronous_standby_names'\n"
    "      AND EXISTS (SELECT FROM pg_file_settings o WHERE o.name = f.name AND o.sourcefile LIKE "
    "'%/" CONF_FILE "'));\n";

struct running {
    struct str recovery, conf, restart, overridden;
};

static result ask_running(const struct provisioning *p, const struct runbook_call *call,
                          const struct node *node, struct running *ret)
{
    struct str row;
    const struct host_sql sql = { .text = running_sql };
    TRY(host_sql_look(p, call, node, &sql, &row));
    *ret = (struct running){ 0 };
    str_cut(&row, '|', &ret->recovery);
    str_cut(&row, '|', &ret->conf);
    str_cut(&row, '|', &ret->restart);
    ret->overridden = row;
    return OK;
}

static result has_loaded(const struct provisioning *p, const struct runbook_call *call,
                         const struct node *node, bool *ret)
{
    struct running running;
    struct str conf;
    TRY(host_read(p->hosts, node, call, arena_printf(call->arena, "%s/" CONF_FILE, node->paths.data), &conf));
    TRY(ask_running(p, call, node, &running));
    *ret = str_is(running.conf, conf_running(call->arena, conf));
    return OK;
}

static result runs(const struct provisioning *p, struct runbook_call *call, const struct node *node,
                   enum answer *ret)
{
    struct running running;
    bool up, loaded;
    TRY(host_is_running(p, call, node, node->paths.data, &up));
    if (!up) {
        runbook_answer(call, ret, false, "%s: PostgreSQL does not run", node->name.ptr);
        return OK;
    }
    TRY(ask_running(p, call, node, &running));
    TRY(has_loaded(p, call, node, &loaded));
    if (str_is(running.recovery, "t") == node_is_primary(p, node))
        runbook_answer(call, ret, false, "%s: it runs as a %s", node->name.ptr,
                       node_is_primary(p, node) ? "standby" : "primary");
    else if (running.overridden.len > 0)
        runbook_answer(call, ret, false, "%s: postgresql.auto.conf has the last word on %.*s", node->name.ptr,
                       STR_ARG(running.overridden));
    else if (!loaded)
        runbook_answer(call, ret, false, "%s: it runs with another configuration", node->name.ptr);
    else if (running.restart.len > 0)
        runbook_answer(call, ret, false, "%s: a restart is needed for %.*s", node->name.ptr,
                       STR_ARG(running.restart));
    else
        runbook_answer(call, ret, true, "%s: it runs with its configuration", node->name.ptr);
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

/* A reload is a signal: it has been read when the server says so. */
result configuration_load(const struct provisioning *p, const struct runbook_call *call,
                          const struct node *node)
{
    bool loaded = false;
    TRY(own_or(p, call, node, &node->commands.reload,
               host_program(call->arena, node, &nothing, "pg_ctl", "reload", "-s", "-D", node->paths.data,
                            (char *)NULL)));
    for (unsigned waited_ms = 0; waited_ms < LOADED_WITHIN_MS; waited_ms += ASK_AGAIN_MS) {
        result r = has_loaded(p, call, node, &loaded);
        if (failed(r) && r.error.code != E_HOST)
            return r;
        if (!failed(r) && loaded)
            return OK;
        TRY(fiber_sleep(ASK_AGAIN_MS));
    }
    return OK; /* the question says what it runs with */
}

static const char reset_sql[] =
    "SELECT DISTINCT format('ALTER SYSTEM RESET %I', f.name) FROM pg_file_settings f\n"
    " WHERE f.sourcefile LIKE '%/postgresql.auto.conf' AND f.name <> 'synchronous_standby_names'\n"
    "   AND EXISTS (SELECT FROM pg_file_settings o WHERE o.name = f.name AND o.sourcefile LIKE '%/" CONF_FILE
    "')\n"
    "\\gexec\n";

/* Before the rules are read again a cluster that is adopted may not let us in. */
static result adjust(const struct provisioning *p, const struct runbook_call *call, const struct node *node)
{
    const struct host_sql reset = { .text = reset_sql };
    struct running running;
    TRY(configuration_load(p, call, node));
    TRY(ask_running(p, call, node, &running));
    if (running.overridden.len > 0) {
        TRY(host_sql_run(p, call, node, &reset));
        TRY(configuration_load(p, call, node));
        TRY(ask_running(p, call, node, &running));
    }
    if (running.restart.len == 0)
        return OK;
    TRY(stop(p, call, node));
    return start(p, call, node);
}

static result run_it(const struct provisioning *p, struct runbook_call *call, const struct node *node)
{
    bool up;
    TRY(host_is_running(p, call, node, node->paths.data, &up));
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

/* ---- one that leaves ---- */

static result standby_is_stopped(void *context, struct runbook_call *call, enum answer *ret)
{
    const struct provisioning *p = context;
    bool up;
    TRY(host_is_running(p, call, p->leaving, p->leaving->paths.data, &up));
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
