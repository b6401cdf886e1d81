/* Whether the hosts are ready for a cell. */
#include "base/clock.h"
#include "cell/internal.h"
#include "pki/certificate.h"

#include <arpa/inet.h>
#include <stdlib.h>

/* ---- reached ---- a wrong answer of a host means no; only a host that does not answer may answer later */

static result answers(const struct provisioning *p, struct runbook_call *call, const struct node *node,
                      enum answer *ret)
{
    struct ssh *ssh;
    struct ssh_negotiated with;
    result r = host_session(p->hosts, node, &ssh);
    if (failed(r) && (r.error.code == E_HOST_KEY || r.error.code == E_SSH || r.error.code == E_CONFIG)) {
        runbook_answer(call, ret, false, "%s", r.error.what);
        return OK;
    }
    TRY(r);
    ssh_negotiated(ssh, &with);
    runbook_answer(call, ret, true, "%s: %s, %s, %s, %s", node->name.ptr, with.host_key, with.kex,
                   with.cipher_out, with.mac_out);
    return OK;
}

static result hosts_answer(void *context, struct runbook_call *call, enum answer *ret)
{
    return ask_nodes(context, call, MEANT_ALL, answers, ret);
}

const struct runbook_step step_reach = {
    .id = "reach",
    .title = "Connect to the hosts over SSH",
    .question = "does every host answer, with its pinned key and strong algorithms?",
    .ask = hosts_answer,
    .within_ms = SEC(60),
    .tries = 1,
};

/* ---- programs ---- */

static void judge_version(struct runbook_call *call, const struct node *node, const struct host_fact *said,
                          enum answer *ret)
{
    struct str rest, word, version = { 0 };
    for (rest = last_line(said->out); str_cut(&rest, ' ', &word);)
        if (word.len > 0 && word.ptr[0] >= '1' && word.ptr[0] <= '9' && version.ptr == NULL)
            version = word;
    bool fits = said->exit_status == 0 && str_starts(version, STR("15.")) && version.len < 16;
    if (said->exit_status != 0)
        runbook_answer(call, ret, false, "%s: PostgreSQL is missing: \"%s\" exited with %d", node->name.ptr,
                       host_program_of(said->argv), said->exit_status);
    else
        runbook_answer(call, ret, fits, "%s: PostgreSQL %.*s%s", node->name.ptr,
                       (int)(version.len > 15 ? 15 : version.len), version.ptr ? version.ptr : "?",
                       fits ? "" : "; 15 is needed");
}

static bool has_locale(struct str locales)
{
    struct str line;
    while (str_cut(&locales, '\n', &line))
        if (str_eq_nocase(line, STR("C.utf8")) || str_eq_nocase(line, STR("C.UTF-8")))
            return true;
    return false;
}

enum { PROGRAMS_MAX = 8 };
struct programs {
    struct host_fact facts[PROGRAMS_MAX];
    const char *names[PROGRAMS_MAX]; /* for messages */
    size_t count;
};

static void add_program(struct programs *programs, const char *name, const char *const *argv)
{
    must(programs->count < PROGRAMS_MAX);
    programs->names[programs->count] = name;
    programs->facts[programs->count++] = (struct host_fact){ .argv = argv };
}

/* A command of the region's file may not know --version. */
static void add_postgres_program(struct programs *programs, struct arena *arena, const struct node *node,
                                 const struct config_words *instead, const char *name)
{
    if (instead->count == 0)
        add_program(programs, name, host_program(arena, node, instead, name, "--version", (char *)NULL));
}

/* The first one shows the version, the last one the locales. */
static struct programs programs_of(struct arena *arena, const struct node *node)
{
    static const char *const openssl[] = { "openssl", "version", NULL }, *const flock[] = { "flock",
                                                                                            "--version",
                                                                                            NULL };
    struct programs programs = { .count = 0 };
    add_program(&programs, "PostgreSQL",
                host_program(arena, node, &node->commands.postgres, "postgres", "--version", (char *)NULL));
    add_postgres_program(&programs, arena, node, &node->commands.initdb, "initdb");
    add_postgres_program(&programs, arena, node, &node->commands.base_backup, "pg_basebackup");
    add_postgres_program(&programs, arena, node, &node->commands.control, "pg_controldata");
    add_postgres_program(&programs, arena, node, &node->commands.psql, "psql");
    if (node->commands.openssl.count == 0)
        add_program(&programs, "openssl", openssl);
    add_program(&programs, "flock", flock);
    add_program(&programs, "locale C.UTF-8",
                host_tool(arena, &node->commands.locale, "locale", "-a", (char *)NULL));
    return programs;
}

