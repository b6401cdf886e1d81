/* Whether the hosts are such that a cell can be made on them. */
#include "base/clock.h"
#include "cell/internal.h"
#include "pki/certificate.h"

#include <arpa/inet.h>
#include <stdlib.h>

/* ---- reached ---- what a host answers wrongly is no; only one that does not answer may do so later */

static result answers(const struct provisioning *p, const struct cell_call *call, const struct node *node,
                      struct cell_seen *ret)
{
    struct ssh *ssh;
    struct ssh_negotiated with;
    (void)call;
    result r = host_session(p->hosts, node, &ssh);
    if (failed(r) && (r.error.code == E_HOST_KEY || r.error.code == E_SSH || r.error.code == E_CONFIG)) {
        cell_saw(ret, false, "%s", r.error.what);
        return OK;
    }
    TRY(r);
    ssh_negotiated(ssh, &with);
    cell_saw(ret, true, "%s: %s, %s, %s, %s", node->name.ptr, with.host_key, with.kex, with.cipher_out,
             with.mac_out);
    return OK;
}

NODES_LOOK(hosts_answer, MEANT_ALL, answers)

/* ---- programs ---- */

static result has_version(const struct provisioning *p, const struct cell_call *call, const struct node *node,
                          struct cell_seen *ret)
{
    struct ssh_output output;
    struct str rest, word, version = { 0 };
    const char *const *argv =
        host_program(call->arena, node, &node->commands.postgres, "postgres", "--version", (char *)NULL);
    TRY(host_look(p->hosts, node, call, argv, STR(""), &output));
    for (rest = last_line(output.out); str_cut(&rest, ' ', &word);)
        if (word.len > 0 && word.ptr[0] >= '1' && word.ptr[0] <= '9' && version.ptr == NULL)
            version = word;
    bool fits = output.exit_status == 0 && str_starts(version, STR("15.")) && version.len < 16;
    if (output.exit_status != 0)
        cell_saw(ret, false, "%s: there is no PostgreSQL: \"%s\" ended with %d", node->name.ptr,
                 host_program_of(argv), output.exit_status);
    else
        cell_saw(ret, fits, "%s: PostgreSQL %.*s%s", node->name.ptr,
                 (int)(version.len > 15 ? 15 : version.len), version.ptr ? version.ptr : "?",
                 fits ? "" : ", and 15 is needed");
    return OK;
}

static result has_tool(const struct provisioning *p, const struct cell_call *call, const struct node *node,
                       const char *const *argv, const char *what, struct cell_seen *ret)
{
    struct ssh_output output;
    TRY(host_look(p->hosts, node, call, argv, STR(""), &output));
    if (output.exit_status != 0)
        cell_saw(ret, false, "%s: there is no %s", node->name.ptr, what);
    return OK;
}

static result has_locale(const struct provisioning *p, const struct cell_call *call, const struct node *node,
                         struct cell_seen *ret)
{
    struct ssh_output output;
    struct str rest, line;
    TRY(host_look(p->hosts, node, call,
                  host_tool(call->arena, &node->commands.locale, "locale", "-a", (char *)NULL), STR(""),
                  &output));
    for (rest = output.out; str_cut(&rest, '\n', &line);)
        if (str_eq_nocase(line, STR("C.utf8")) || str_eq_nocase(line, STR("C.UTF-8")))
            return OK;
    cell_saw(ret, false, "%s: there is no locale C.UTF-8", node->name.ptr);
    return OK;
}

/* A command of the region file's own is not known to have --version. */
static result has_program(const struct provisioning *p, const struct cell_call *call, const struct node *node,
                          const struct config_words *instead, const char *program, struct cell_seen *ret)
{
    if (!ret->holds || instead->count > 0)
        return OK;
    return has_tool(p, call, node,
                    host_program(call->arena, node, instead, program, "--version", (char *)NULL), program,
                    ret);
}

