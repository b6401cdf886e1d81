/* Shared by the steps: the nodes, psql, the control file. */
#include "cell/internal.h"

enum { SQL_WITHIN_MS = 60000 };

/* ---- the whole ---- */

static result check_node(const struct cell *cell, const struct node *node)
{
    const char *lacks = node->ssh.user == NULL     ? "ssh"
                        : node->paths.data == NULL ? "data"
                        : node->paths.tls == NULL  ? "tls"
                        : node->paths.log == NULL  ? "log"
                                                   : NULL;
    if (lacks != NULL)
        return FAIL(E_CONFIG, "Add ssh, data, tls and log to each node of the cell in the region's file.",
                    "the node \"%s\" of the cell \"%s\" lacks \"%s\"", node->name.ptr, cell->name.ptr, lacks);
    return OK;
}

result provisioning_init(struct provisioning *p, const struct cell *cell, struct cell_hosts *hosts)
{
    must(cell->node_count <= CELL_NODES_MAX);
    *p = (struct provisioning){ .cell = cell, .hosts = hosts };
    for (size_t i = 0; i < cell->node_count; i++) {
        TRY(check_node(cell, &cell->nodes[i]));
        if (&cell->nodes[i] != cell->primary)
            p->standbys[p->standby_count++] = &cell->nodes[i];
    }
    if (cell->issuing_ca.files.certificate == NULL)
        return FAIL(E_CONFIG,
                    "Add issuing_ca = { certificate; private_key; } to the cell in the region's file.",
                    "the cell \"%s\" has no issuing CA", cell->name.ptr);
    if (cell->clients.count == 0)
        return FAIL(E_CONFIG, "Add clients = [ ... ]: the networks of gateways, monitors and administrators.",
                    "the cell \"%s\" has no clients", cell->name.ptr);
    return OK;
}

/* ---- several nodes ---- */

struct meant {
    const struct node *nodes[CELL_NODES_MAX];
    size_t count;
};

static struct meant nodes_of(const struct provisioning *p, enum nodes_meant meant)
{
    struct meant these = { .count = 0 };
    if (meant != MEANT_STANDBYS)
        these.nodes[these.count++] = p->cell->primary;
    for (size_t i = 0; meant != MEANT_PRIMARY && i < p->standby_count; i++)
        these.nodes[these.count++] = p->standbys[i];
    return these;
}

result ask_nodes(void *context, struct runbook_call *call, enum nodes_meant meant, node_ask *ask,
                 enum answer *ret)
{
    const struct provisioning *p = context;
    const struct meant these = nodes_of(p, meant);
    const char *all = these.count == 0 ? "no node" : "";
    for (size_t i = 0; i < these.count; i++) {
        enum answer one = ANSWER_UNKNOWN;
        TRY(ask(p, call, these.nodes[i], &one));
        if (one != ANSWER_YES) {
            *ret = one;
            return OK;
        }
        all = arena_printf(call->arena, "%s%s%s", all, i > 0 ? "; " : "", call->evidence);
    }
    runbook_answer(call, ret, true, "%s", all);
    return OK;
}

/* The engine has just asked: with a single node the answer was NO. */
result act_on_nodes(void *context, struct runbook_call *call, enum nodes_meant meant, node_ask *ask,
                    node_act *act)
{
    const struct provisioning *p = context;
    const struct meant these = nodes_of(p, meant);
    for (size_t i = 0; i < these.count; i++) {
        enum answer answer = ANSWER_NO;
        if (these.count > 1)
            TRY(ask(p, call, these.nodes[i], &answer));
        if (answer != ANSWER_YES)
            TRY(act(p, call, these.nodes[i]));
    }
    return OK;
}

/* ---- the primary's standbys ---- */

size_t standbys_that_stay(const struct provisioning *p, const struct node *standbys[CELL_NODES_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < p->cell->node_count; i++)
        if (&p->cell->nodes[i] != p->cell->primary && &p->cell->nodes[i] != p->leaving)
            standbys[count++] = &p->cell->nodes[i];
    return count;
}

size_t standbys_awaited(const struct provisioning *p, const struct node *standbys[CELL_NODES_MAX])
{
    return p->cell->synchronous ? standbys_that_stay(p, standbys) : 0;
}

/* ---- psql ---- */

const char *host_socket(struct arena *arena, const struct node *node)
{
    return arena_printf(arena, "%s/socket", node->ssh.state);
}

/* An adopted cluster may have its socket in another place: the fifth line of postmaster.pid has it. */
static result find_socket(const struct provisioning *p, const struct runbook_call *call,
                          const struct node *node, const char **ret)
{
    struct str rest, line;
    *ret = host_socket(call->arena, node);
    if (!p->adopting)
        return OK;
    TRY(host_read(p->hosts, node, call, arena_printf(call->arena, "%s/postmaster.pid", node->paths.data),
                  &rest));
    for (int number = 1; str_cut(&rest, '\n', &line); number++)
        if (number == 5 && line.len > 0 && line.ptr[0] == '/')
            *ret = arena_cstr(call->arena, line);
    return OK;
}

const char *const *host_sql_argv(struct arena *arena, const struct node *node, const struct host_sql *sql,
                                 const char *socket)
{
    const char *words[2 * SQL_VARIABLES_MAX + 1] = { NULL };
    size_t count = 0;
    must(sql->variables[SQL_VARIABLES_MAX] == NULL); /* what ends them */
    for (size_t i = 0; sql->variables[i] != NULL; i++) {
        words[count++] = "--set";
        words[count++] = sql->variables[i];
    }
    const char *const *psql =
        host_program(arena, node, &node->commands.psql, "psql", "-X", "-q", "-A", "-t", "-w", "-h", socket,
                     "-p", arena_printf(arena, "%u", node->port), "-U", CONF_SUPERUSER, "-d",
                     sql->database != NULL ? sql->database : "postgres", "--set", "ON_ERROR_STOP=1", "-f",
                     "-", (char *)NULL);
    return host_argv_more(arena, psql, words);
}

