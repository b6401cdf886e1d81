/* node ...: the hosts themselves, over SSH. */
#include "ssh/node.h"
#include "base/clock.h"
#include "cli/host_log.h"

#include <string.h>

enum { NODES_MAX = CONFIG_REGIONS_MAX * 16, TRIPS = 3, WITHIN_MS = 10000 };

struct checked {
    const struct node *node;
    struct ssh_options options;
    result outcome; /* of it all */
    bool entered;   /* the members below are known */
    const char *kex, *host_key, *cipher_out, *cipher_in, *mac_out, *mac_in, *server, *client, *fingerprint;
    bool strict_kex_offered;
    double round_trip_ms; /* of a command that does nothing: the smallest of three */
    bool guarded;
};

struct checking {
    struct arena *arena;
    struct host_log *log;
    struct checked *nodes;
    size_t count;
};

struct one_check {
    struct checking *checking;
    struct checked *checked;
};

/* ---- asking ---- */

static void keep_negotiated(struct arena *arena, const struct ssh *ssh, struct checked *checked)
{
    struct ssh_negotiated negotiated;
    ssh_negotiated(ssh, &negotiated);
    const struct {
        const char **to, *from;
    } strings[] = {
        { &checked->kex, negotiated.kex },
        { &checked->host_key, negotiated.host_key },
        { &checked->cipher_out, negotiated.cipher_out },
        { &checked->cipher_in, negotiated.cipher_in },
        { &checked->mac_out, negotiated.mac_out },
        { &checked->mac_in, negotiated.mac_in },
        { &checked->server, negotiated.server_version },
        { &checked->client, negotiated.client_version },
        { &checked->fingerprint, negotiated.fingerprint },
    };
    for (size_t i = 0; i < COUNT(strings); i++)
        *strings[i].to = arena_cstr(arena, str_from(strings[i].from));
    checked->strict_kex_offered = negotiated.strict_kex_offered;
    checked->entered = true;
}

static result measure(struct arena *arena, struct ssh *ssh, struct checked *checked)
{
    const struct ssh_command command = { .argv = (const char *const[]){ "true", NULL },
                                         .within_ms = WITHIN_MS,
                                         .step = "round-trip" };
    for (int i = 0; i < TRIPS; i++) {
        struct ssh_output output;
        uint64_t begin_ns = clock_monotonic_ns();
        TRY(ssh_exec(ssh, arena, &command, &output));
        double ms = (double)(clock_monotonic_ns() - begin_ns) / 1e6;
        if (output.exit_status != 0)
            return FAIL(E_SSH, "Give that user a shell on the host, without ForceCommand.",
                        "\"%s\" cannot run \"true\" as \"%s\": exit status %d", checked->node->name.ptr,
                        checked->node->ssh.user, output.exit_status);
        checked->round_trip_ms = i == 0 || ms < checked->round_trip_ms ? ms : checked->round_trip_ms;
    }
    return OK;
}

/* The smallest token: it changes nothing, and a refusal also shows that the guard works. */
static result try_guard(struct arena *arena, struct ssh *ssh, struct checked *checked)
{
    const struct ssh_guard guard = { .state = checked->node->ssh.state };
    const struct ssh_command command = { .argv = (const char *const[]){ "true", NULL },
                                         .within_ms = WITHIN_MS,
                                         .guard = &guard,
                                         .step = "guard" };
    struct ssh_output output;
    result r = ssh_exec(ssh, arena, &command, &output);
    if (failed(r) && r.error.code != E_STALE)
        return r;
    if (!failed(r) && output.exit_status != 0)
        return FAIL(E_IO, "Install sh, flock, timeout, sync and stat on that host: the guard needs them.",
                    "the guard on \"%s\" failed with exit status %d: %.100s", checked->node->name.ptr,
                    output.exit_status, output.err.ptr);
    checked->guarded = true;
    return OK;
}

static result check_host(const struct checking *checking, struct checked *checked)
{
    struct arena *arena = checking->arena;
    struct ssh *ssh = NULL;
    host_log_attach(checking->log, &checked->options);
    TRY(ssh_connect(&checked->options, &ssh));
    keep_negotiated(arena, ssh, checked);
    result r = measure(arena, ssh, checked);
    if (!failed(r))
        r = try_guard(arena, ssh, checked);
    ssh_close(ssh);
    return r;
}

static void run_check(void *arg)
{
    struct one_check *one = arg;
    one->checked->outcome = check_host(one->checking, one->checked);
}

/* All at the same time: a host that does not answer delays no other. */
static result check_all(void *arg)
{
    struct checking *checking = arg;
    struct one_check *ones = arena_array(checking->arena, struct one_check, checking->count);
    struct scope scope = SCOPE_INIT;
    for (size_t i = 0; i < checking->count; i++) {
        ones[i] = (struct one_check){ checking, &checking->nodes[i] };
        result r = fiber_spawn(&scope, "node check", run_check, &ones[i]);
        if (failed(r)) {
            scope_end(&scope);
            return r;
        }
    }
    return scope_join(&scope);
}

/* ---- choosing ---- */

