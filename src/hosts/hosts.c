#include "hosts/hosts.h"

#include "ssh/node.h"

#include <stdarg.h>
#include <stdlib.h>

enum { LOOK_WITHIN_MS = 20000, PUT_WITHIN_MS = 30000, OVER_WITHIN_MS = 30000, WORDS_MAX = 64 };

struct cell_host {
    const struct node *node;
    struct ssh *ssh;
    struct ssh_token over; /* commands up to this token have been ended there */
};

struct cell_hosts {
    const struct cell *cell;
    struct host_log *log;
    struct cell_host *items;
};

result cell_hosts_new(const struct cell *cell, struct host_log *log, struct cell_hosts **ret)
{
    struct cell_hosts *hosts = calloc(1, sizeof *hosts);
    must(hosts != NULL);
    hosts->cell = cell;
    hosts->items = calloc(cell->node_count, sizeof *hosts->items);
    must(hosts->items != NULL);
    for (size_t i = 0; i < cell->node_count; i++)
        hosts->items[i].node = &cell->nodes[i];
    hosts->log = log;
    *ret = hosts;
    return OK;
}

void cell_hosts_free(struct cell_hosts *hosts)
{
    if (hosts == NULL)
        return;
    for (size_t i = 0; i < hosts->cell->node_count; i++)
        ssh_close(hosts->items[i].ssh);
    free(hosts->items);
    free(hosts);
}

/* ---- sessions ---- */

static struct cell_host *host_of(struct cell_hosts *hosts, const struct node *node)
{
    for (size_t i = 0; i < hosts->cell->node_count; i++)
        if (hosts->items[i].node == node)
            return &hosts->items[i];
    must_failed("a node of the cell", __FILE__, __LINE__);
}

result host_session(struct cell_hosts *hosts, const struct node *node, struct ssh **ret)
{
    struct cell_host *host = host_of(hosts, node);
    TRY(host_log_failure(hosts->log));
    if (host->ssh != NULL && !ssh_serves(host->ssh)) {
        ssh_close(host->ssh);
        host->ssh = NULL;
    }
    if (host->ssh == NULL) {
        struct ssh_options options;
        TRY(ssh_node_options(node, &options));
        host_log_attach(hosts->log, &options);
        TRY(ssh_connect(&options, &host->ssh));
    }
    *ret = host->ssh;
    return OK;
}

/* ---- commands ---- */

/* A session may have been lost since its last use; a read-only command is then sent once more. */
result host_exec_look(struct cell_hosts *hosts, const struct node *node, const struct runbook_call *call,
                      struct ssh_command command, struct ssh_output *ret)
{
    struct ssh *ssh;
    command.within_ms = LOOK_WITHIN_MS;
    command.run = call->run;
    command.step = call->step;
    bool fresh = host_of(hosts, node)->ssh == NULL;
    TRY(host_session(hosts, node, &ssh));
    result r = ssh_exec(ssh, call->arena, &command, ret);
    if (failed(r) && r.error.code == E_UNAVAILABLE && !fresh) {
        TRY(host_session(hosts, node, &ssh));
        r = ssh_exec(ssh, call->arena, &command, ret);
    }
    return r;
}

result host_look(struct cell_hosts *hosts, const struct node *node, const struct runbook_call *call,
                 const char *const *argv, struct str input, struct ssh_output *ret)
{
    return host_exec_look(hosts, node, call, (struct ssh_command){ .argv = argv, .input = input }, ret);
}

static bool token_equal(const struct ssh_token *a, const struct ssh_token *b)
{
    return a->fence == b->fence && a->step == b->step && a->attempt == b->attempt;
}

/* Before the first command of an act, commands of older acts are ended on the host. */
static result begin_change(struct cell_hosts *hosts, const struct node *node, const struct runbook_call *call,
                           struct ssh **ret_ssh, struct ssh_guard *ret_guard)
{
    struct cell_host *host = host_of(hosts, node);
    const struct ssh_guard guard = { node->ssh.state,
                                     { call->fence, (uint32_t)call->serial, call->attempt } };
    must(call->serial <= UINT32_MAX);
    TRY(host_session(hosts, node, ret_ssh));
    if (!token_equal(&host->over, &guard.token))
        TRY(ssh_guard_over(*ret_ssh, &guard, call->run, call->step, OVER_WITHIN_MS));
    TRY(host_log_failure(hosts->log));
    host->over = guard.token;
    *ret_guard = guard;
    return OK;
}

struct str last_line(struct str text)
{
    struct str rest = text, line, last = { 0 };
    while (str_cut(&rest, '\n', &line))
        if (str_trim(line).len > 0)
            last = str_trim(line);
    return last;
}