static result has_programs(const struct provisioning *p, const struct cell_call *call,
                           const struct node *node, struct cell_seen *ret)
{
    TRY(has_version(p, call, node, ret));
    TRY(has_program(p, call, node, &node->commands.initdb, "initdb", ret));
    TRY(has_program(p, call, node, &node->commands.base_backup, "pg_basebackup", ret));
    TRY(has_program(p, call, node, &node->commands.control, "pg_controldata", ret));
    TRY(has_program(p, call, node, &node->commands.psql, "psql", ret));
    if (ret->holds && node->commands.openssl.count == 0)
        TRY(has_tool(p, call, node, HOST_ARGV("openssl", "version"), "openssl", ret));
    if (ret->holds)
        TRY(has_tool(p, call, node, HOST_ARGV("flock", "--version"), "flock", ret));
    return ret->holds ? has_locale(p, call, node, ret) : OK;
}

NODES_LOOK(hosts_have_programs, MEANT_ALL, has_programs)

/* ---- space ---- where the data directory will be: the nearest directory above it that is there */

static bool free_kib(struct str text, uint64_t *ret)
{
    struct str rest = last_line(text), word;
    for (int number = 0; str_cut(&rest, ' ', &word);)
        if (word.len > 0 && ++number == 4)
            return str_to_u64(word, UINT64_MAX / 1024, ret);
    return false;
}

static result has_space(const struct provisioning *p, const struct cell_call *call, const struct node *node,
                        struct cell_seen *ret)
{
    struct control control;
    struct ssh_output output;
    uint64_t kib = 0;
    char *path = arena_cstr(call->arena, str_from(node->paths.data));
    TRY(host_control(p, call, node, path, &control));
    for (;;) {
        TRY(host_look(p->hosts, node, call,
                      host_tool(call->arena, &node->commands.df, "df", "-P", "-k", "--", path, (char *)NULL),
                      STR(""), &output));
        char *slash = strrchr(path, '/');
        if (output.exit_status == 0 || path[1] == '\0')
            break;
        slash[slash == path] = '\0';
    }
    if (output.exit_status != 0 || !free_kib(output.out, &kib))
        return FAIL(E_HOST, "Look at df on that host.", "\"%s\": df does not tell what is free: %.*s",
                    node->name.ptr, STR_ARG(last_line(output.err)));
    bool made = control.system[0] != '\0', fits = kib / 1024 >= p->cell->fit.free_mib;
    cell_saw(ret, made || fits, "%s: %llu MiB are free under %s%s", node->name.ptr,
             (unsigned long long)(kib / 1024), path, made ? ", where its data are already" : "");
    if (!made && !fits)
        cell_saw(ret, false, "%s: %llu MiB are free under %s, and %u are needed", node->name.ptr,
                 (unsigned long long)(kib / 1024), path, p->cell->fit.free_mib);
    return OK;
}

NODES_LOOK(hosts_have_space, MEANT_ALL, has_space)

/* ---- time ---- its clock was read at some moment between asking and the answer: so far it is off at least */

static result agrees_on_time(const struct provisioning *p, const struct cell_call *call,
                             const struct node *node, struct cell_seen *ret)
{
    struct ssh_output output;
    uint64_t there = 0;
    const char *const *argv =
        host_tool(call->arena, &node->commands.date, "date", "-u", "+%s%3N", (char *)NULL);
    int64_t before = clock_wall_ms();
    TRY(host_look(p->hosts, node, call, argv, STR(""), &output));
    int64_t after = clock_wall_ms();
    if (output.exit_status != 0 || !str_to_u64(last_line(output.out), INT64_MAX, &there))
        return FAIL(E_HOST, "Look at date on that host.", "\"%s\": date does not tell the time",
                    node->name.ptr);
    int64_t middle = before + (after - before) / 2, half = (after - before + 1) / 2;
    int64_t offset = (int64_t)there - middle, beyond = llabs(offset) - half;
    bool fits = beyond <= (int64_t)p->cell->fit.clock_offset_ms;
    cell_saw(ret, fits, "%s: its clock is off by %lld ms, give or take %lld%s", node->name.ptr,
             (long long)offset, (long long)half, fits ? "" : "; set it by NTP");
    return OK;
}