static result has_programs(const struct provisioning *p, struct runbook_call *call, const struct node *node,
                           enum answer *ret)
{
    struct programs programs = programs_of(call->arena, node);
    TRY(host_ask(p->hosts, node, call, programs.facts, programs.count));
    judge_version(call, node, &programs.facts[0], ret);
    for (size_t i = 1; i < programs.count && *ret == ANSWER_YES; i++) {
        const struct host_fact *fact = &programs.facts[i];
        bool there = i + 1 < programs.count ? fact->exit_status == 0 : has_locale(fact->out);
        if (!there)
            runbook_answer(call, ret, false, "%s: %s is missing", node->name.ptr, programs.names[i]);
    }
    return OK;
}

static result hosts_have_programs(void *context, struct runbook_call *call, enum answer *ret)
{
    return ask_nodes(context, call, MEANT_ALL, has_programs, ret);
}

const struct runbook_step step_programs = {
    .id = "programs",
    .title = "Check the programs",
    .question = "does every host have PostgreSQL 15, openssl and the locale C.UTF-8?",
    .ask = hosts_have_programs,
    .within_ms = SEC(60),
    .tries = 1,
};

/* ---- space ---- of the data directory's disk: asked of the nearest directory above it that exists */

/* df prints a line for each directory that exists; only the deepest can be missing. */
static bool free_kib(struct str out, const char *const *folders, size_t count, const char **ret_folder,
                     uint64_t *ret)
{
    struct str line, row = { 0 }, word;
    size_t rows = 0;
    str_cut(&out, '\n', &line); /* the header line */
    while (str_cut(&out, '\n', &line))
        if (line.len > 0 && rows++ == 0)
            row = line;
    if (rows == 0 || rows > count)
        return false;
    *ret_folder = folders[count - rows];
    for (int number = 0; str_cut(&row, ' ', &word);)
        if (word.len > 0 && ++number == 4)
            return str_to_u64(word, UINT64_MAX / 1024, ret);
    return false;
}

/* The directory and all above it; they end with NULL. */
static const char *const *folders_above(struct arena *arena, const char *path, size_t *ret_count)
{
    size_t count = 0, depth = 2;
    for (const char *at = path; *at != '\0'; at++)
        depth += *at == '/';
    const char **folders = arena_array(arena, const char *, depth + 1);
    char *folder = arena_cstr(arena, str_from(path));
    for (folders[count++] = arena_cstr(arena, str_from(folder)); folder[1] != '\0';) {
        char *slash = strrchr(folder, '/');
        slash[slash == folder] = '\0';
        folders[count++] = arena_cstr(arena, str_from(folder));
    }
    *ret_count = count;
    return folders;
}

static result has_space(const struct provisioning *p, struct runbook_call *call, const struct node *node,
                        enum answer *ret)
{
    struct host_fact facts[CONTROL_FACTS + 1];
    struct control control;
    const char *folder = "";
    uint64_t kib = 0;
    size_t count;
    const char *const *folders = folders_above(call->arena, node->paths.data, &count);
    control_facts(call->arena, node, node->paths.data, facts);
    facts[CONTROL_FACTS] =
        (struct host_fact){ .argv = host_argv_more(call->arena,
                                                   host_tool(call->arena, &node->commands.df, "df", "-P",
                                                             "-k", "--", (char *)NULL),
                                                   folders) };
    TRY(host_ask(p->hosts, node, call, facts, CONTROL_FACTS + 1));
    TRY(control_read(node, facts, &control));
    if (!free_kib(facts[CONTROL_FACTS].out, folders, count, &folder, &kib))
        return FAIL(E_HOST, "Run df on that host and check its output.",
                    "\"%s\": df does not show the free space: %.*s", node->name.ptr,
                    STR_ARG(last_line(facts[CONTROL_FACTS].err)));
    bool made = control.system[0] != '\0', fits = kib / 1024 >= p->cell->fit.free_mib;
    runbook_answer(call, ret, made || fits, "%s: %llu MiB free under %s%s", node->name.ptr,
                   (unsigned long long)(kib / 1024), folder, made ? ", which already has its data" : "");
    if (!made && !fits)
        runbook_answer(call, ret, false, "%s: %llu MiB free under %s, but %u MiB are needed", node->name.ptr,
                       (unsigned long long)(kib / 1024), folder, p->cell->fit.free_mib);
    return OK;
}