static result psql_argv(const struct provisioning *p, const struct runbook_call *call,
                        const struct node *node, const struct host_sql *sql, const char *const **ret)
{
    const char *socket;
    TRY(find_socket(p, call, node, &socket));
    *ret = host_sql_argv(call->arena, node, sql, socket);
    return OK;
}

result host_sql_fact(const struct provisioning *p, const struct runbook_call *call, const struct node *node,
                     const struct host_sql *sql, struct host_fact *ret)
{
    *ret = (struct host_fact){ .input = str_from(sql->text) };
    return psql_argv(p, call, node, sql, &ret->argv);
}

result host_sql_row(const struct node *node, const struct host_fact *fact, struct str *ret)
{
    if (fact->exit_status != 0)
        return FAIL(E_HOST, "Check PostgreSQL and its log on that host.", "\"%s\": psql: %.*s",
                    node->name.ptr, STR_ARG(last_line(fact->err)));
    *ret = fact->out;
    while (ret->len > 0 && ret->ptr[ret->len - 1] == '\n')
        ret->len--;
    return OK;
}

result host_sql_look(const struct provisioning *p, const struct runbook_call *call, const struct node *node,
                     const struct host_sql *sql, struct str *ret)
{
    struct host_fact fact;
    TRY(host_sql_fact(p, call, node, sql, &fact));
    TRY(host_ask(p->hosts, node, call, &fact, 1));
    return host_sql_row(node, &fact, ret);
}

result host_sql_run(const struct provisioning *p, const struct runbook_call *call, const struct node *node,
                    const struct host_sql *sql)
{
    struct host_command command = { .input = str_from(sql->text), .within_ms = SQL_WITHIN_MS };
    TRY(psql_argv(p, call, node, sql, &command.argv));
    return host_run(p->hosts, node, call, &command, NULL);
}

/* ---- a data directory ---- */

static bool value_of(struct str text, const char *name, struct str *ret)
{
    struct str line, key;
    while (str_cut(&text, '\n', &line))
        if (str_cut(&line, ':', &key) && str_is(key, name)) {
            *ret = str_trim(line);
            return true;
        }
    return false;
}

void control_facts(struct arena *arena, const struct node *node, const char *path,
                   struct host_fact facts[CONTROL_FACTS])
{
    const char *file = arena_printf(arena, "%s/global/pg_control", path);
    const char **test = arena_array(arena, const char *, 4);
    memcpy(test, HOST_ARGV("test", "-e", file), 4 * sizeof *test);
    facts[0] = (struct host_fact){ .argv = test };
    facts[1] = (struct host_fact){ .argv = host_program(arena, node, &node->commands.control,
                                                        "pg_controldata", "-D", path, (char *)NULL) };
}

result control_read(const struct node *node, const struct host_fact facts[CONTROL_FACTS], struct control *ret)
{
    struct str system = { 0 }, checksums = { 0 };
    *ret = (struct control){ 0 };
    if (facts[0].exit_status == 1)
        return OK;
    if (facts[1].exit_status != 0 || !value_of(facts[1].out, "Database system identifier", &system) ||
        !value_of(facts[1].out, "Data page checksum version", &checksums) || system.len >= sizeof ret->system)
        return FAIL(E_HOST, "Check the data directory; it was not changed.",
                    "\"%s\": pg_controldata cannot read the data directory: %.*s", node->name.ptr,
                    STR_ARG(last_line(facts[1].err)));
    memcpy(ret->system, system.ptr, system.len);
    ret->checksums = !str_is(checksums, "0");
    return OK;
}

result host_control(const struct provisioning *p, const struct runbook_call *call, const struct node *node,
                    struct control *ret)
{
    struct host_fact facts[CONTROL_FACTS];
    control_facts(call->arena, node, node->paths.data, facts);
    TRY(host_ask(p->hosts, node, call, facts, CONTROL_FACTS));
    return control_read(node, facts, ret);
}

struct host_fact running_fact(struct arena *arena, const struct node *node, const char *path)
{
    const struct config_words none = { 0 };
    /* the host's own command asks about its data directory, not about a temporary one */
    const char *const *own =
        strcmp(path, node->paths.data) == 0 ? host_words(arena, &node->commands.status) : NULL;
    return (struct host_fact){ .argv = own != NULL ? own
                                                   : host_program(arena, node, &none, "pg_ctl", "status",
                                                                  "-D", path, (char *)NULL) };
}

result running_read(const struct node *node, const struct host_fact *fact, bool *ret)
{
    if (fact->exit_status != 0 && fact->exit_status != 3 && fact->exit_status != 4)
        return FAIL(E_HOST, "Check PostgreSQL on that host, and commands.status in the region's file.",
                    "\"%s\": cannot find out whether PostgreSQL runs: \"%s\" exited with %d: %.*s",
                    node->name.ptr, host_program_of(fact->argv), fact->exit_status,
                    STR_ARG(last_line(fact->err)));
    *ret = fact->exit_status == 0;
    return OK;
}

result host_is_running(const struct provisioning *p, const struct runbook_call *call, const struct node *node,
                       bool *ret)
{
    struct host_fact fact = running_fact(call->arena, node, node->paths.data);
    TRY(host_ask(p->hosts, node, call, &fact, 1));
    return running_read(node, &fact, ret);
}
