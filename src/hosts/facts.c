/* Several facts with one remote command: a small script of constant text, with the words as its parameters. For each fact it
 * prints one line: base64 of the output, a newline and the exit status; after its error output it prints a separator. */
#include "base/buf.h"
#include "base/encode.h"
#include "hosts/hosts.h"

#include <stdio.h>

enum { WORDS_MAX = 256, SCRIPT_BYTES_MAX = 16 * 1024, NOT_THERE = 44, ERR_END = 036 };

static const char end_of_fact[] = "; printf '\\n%d' $?; printf '\\036' >&2; } | base64 -w 0; echo; ";

static void say(struct buf *script, const char *format, ...) PRINTF(2, 3);
static void say(struct buf *script, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    bool said = buf_vprintf(script, format, args);
    va_end(args);
    must(said);
}

/* argv: sh -c SCRIPT sh WORD... */
struct asking {
    struct buf script;
    const char *argv[WORDS_MAX + 1];
    size_t words; /* after the script's name */
};
enum { FIRST_WORD = 4 };

static size_t add_word(struct asking *asking, const char *word)
{
    must(FIRST_WORD + asking->words < WORDS_MAX);
    asking->argv[FIRST_WORD + asking->words++] = word;
    return asking->words;
}

static void say_fact(struct asking *asking, const struct host_fact *fact)
{
    if (fact->path != NULL) {
        size_t at = add_word(asking, fact->path);
        say(&asking->script, "{ if test -e \"${%zu}\"; then cat -- \"${%zu}\"; else (exit %d); fi", at, at,
            NOT_THERE);
    } else {
        must(fact->argv != NULL);
        say(&asking->script, "{");
        for (size_t i = 0; fact->argv[i] != NULL; i++)
            say(&asking->script, " \"${%zu}\"", add_word(asking, fact->argv[i]));
        say(&asking->script, "%s", fact->input.len == 0 ? " </dev/null" : "");
    }
    say(&asking->script, "%s", end_of_fact);
}

/* ---- the answer ---- */

static result garbled(const struct node *node)
{
    return FAIL(E_HOST, "Check that sh, cat and base64 on that host are the usual programs.",
                "cannot read the answer of the host \"%s\"", node->name.ptr);
}

static result too_large(const struct node *node, const struct host_fact *fact)
{
    return FAIL(E_LIMIT, "Check that file or program on the host: its output should be small.",
                "\"%s\": the content or output of \"%s\" is too large", node->name.ptr,
                fact->path != NULL ? fact->path : host_program_of(fact->argv));
}

static result read_fact(const struct node *node, struct arena *arena, struct str line, struct host_fact *fact)
{
    uint64_t status = 0;
    size_t len = 0;
    char *bytes = arena_alloc(arena, line.len + 1);
    if (!decode_base64(line, bytes, line.len, &len))
        return garbled(node);
    const char *end = memrchr(bytes, '\n', len);
    if (end == NULL || !str_to_u64((struct str){ end + 1, len - (size_t)(end + 1 - bytes) }, 255, &status))
        return garbled(node);
    fact->out = (struct str){ bytes, (size_t)(end - bytes) };
    bytes[fact->out.len] = '\0';
    fact->exit_status = (int)status;
    return fact->out.len > SSH_OUTPUT_BYTES ? too_large(node, fact) : OK;
}

static result judge_file(const struct node *node, struct host_fact *fact)
{
    if (fact->path == NULL || fact->exit_status == 0)
        return OK;
    if (fact->exit_status != NOT_THERE)
        return FAIL(E_HOST, "Check the host, then run the command again.",
                    "\"%s\": \"%s\" cannot be read: %.*s", node->name.ptr, fact->path,
                    STR_ARG(last_line(fact->err)));
    fact->out = (struct str){ 0 };
    return OK;
}

static result read_facts(const struct node *node, struct arena *arena, const struct ssh_output *output,
                         struct host_fact *facts, size_t count)
{
    struct str out = output->out, err = output->err, line;
    for (size_t i = 0; i < count; i++) {
        facts[i].err = (struct str){ 0 };
        str_cut(&err, ERR_END, &facts[i].err);
        if (!str_cut(&out, '\n', &line))
            return output->out_cut ? too_large(node, &facts[i]) : garbled(node);
        TRY(output->out_cut && out.len == 0 ? too_large(node, &facts[i])
                                            : read_fact(node, arena, line, &facts[i]));
        TRY(judge_file(node, &facts[i]));
    }
    return OK;
}

result host_ask(struct cell_hosts *hosts, const struct node *node, const struct runbook_call *call,
                struct host_fact *facts, size_t count)
{
    struct asking asking = { .argv = { "sh", "-c", NULL, "sh" } };
    struct ssh_output output;
    struct str input = STR("");
    buf_init(&asking.script, SCRIPT_BYTES_MAX);
    for (size_t i = 0; i < count; i++) {
        must(facts[i].input.len == 0 || input.len == 0); /* there is one standard input */
        if (facts[i].input.len > 0)
            input = facts[i].input;
        say_fact(&asking, &facts[i]);
    }
    asking.argv[2] = arena_cstr(call->arena, buf_str(&asking.script));
    buf_done(&asking.script);
    const struct ssh_command command = { .argv = asking.argv,
                                         .input = input,
                                         .out_max = count * 2 * (size_t)SSH_OUTPUT_BYTES };
    TRY(host_exec_look(hosts, node, call, command, &output));
    return read_facts(node, call->arena, &output, facts, count);
}

result host_read(struct cell_hosts *hosts, const struct node *node, const struct runbook_call *call,
                 const char *path, struct str *ret)
{
    struct host_fact file = { .path = path };
    TRY(host_ask(hosts, node, call, &file, 1));
    *ret = file.out;
    return OK;
}
