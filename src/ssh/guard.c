#include "base/clock.h"
#include "ssh/guard_text.h"
#include "ssh/internal.h"
#include "ssh/quote.h"

#include <inttypes.h>

/* The host ends a command by itself, and takes up to three seconds more if the command does not want to go. Here it is
 * waited for that long, and for the way there and back, before the session is given up. */
enum { HOST_SLACK_MS = 6000, WORDS_MAX = 512, STATE_WORD = 5 };

static const char is_older[] =
    "Do nothing more for that run: another one has the lease, or a later step has begun.";

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
        return FAIL(E_ARGUMENT, "Give its whole path.",
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
        return FAIL(E_LIMIT, "Give what is long on standard input.",
                    "the remote command \"%s\" has more than %d words", command->argv[0], WORDS_MAX);
    words[count] = NULL;
    struct str text = { 0 };
    TRY(quote_argv(arena, command->argv, SSH_COMMAND_BYTES_MAX,
                   &text)); /* the command's own words, and its program */
    text = STR("exec");
    TRY(quote_argv(arena, words, SSH_COMMAND_BYTES_MAX, &text));
    line->text = text.ptr;
    line->hold_input = true;
    line->within_ms = command->within_ms + HOST_SLACK_MS;
    return OK;
}

/* Its last line, behind what the programs that it uses may have said. */
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

/* The guard's statuses are its own only with its own words: a command may end with any. */
static result check_guard(struct ssh *ssh, const struct ssh_output *output)
{
    struct str words = own_words(output);
    if (words.len == 0)
        return OK;
    if (output->exit_status == GUARD_OVER)
        return FAIL(E_STALE, is_older, "the guard of \"%s\" refused: %.*s", ssh->host, STR_ARG(words));
    if (output->exit_status == GUARD_BROKEN)
        return FAIL(E_IO, "Repair what it names on that host; domicile node check tries it out.",
                    "the guard of \"%s\" cannot work: %.*s", ssh->host, STR_ARG(words));
    if (output->exit_status == GUARD_STILL_RUNS)
        return FAIL(E_DEADLINE, "See on that host what does not end.", "on \"%s\" %.*s", ssh->host,
                    STR_ARG(words));
    return OK;
}

result guard_verdict(struct ssh *ssh, const struct ssh_command *command, const struct ssh_output *output)
{
    TRY(check_guard(ssh, output));
    bool ended = output->exit_status == GUARD_TIMED_OUT ||
                 (output->signal != NULL && strcmp(output->signal, "KILL") == 0);
    if (ended && output->duration_ms >= command->within_ms)
        return FAIL(E_DEADLINE, "See on that host why it takes so long.",
                    "\"%s\" on \"%s\" did not end within %" PRIu64 " ms and was ended", command->argv[0],
                    ssh->host, command->within_ms);
    return OK;
}

static result check_over(struct ssh *ssh, const struct ssh_output *output)
{
    TRY(check_guard(ssh, output));
    if (output->exit_status != 0)
        return FAIL(E_IO, "domicile node check tries out the guard of a host.",
                    "the guard of \"%s\" ended with %d: %.80s", ssh->host, output->exit_status,
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