NODES_LOOK(hosts_agree_on_time, MEANT_ALL, agrees_on_time)

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

static result port_is_ours(const struct provisioning *p, const struct cell_call *call,
                           const struct node *node, struct cell_seen *ret)
{
    struct ssh_output output;
    bool ours = false;
    const char *const *own = host_words(call->arena, &node->commands.sockets);
    TRY(host_look(p->hosts, node, call,
                  own != NULL ? own : HOST_ARGV("grep", "-h", " 0A ", "/proc/net/tcp", "/proc/net/tcp6"),
                  STR(""), &output));
    bool none_listens = own == NULL && (output.exit_status == 1 || output.exit_status == 2); /* or no tcp6 */
    if (output.signal != NULL || (output.exit_status != 0 && !none_listens))
        return FAIL(E_HOST, "See that the command works there, and ends with 0.",
                    "\"%s\": \"%s\", which tells who listens, failed: %.*s", node->name.ptr,
                    own != NULL ? own[0] : "grep", STR_ARG(last_line(output.err)));
    if (output.out_cut)
        return FAIL(E_HOST, "See what that host serves; it should serve PostgreSQL alone.",
                    "\"%s\": there are too many listening sockets to look at", node->name.ptr);
    if (!somebody_listens(output.out, node)) {
        cell_saw(ret, true, "%s: port %u is free", node->name.ptr, node->port);
        return OK;
    }
    TRY(host_is_running(p, call, node, node->paths.data, &ours));
    cell_saw(ret, ours,
             ours ? "%s: port %u is its own PostgreSQL's" : "%s: port %u is taken by something else",
             node->name.ptr, node->port);
    return OK;
}

NODES_LOOK(hosts_ports_are_ours, MEANT_ALL, port_is_ours)

/* ---- roles ---- a cell that has failed over is not to be provisioned by the old declaration */

static result is_as_declared(const struct provisioning *p, const struct cell_call *call,
                             const struct node *node, struct cell_seen *ret)
{
    struct control control;
    bool standby;
    TRY(host_control(p, call, node, node->paths.data, &control));
    TRY(host_has(p->hosts, node, call, arena_printf(call->arena, "%s/standby.signal", node->paths.data),
                 &standby));
    if (control.system[0] == '\0')
        cell_saw(ret, true, "%s: nothing is there yet", node->name.ptr);
    else if (node_is_primary(p, node) == standby)
        cell_saw(ret, false,
                 standby
                     ? "%s: it is a standby, and declared as the primary; set primary in the region's file"
                     : "%s: it is a primary, and declared as a standby; it would have to be made anew",
                 node->name.ptr);
    else
        cell_saw(ret, true, standby ? "%s: a standby" : "%s: the primary", node->name.ptr);
    return OK;
}

NODES_LOOK(hosts_are_as_declared, MEANT_ALL, is_as_declared)

/* ---- for what is there already ---- */

static result runs(const struct provisioning *p, const struct cell_call *call, const struct node *node,
                   struct cell_seen *ret)
{
    struct control control, primary;
    bool running;
    TRY(host_control(p, call, p->cell->primary, p->cell->primary->paths.data, &primary));
    TRY(host_control(p, call, node, node->paths.data, &control));
    if (control.system[0] == '\0' || strcmp(control.system, primary.system) != 0 || !control.checksums) {
        cell_saw(ret, false, "%s: \"%s\" is no cluster of this cell with checksums", node->name.ptr,
                 node->paths.data);
        return OK;
    }
    TRY(host_is_running(p, call, node, node->paths.data, &running));
    cell_saw(ret, running, "%s: system %s%s", node->name.ptr, control.system,
             running ? ", running" : " does not run");
    return OK;
}

NODES_LOOK(hosts_run, MEANT_ALL, runs)
