/* What the steps of provisioning share: who is meant, psql, the control file. */
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
    const char *all = these.count == 0 ? "there is none" : "";
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

result act_on_nodes(void *context, struct runbook_call *call, enum nodes_meant meant, node_ask *ask,
                    node_act *act)
{
    const struct provisioning *p = context;
    const struct meant these = nodes_of(p, meant);
    for (size_t i = 0; i < these.count; i++) {
        enum answer answer = ANSWER_UNKNOWN;
        TRY(ask(p, call, these.nodes[i], &answer));
        if (answer != ANSWER_YES)
            TRY(act(p, call, these.nodes[i]));
    }
    return OK;
}

/* ---- psql ---- */

const char *host_socket(struct arena *arena, const struct node *node)
{
    return arena_printf(arena, "%s/socket", node->ssh.state);
}

/* A cluster that is being adopted may still have its socket elsewhere: the fifth line of postmaster.pid says where. */
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

static result psql_argv(const struct provisioning *p, const struct runbook_call *call,
                        const struct node *node, const struct host_sql *sql, const char *const **ret)
{
    const char *socket;
    TRY(find_socket(p, call, node, &socket));
    const char *v[8], *set = "--set";
    size_t count = 0;
    for (; sql->variables[count] != NULL; count++)
        v[count] = sql->variables[count];
    for (; count < 8; count++)
        v[count] = "ON_ERROR_STOP=1";
    *ret = host_program(call->arena, node, &node->commands.psql, "psql", "-X", "-q", "-A", "-t", "-w", "-h",
                        socket, "-p", arena_printf(call->arena, "%u", node->port), "-U", CONF_SUPERUSER, "-d",
                        sql->database != NULL ? sql->database : "postgres", set, "ON_ERROR_STOP=1", set, v[0],
                        set, v[1], set, v[2], set, v[3], set, v[4], set, v[5], "-f", "-", (char *)NULL);
    return OK;
}

result host_sql_look(const struct provisioning *p, const struct runbook_call *call, const struct node *node,
                     const struct host_sql *sql, struct str *ret)
{
    const char *const *argv;
    struct ssh_output output;
    TRY(psql_argv(p, call, node, sql, &argv));
    TRY(host_look(p->hosts, node, call, argv, str_from(sql->text), &output));
    if (output.exit_status != 0)
        return FAIL(E_HOST, "Look at PostgreSQL and its log on that host.", "\"%s\": psql: %.*s",
                    node->name.ptr, STR_ARG(last_line(output.err)));
    while (output.out.len > 0 && output.out.ptr[output.out.len - 1] == '\n')
        output.out.len--;
    *ret = output.out;
    return OK;
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

result host_control(const struct provisioning *p, const struct runbook_call *call, const struct node *node,
                    const char *path, struct control *ret)
{
    struct ssh_output output;
    struct str system = { 0 }, checksums = { 0 };
    bool there;
    *ret = (struct control){ 0 };
    TRY(host_has(p->hosts, node, call, arena_printf(call->arena, "%s/global/pg_control", path), &there));
    if (!there)
        return OK;
    const char *const *argv =
        host_program(call->arena, node, &node->commands.control, "pg_controldata", "-D", path, (char *)NULL);
    TRY(host_look(p->hosts, node, call, argv, STR(""), &output));
    if (output.exit_status != 0 || !value_of(output.out, "Database system identifier", &system) ||
        !value_of(output.out, "Data page checksum version", &checksums) || system.len >= sizeof ret->system)
        return FAIL(E_HOST, "Look at that data directory; nothing was done to it.",
                    "\"%s\": pg_controldata cannot tell what \"%s\" is: %.*s", node->name.ptr, path,
                    STR_ARG(last_line(output.err)));
    memcpy(ret->system, system.ptr, system.len);
    ret->checksums = !str_is(checksums, "0");
    return OK;
}

result host_is_running(const struct provisioning *p, const struct runbook_call *call, const struct node *node,
                       const char *path, bool *ret)
{
    struct ssh_output output;
    const struct config_words none = { 0 };
    /* the host's own command speaks of its data directory, not of one that is being made */
    const char *const *own =
        strcmp(path, node->paths.data) == 0 ? host_words(call->arena, &node->commands.status) : NULL;
    const char *const *argv =
        own != NULL ? own
                    : host_program(call->arena, node, &none, "pg_ctl", "status", "-D", path, (char *)NULL);
    TRY(host_look(p->hosts, node, call, argv, STR(""), &output));
    if (output.exit_status != 0 && output.exit_status != 3 && output.exit_status != 4)
        return FAIL(E_HOST, "Look at PostgreSQL on that host, and at commands.status in the region's file.",
                    "\"%s\": whether it runs cannot be told: \"%s\" ended with %d: %.*s", node->name.ptr,
                    host_program_of(argv), output.exit_status, STR_ARG(last_line(output.err)));
    *ret = output.exit_status == 0;
    return OK;
}