static result hosts_have_space(void *context, struct runbook_call *call, enum answer *ret)
{
    return ask_nodes(context, call, MEANT_ALL, has_space, ret);
}

const struct runbook_step step_space = {
    .id = "space",
    .title = "Check the free disk space",
    .question = "does every host have enough free disk space?",
    .ask = hosts_have_space,
    .within_ms = SEC(60),
    .tries = 1,
};

/* ---- time ---- the clock was read at some time between question and answer: this gives the smallest possible offset */

static result agrees_on_time(const struct provisioning *p, struct runbook_call *call, const struct node *node,
                             enum answer *ret)
{
    struct ssh_output output;
    uint64_t there = 0;
    const char *const *argv =
        host_tool(call->arena, &node->commands.date, "date", "-u", "+%s%3N", (char *)NULL);
    int64_t before = clock_wall_ms();
    TRY(host_look(p->hosts, node, call, argv, STR(""), &output));
    int64_t after = clock_wall_ms();
    if (output.exit_status != 0 || !str_to_u64(last_line(output.out), INT64_MAX, &there))
        return FAIL(E_HOST, "Run date on that host and check its output.",
                    "\"%s\": date does not show the time", node->name.ptr);
    int64_t middle = before + (after - before) / 2, half = (after - before + 1) / 2;
    int64_t offset = (int64_t)there - middle, beyond = llabs(offset) - half;
    bool fits = beyond <= (int64_t)p->cell->fit.clock_offset_ms;
    runbook_answer(call, ret, fits, "%s: its clock differs by %lld ms, plus or minus %lld ms%s",
                   node->name.ptr, (long long)offset, (long long)half, fits ? "" : "; set it by NTP");
    return OK;
}

static result hosts_agree_on_time(void *context, struct runbook_call *call, enum answer *ret)
{
    return ask_nodes(context, call, MEANT_ALL, agrees_on_time, ret);
}

const struct runbook_step step_clocks = {
    .id = "clocks",
    .title = "Compare the clocks",
    .question = "do the clocks of all hosts agree with this host's?",
    .ask = hosts_agree_on_time,
    .within_ms = SEC(60),
    .tries = 1,
};

/* ---- ports ---- in /proc/net/tcp: local address as hexadecimal words of the host, port, and state 0A for listening */

/* "0100007F" or four such words, as the host has them in memory. */
static bool is_listening_at(struct str hex, const char *address)
{
    uint32_t words[4] = { 0 };
    unsigned char wanted[16];
    bool any = true;
    if (hex.len != 8 && hex.len != 32)
        return false;
    for (size_t i = 0; i < hex.len / 8; i++) {
        char word[9] = "";
        memcpy(word, hex.ptr + 8 * i, 8);
        words[i] = (uint32_t)strtoul(word, NULL, 16);
        any &= words[i] == 0;
    }
    if (any || inet_pton(hex.len == 8 ? AF_INET : AF_INET6, address, wanted) != 1)
        return any || !certificate_is_numeric(address);
    return memcmp(words, wanted, hex.len / 2) == 0;
}

/* "  0: 0100007F:3C48 00000000:0000 0A ..." */
static bool line_listens(struct str line, const struct node *node)
{
    struct str words[4] = { { 0 } }, word, host;
    for (size_t count = 0; count < 4 && str_cut(&line, ' ', &word);)
        if (word.len > 0)
            words[count++] = word;
    if (!str_is(words[3], "0A") || !str_cut(&words[1], ':', &host) || words[1].len != 4)
        return false;
    char port[5] = "";
    memcpy(port, words[1].ptr, 4);
    return strtoul(port, NULL, 16) == node->port && is_listening_at(host, node->address);
}

static bool somebody_listens(struct str text, const struct node *node)
{
    struct str line;
    while (str_cut(&text, '\n', &line))
        if (line_listens(line, node))
            return true;
    return false;
}

