#include "base/clock.h"
#include "ssh/guard_text.h"
#include "ssh/internal.h"
#include "ssh/quote.h"

#include <inttypes.h>

/* The host ends a command itself, and needs up to three seconds more if the command ignores SIGTERM. Here we wait for that
 * time plus the round trip before the session is closed. */
enum { HOST_SLACK_MS = 6000, WORDS_MAX = 512, STATE_WORD = 5 };

static const char is_older[] =
    "Do nothing more for that run: another run has the lease, or a later step has begun.";

/* sh -c GUARD domicile-guard MODE STATE FENCE STEP ATTEMPT WITHIN_S */
static size_t begin_words(struct arena *arena, const struct ssh_guard *guard, const char *mode,
                          uint64_t within_ms, const char **words)
{
    size_t count = 0;
    must(guard->token.fence <= INT64_MAX && guard->state != NULL);
    words[count++] = "sh";
    words[count++] = "-c";
    words[count++] = guard_text;
    words[count++] = "domicile-guard";
    words[count++] = mode;
    words[count++] = guard->state;
    words[count++] = arena_printf(arena, "%" PRIu64, guard->token.fence);
    words[count++] = arena_printf(arena, "%" PRIu32, guard->token.step);
    words[count++] = arena_printf(arena, "%" PRIu32, guard->token.attempt);
    words[count++] = arena_printf(arena, "%" PRIu64, (within_ms + 999) / 1000);
    return count;
}

static result check_state(const struct ssh_guard *guard)
{
    if (guard->state[0] != '/')
        return FAIL(E_ARGUMENT, "Give the absolute path.",
                    "the guard's directory \"%s\" is not an absolute path", guard->state);
    return OK;
}

result guard_line(struct arena *arena, const struct ssh_command *command, struct ssh_line *line)
{
    const char *words[WORDS_MAX];
    size_t count = 0, given = 0;
    TRY(check_state(command->guard));
    count = begin_words(arena, command->guard, "run", command->within_ms, words);
    words[count++] = arena_printf(arena, "%zu", command->input.len);
    while (command->argv[given] != NULL && count + 1 < WORDS_MAX)
        words[count++] = command->argv[given++];
    if (command->argv[given] != NULL)
        return FAIL(E_LIMIT, "Send long text on standard input.",
                    "the remote command \"%s\" has more than %d words", command->argv[0], WORDS_MAX);
    words[count] = NULL;
    struct str text = { 0 };
    TRY(quote_argv(arena, command->argv, SSH_COMMAND_BYTES_MAX,
                   &text)); /* the command's words and its program */
    text = STR("exec");
    TRY(quote_argv(arena, words, SSH_COMMAND_BYTES_MAX, &text));
    line->text = text.ptr;
    line->hold_input = true;
    line->within_ms = command->within_ms + HOST_SLACK_MS;
    return OK;
}

/* Its last line; the programs that it uses may have printed others before. */
static struct str own_words(const struct ssh_output *output)
{
    static const struct str mark = { "domicile-guard: ", 16 };
    struct str rest = output->err, line, last = { 0 };
    while (str_cut(&rest, '\n', &line))
        if (line.len > 0)
            last = line;
    if (!str_starts(last, mark))
        return (struct str){ 0 };
    return (struct str){ last.ptr + mark.len, last.len - mark.len };
}

/* An exit status is the guard's only together with its message: a command can exit with any status. */
static result check_guard(struct ssh *ssh, const struct ssh_output *output)
{
    struct str words = own_words(output);
    if (words.len == 0)
        return OK;
    if (output->exit_status == GUARD_OVER)
        return FAIL(E_STALE, is_older, "the guard on \"%s\" refused the command: %.*s", ssh->host,
                    STR_ARG(words));
    if (output->exit_status == GUARD_BROKEN)
        return FAIL(E_IO, "Repair that on the host; domicile node check tests the guard.",
                    "the guard on \"%s\" cannot work: %.*s", ssh->host, STR_ARG(words));
    if (output->exit_status == GUARD_STILL_RUNS)
        return FAIL(E_DEADLINE, "Find out on that host why the process does not end.", "on \"%s\" %.*s",
                    ssh->host, STR_ARG(words));
    return OK;
}

result guard_verdict(struct ssh *ssh, const struct ssh_command *command, const struct ssh_output *output)
{
    TRY(check_guard(ssh, output));
    bool ended = output->exit_status == GUARD_TIMED_OUT ||
                 (output->signal != NULL && strcmp(output->signal, "KILL") == 0);
    if (ended && output->duration_ms >= command->within_ms)
        return FAIL(E_DEADLINE, "Find out on that host why it takes so long.",
                    "\"%s\" on \"%s\" took longer than %" PRIu64 " ms and was stopped", command->argv[0],
                    ssh->host, command->within_ms);
    return OK;
}

static result check_over(struct ssh *ssh, const struct ssh_output *output)
{
    TRY(check_guard(ssh, output));
    if (output->exit_status != 0)
        return FAIL(E_IO, "Run domicile node check: it tests the guard of a host.",
                    "the guard on \"%s\" failed with exit status %d: %.80s", ssh->host, output->exit_status,
                    output->err.ptr);
    return OK;
}

static result over(struct ssh *ssh, struct arena *arena, const struct ssh_guard *guard, const char *run,
                   const char *step, uint64_t within_ms)
{
    const char *words[16];
    struct str text = STR("exec");
    struct ssh_output output = { .exit_status = -1 };
    words[begin_words(arena, guard, "over", within_ms, words)] = NULL;
    TRY(quote_argv(arena, words, SSH_COMMAND_BYTES_MAX, &text));
    const struct ssh_line line = { .text = text.ptr, .within_ms = within_ms + HOST_SLACK_MS };
    result r = exec_line(ssh, arena, &line, &output);
    if (!failed(r))
        r = check_over(ssh, &output);
    const struct ssh_command recorded = {
        .argv = (const char *const[]){ "over", words[STATE_WORD], words[STATE_WORD + 1],
                                       words[STATE_WORD + 2], words[STATE_WORD + 3], NULL },
        .run = run,
        .step = step
    };
    exec_record(ssh, &recorded, &output, &r);
    return r;
}

result ssh_guard_over(struct ssh *ssh, const struct ssh_guard *guard, const char *run, const char *step,
                      uint64_t within_ms)
{
    struct arena arena;
    must(within_ms != 0);
    TRY(check_state(guard));
    TRY(session_begin(ssh));
    arena_init(&arena);
    result r = over(ssh, &arena, guard, run, step, within_ms);
    arena_done(&arena);
    session_end(ssh);
    return r;
}