static result choose_named(struct cli *cli, const char *name, struct checking *ret)
{
    const struct node *node = config_find_node(cli->config, str_from(name));
    if (node == NULL)
        return FAIL(E_NOT_FOUND, "Use a name from nodes in the region's file.", "there is no node \"%s\"",
                    name);
    ret->nodes[0] = (struct checked){ .node = node };
    ret->count = 1;
    return ssh_node_options(node, &ret->nodes[0].options);
}

static result choose_in(const struct cell *cell, struct checking *ret)
{
    for (size_t i = 0; i < cell->node_count && ret->count < NODES_MAX; i++) {
        const struct node *node = &cell->nodes[i];
        if (node->ssh.user == NULL)
            continue;
        struct checked *checked = &ret->nodes[ret->count++];
        *checked = (struct checked){ .node = node };
        TRY(ssh_node_options(node, &checked->options));
    }
    return OK;
}

static result choose(struct cli *cli, struct checking *ret)
{
    TRY(cli_load_config(cli));
    ret->arena = &cli->arena;
    ret->nodes = arena_array(&cli->arena, struct checked, NODES_MAX);
    if (cli->argument_count == 1)
        return choose_named(cli, cli->arguments[0], ret);
    for (size_t i = 0; i < cli->config->region_count; i++)
        for (size_t j = 0; j < cli->config->regions[i].cell_count; j++)
            TRY(choose_in(&cli->config->regions[i].cells[j], ret));
    if (ret->count == 0)
        return FAIL(E_NOT_FOUND, "Add ssh = { ... } to the nodes in the region's file; see domicile.cfg(5).",
                    "no node has ssh");
    return OK;
}

/* ---- saying ---- */

static json_t *to_json(struct cli *cli, const struct checked *checked)
{
    const struct node_ssh *ssh = &checked->node->ssh;
    bool is_good = !failed(checked->outcome);
    json_t *json = json_pack("{s:s,s:s,s:i,s:b,s:o}", "node", checked->node->name.ptr, "address",
                             ssh->address, "port", (int)ssh->port, "good", is_good, "state",
                             cli_json_text(cli, is_good ? "ok" : checked->outcome.error.what));
    if (!is_good)
        json_object_set_new(json, "code", json_string(error_slug(checked->outcome.error.code)));
    if (!checked->entered)
        return json;
    json_object_set_new(json, "negotiated",
                        json_pack("{s:s,s:b,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "key_exchange", checked->kex,
                                  "strict_kex_offered", checked->strict_kex_offered, "host_key",
                                  checked->host_key, "fingerprint", checked->fingerprint, "cipher_out",
                                  checked->cipher_out, "cipher_in", checked->cipher_in, "mac_out",
                                  checked->mac_out, "mac_in", checked->mac_in, "server", checked->server,
                                  "client", checked->client));
    json_object_set_new(json, "round_trip_ms", json_real(checked->round_trip_ms));
    json_object_set_new(json, "guard", json_boolean(checked->guarded));
    return json;
}

static void print_line(struct cli *cli, const char *name, const char *value)
{
    fprintf(cli->out, "    %-13s %s\n", name, cli_safe(cli, value));
}

static const char *both_ways(struct cli *cli, const char *out, const char *in)
{
    return strcmp(out, in) == 0 ? out : arena_printf(&cli->arena, "%s out, %s in", out, in);
}

static void print_checked(struct cli *cli, const struct checked *checked)
{
    bool is_good = !failed(checked->outcome);
    fprintf(cli->out, "%s  %s:%u  %s%s%s\n", checked->node->name.ptr, checked->node->ssh.address,
            checked->node->ssh.port, cli_style(cli, is_good ? STYLE_GOOD : STYLE_BAD),
            is_good ? "ok" : cli_safe(cli, checked->outcome.error.what), cli_plain(cli));
    if (!checked->entered)
        return;
    print_line(cli, "server", checked->server);
    print_line(cli, "host key",
               arena_printf(&cli->arena, "%s %s, matches the pin", checked->host_key, checked->fingerprint));
    print_line(cli, "key exchange", checked->kex);
    print_line(cli, "strict kex", checked->strict_kex_offered ? "offered, not used" : "not offered");
    print_line(cli, "cipher", both_ways(cli, checked->cipher_out, checked->cipher_in));
    print_line(cli, "MAC", both_ways(cli, checked->mac_out, checked->mac_in));
    print_line(cli, "round trip", arena_printf(&cli->arena, "%.1f ms", checked->round_trip_ms));
    print_line(cli, "guard",
               checked->guarded ? arena_printf(&cli->arena, "works in %s", checked->node->ssh.state)
                                : "not tested");
}

result cli_node_check(struct cli *cli)
{
    struct checking checking = { 0 };
    TRY(choose(cli, &checking));
    checking.log = cli_host_log(cli, "node-check");
    result r = cli_on_loop(check_all, &checking);
    host_log_free(checking.log);
    TRY(r);
    json_t *list = json_array();
    for (size_t i = 0; i < checking.count; i++) {
        if (cli_has(cli, OPT_JSON))
            json_array_append_new(list, to_json(cli, &checking.nodes[i]));
        else
            print_checked(cli, &checking.nodes[i]);
    }
    if (cli_has(cli, OPT_JSON))
        cli_print_json(cli, json_pack("{s:O}", "nodes", list));
    json_decref(list);
    for (size_t i = 0; i < checking.count; i++)
        TRY(checking.nodes[i].outcome);
    return OK;
}