static result port_is_ours(const struct provisioning *p, struct runbook_call *call, const struct node *node,
                           enum answer *ret)
{
    const char *const *own = host_words(call->arena, &node->commands.sockets);
    struct host_fact facts[] = {
        { .argv = own != NULL ? own : HOST_ARGV("grep", "-h", " 0A ", "/proc/net/tcp", "/proc/net/tcp6") },
        running_fact(call->arena, node, node->paths.data),
    };
    bool ours = false;
    TRY(host_ask(p->hosts, node, call, facts, 2));
    bool none_listens =
        own == NULL && (facts[0].exit_status == 1 || facts[0].exit_status == 2); /* or no tcp6 */
    if (facts[0].exit_status != 0 && !none_listens)
        return FAIL(E_HOST, "Check that the command works on that host and exits with 0.",
                    "\"%s\": \"%s\", which lists listening sockets, failed: %.*s", node->name.ptr,
                    own != NULL ? own[0] : "grep", STR_ARG(last_line(facts[0].err)));
    if (!somebody_listens(facts[0].out, node)) {
        runbook_answer(call, ret, true, "%s: port %u is free", node->name.ptr, node->port);
        return OK;
    }
    TRY(running_read(node, &facts[1], &ours));
    runbook_answer(call, ret, ours,
                   ours ? "%s: port %u is used by its own PostgreSQL"
                        : "%s: port %u is used by another program",
                   node->name.ptr, node->port);
    return OK;
}

static result hosts_ports_are_ours(void *context, struct runbook_call *call, enum answer *ret)
{
    return ask_nodes(context, call, MEANT_ALL, port_is_ours, ret);
}

const struct runbook_step step_ports = {
    .id = "ports",
    .title = "Check the ports",
    .question = "is every port free, or in use by the PostgreSQL of this cell?",
    .ask = hosts_ports_are_ours,
    .within_ms = SEC(60),
    .tries = 1,
};

/* ---- roles ---- a cell that has failed over must not be provisioned from the old declaration */

static result is_as_declared(const struct provisioning *p, struct runbook_call *call, const struct node *node,
                             enum answer *ret)
{
    struct host_fact facts[CONTROL_FACTS + 1];
    struct control control;
    control_facts(call->arena, node, node->paths.data, facts);
    facts[CONTROL_FACTS] =
        (struct host_fact){ .path = arena_printf(call->arena, "%s/standby.signal", node->paths.data) };
    TRY(host_ask(p->hosts, node, call, facts, CONTROL_FACTS + 1));
    TRY(control_read(node, facts, &control));
    bool standby = facts[CONTROL_FACTS].out.ptr != NULL;
    if (control.system[0] == '\0')
        runbook_answer(call, ret, true, "%s: empty", node->name.ptr);
    else if (node_is_primary(p, node) == standby)
        runbook_answer(
            call, ret, false,
            standby ? "%s: it is a standby, but declared as the primary; set primary in the region's file"
                    : "%s: it is a primary, but declared as a standby; it would need a new base backup",
            node->name.ptr);
    else
        runbook_answer(call, ret, true, standby ? "%s: a standby" : "%s: the primary", node->name.ptr);
    return OK;
}

static result hosts_are_as_declared(void *context, struct runbook_call *call, enum answer *ret)
{
    return ask_nodes(context, call, MEANT_ALL, is_as_declared, ret);
}

const struct runbook_step step_declared = {
    .id = "declared",
    .title = "Compare the nodes with the region's file",
    .question = "is every node empty or in its declared role?",
    .ask = hosts_are_as_declared,
    .within_ms = SEC(60),
    .tries = 1,
};

/* ---- for adopting ---- */

static result runs(const struct provisioning *p, struct runbook_call *call, const struct node *node,
                   enum answer *ret)
{
    struct host_fact facts[CONTROL_FACTS + 1];
    struct control control, primary;
    bool running;
    control_facts(call->arena, node, node->paths.data, facts);
    facts[CONTROL_FACTS] = running_fact(call->arena, node, node->paths.data);
    TRY(host_ask(p->hosts, node, call, facts, CONTROL_FACTS + 1));
    TRY(control_read(node, facts, &control));
    primary = control;
    if (!node_is_primary(p, node))
        TRY(host_control(p, call, p->cell->primary, &primary));
    if (control.system[0] == '\0' || strcmp(control.system, primary.system) != 0 || !control.checksums) {
        runbook_answer(call, ret, false, "%s: \"%s\" is not a cluster of this cell with checksums",
                       node->name.ptr, node->paths.data);
        return OK;
    }
    TRY(running_read(node, &facts[CONTROL_FACTS], &running));
    runbook_answer(call, ret, running, "%s: system identifier %s%s", node->name.ptr, control.system,
                   running ? ", running" : ", not running");
    return OK;
}

static result hosts_run(void *context, struct runbook_call *call, enum answer *ret)
{
    return ask_nodes(context, call, MEANT_ALL, runs, ret);
}

const struct runbook_step step_running = {
    .id = "running",
    .title = "Check the existing clusters",
    .question = "do all nodes run the same cluster, with checksums?",
    .ask = hosts_run,
    .within_ms = SEC(60),
    .tries = 1,
};