static result check_end(const struct node *node, const char *const *argv, const struct ssh_output *output)
{
    static const char hint[] = "Check the host, then run the command again.";
    struct str words = last_line(output->err);
    if (words.len == 0)
        words = last_line(output->out);
    if (output->signal != NULL)
        return FAIL(E_HOST, hint, "\"%s\": \"%s\" was killed by SIG%s: %.*s", node->name.ptr,
                    host_program_of(argv), output->signal, STR_ARG(words));
    if (output->exit_status != 0)
        return FAIL(E_HOST, hint, "\"%s\": \"%s\" failed with exit status %d: %.*s", node->name.ptr,
                    host_program_of(argv), output->exit_status, STR_ARG(words));
    return OK;
}

result host_run(struct cell_hosts *hosts, const struct node *node, const struct runbook_call *call,
                const struct host_command *command, struct ssh_output *ret)
{
    struct ssh *ssh;
    struct ssh_guard guard;
    struct ssh_output output;
    TRY(begin_change(hosts, node, call, &ssh, &guard));
    const struct ssh_command guarded = { .argv = command->argv,
                                         .input = command->input,
                                         .within_ms = command->within_ms,
                                         .guard = &guard,
                                         .run = call->run,
                                         .step = call->step };
    TRY(ssh_exec(ssh, call->arena, &guarded, &output));
    TRY(check_end(node, command->argv, &output));
    if (ret != NULL)
        *ret = output;
    return OK;
}

result host_put(struct cell_hosts *hosts, const struct node *node, const struct runbook_call *call,
                const char *path, struct str bytes, uint32_t mode)
{
    struct ssh *ssh;
    struct ssh_guard guard;
    TRY(begin_change(hosts, node, call, &ssh, &guard));
    const struct ssh_file file = { .path = path,
                                   .bytes = bytes,
                                   .mode = mode,
                                   .within_ms = PUT_WITHIN_MS,
                                   .guard = &guard,
                                   .run = call->run,
                                   .step = call->step };
    return ssh_put(ssh, call->arena, &file);
}

/* ---- argv ---- */

static const char LOCALE[] = "LC_ALL=C"; /* the output of programs is parsed here */

static const char *const *make_argv(struct arena *arena, const struct config_words *instead,
                                    const char *program, va_list words)
{
    const char **argv = arena_array(arena, const char *, WORDS_MAX);
    size_t count = 0;
    argv[count++] = "env";
    argv[count++] = LOCALE;
    must(instead->count < WORDS_MAX / 2);
    for (size_t i = 0; i < instead->count; i++)
        argv[count++] = instead->items[i].text.ptr;
    if (instead->count == 0)
        argv[count++] = program;
    for (const char *word; (word = va_arg(words, const char *)) != NULL; count++) {
        must(count + 1 < WORDS_MAX);
        argv[count] = word;
    }
    return argv;
}

const char *const *host_program(struct arena *arena, const struct node *node,
                                const struct config_words *instead, const char *program, ...)
{
    va_list words;
    va_start(words, program);
    const char *const *argv =
        make_argv(arena, instead, arena_printf(arena, "%s/%s", node->paths.bin, program), words);
    va_end(words);
    return argv;
}

const char *const *host_tool(struct arena *arena, const struct config_words *instead, const char *program,
                             ...)
{
    va_list words;
    va_start(words, program);
    const char *const *argv = make_argv(arena, instead, program, words);
    va_end(words);
    return argv;
}

static size_t count_of(const char *const *argv)
{
    size_t count = 0;
    while (argv[count] != NULL)
        count++;
    return count;
}

const char *const *host_argv_more(struct arena *arena, const char *const *argv, const char *const *words)
{
    size_t before = count_of(argv), more = count_of(words);
    const char **all = arena_array(arena, const char *, before + more + 1);
    memcpy(all, argv, before * sizeof *all);
    memcpy(all + before, words, (more + 1) * sizeof *all);
    return all;
}

const char *host_program_of(const char *const *argv)
{
    bool by_make_argv = strcmp(argv[0], "env") == 0 && argv[1] != NULL && strcmp(argv[1], LOCALE) == 0;
    return by_make_argv ? argv[2] : argv[0];
}

const char *const *host_words(struct arena *arena, const struct config_words *words)
{
    if (words->count == 0)
        return NULL;
    const char **argv = arena_array(arena, const char *, words->count + 1);
    for (size_t i = 0; i < words->count; i++)
        argv[i] = words->items[i].text.ptr;
    return argv;
}
