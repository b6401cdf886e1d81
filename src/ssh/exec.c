/* One command: its channel, its input, its two outputs, its end. */
#include "base/clock.h"
#include "base/encode.h"
#include "ssh/internal.h"
#include "ssh/quote.h"

#include <openssl/evp.h>

enum { STREAMS = 2, DIGEST_BYTES = 32, SIGNAL_NAME_MAX = 32 };

/* ---- digests ---- */

static EVP_MD_CTX *digest_new(void)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    must(digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1);
    return digest;
}

static void digest_add(EVP_MD_CTX *digest, const void *bytes, size_t len)
{
    must(EVP_DigestUpdate(digest, bytes, len) == 1);
}

static void digest_end(EVP_MD_CTX *digest, unsigned char bytes[DIGEST_BYTES])
{
    must(EVP_DigestFinal_ex(digest, bytes, NULL) == 1);
    EVP_MD_CTX_free(digest);
}

/* ---- what comes out ---- */

struct stream {
    struct buf kept;
    bool cut;
    uint64_t bytes;
    EVP_MD_CTX *digest;
};

static void stream_init(struct stream *stream, size_t max)
{
    *stream = (struct stream){ .digest = digest_new() };
    buf_init(&stream->kept, max != 0 ? max : SSH_OUTPUT_BYTES);
}

static void stream_done(struct stream *stream)
{
    buf_done(&stream->kept);
    EVP_MD_CTX_free(stream->digest);
}

/* Beyond the limit it still reads: a command must not block because its output is not kept. */
static result stream_take(struct stream *stream, struct str bytes)
{
    size_t room = stream->kept.max - stream->kept.len;
    struct str kept = { bytes.ptr, bytes.len < room ? bytes.len : room };
    digest_add(stream->digest, bytes.ptr, bytes.len);
    stream->bytes += bytes.len;
    stream->cut |= kept.len < bytes.len;
    return buf_append(&stream->kept, kept)
               ? OK
               : FAIL(E_MEMORY, NULL, "not enough memory for the output of a command");
}

/* ---- the conversation ---- */

struct running {
    struct ssh *ssh;
    const struct ssh_line *line;
    size_t sent;
    bool input_ended;
    struct stream streams[STREAMS];
};

static result open_channel(struct running *running)
{
    struct ssh *ssh = running->ssh;
    int rc;
    while ((ssh->channel = libssh2_channel_open_session(ssh->session)) == NULL) {
        if (libssh2_session_last_errno(ssh->session) != LIBSSH2_ERROR_EAGAIN)
            return session_failure(ssh, "opening a channel");
        TRY(session_wait(ssh));
    }
    const char *text = running->line->text;
    AGAIN(ssh, rc, libssh2_channel_process_startup(ssh->channel, "exec", 4, text, (unsigned)strlen(text)));
    return rc == 0 ? OK : session_failure(ssh, "starting a command");
}

static result end_input(struct running *running)
{
    struct ssh *ssh = running->ssh;
    int rc;
    running->input_ended = true;
    if (running->line->hold_input)
        return OK;
    AGAIN(ssh, rc, libssh2_channel_send_eof(ssh->channel));
    return rc == 0 ? OK : session_failure(ssh, "ending the input");
}

/* If the host accepts no more input, it is not waited for here: the host may wait until its output is read. But the rest of a
 * packet must follow its first part. */
static result send_some(struct running *running, bool *moved)
{
    struct ssh *ssh = running->ssh;
    struct str input = running->line->input;
    if (running->input_ended)
        return OK;
    if (running->sent == input.len || libssh2_channel_eof(ssh->channel) == 1)
        return end_input(running);
    ssize_t sent;
    while ((sent = libssh2_channel_write(ssh->channel, input.ptr + running->sent,
                                         input.len - running->sent)) == LIBSSH2_ERROR_EAGAIN &&
           (libssh2_session_block_directions(ssh->session) & LIBSSH2_SESSION_BLOCK_OUTBOUND) != 0)
        TRY(session_wait(ssh));
    if (sent < 0 && sent != LIBSSH2_ERROR_EAGAIN)
        return session_failure(ssh, "sending the input");
    running->sent += sent > 0 ? (size_t)sent : 0;
    *moved |= sent > 0;
    return OK;
}

static result take_some(struct running *running, int which, bool *moved)
{
    struct ssh *ssh = running->ssh;
    ssize_t got;
    while ((got = libssh2_channel_read_ex(ssh->channel, which, ssh->chunk, sizeof ssh->chunk)) ==
               LIBSSH2_ERROR_EAGAIN &&
           (libssh2_session_block_directions(ssh->session) & LIBSSH2_SESSION_BLOCK_OUTBOUND) != 0)
        TRY(session_wait(ssh)); /* the host sends messages in between: how much more it accepts */
    if (got < 0 && got != LIBSSH2_ERROR_EAGAIN)
        return session_failure(ssh, "reading the output");
    if (got <= 0)
        return OK;
    *moved = true;
    return stream_take(&running->streams[which], (struct str){ ssh->chunk, (size_t)got });
}

static result converse(struct running *running)
{
    struct ssh *ssh = running->ssh;
    for (;;) {
        bool moved = false;
        TRY(send_some(running, &moved));
        for (int which = 0; which < STREAMS; which++)
            TRY(take_some(running, which, &moved));
        if (!moved && libssh2_channel_eof(ssh->channel) == 1)
            return OK;
        if (!moved)
            TRY(session_wait(ssh));
    }
}

/* The exit status comes after the last output; after that comes the host's message that the channel is closed. */
static result take_leave(struct running *running, struct arena *arena, struct ssh_output *output)
{
    struct ssh *ssh = running->ssh;
    char *name = NULL;
    size_t len = 0;
    int rc;
    AGAIN(ssh, rc, libssh2_channel_wait_closed(ssh->channel));
    if (rc != 0)
        return session_failure(ssh, "waiting for the end of a command");
    output->exit_status = libssh2_channel_get_exit_status(ssh->channel);
    if (libssh2_channel_get_exit_signal(ssh->channel, &name, &len, NULL, NULL, NULL, NULL) == 0 &&
        name != NULL) {
        output->signal =
            arena_cstr(arena, (struct str){ name, len < SIGNAL_NAME_MAX ? len : SIGNAL_NAME_MAX });
        output->exit_status = -1;
        libssh2_free(ssh->session, name);
    }
    AGAIN(ssh, rc, libssh2_channel_free(ssh->channel));
    ssh->channel = NULL;
    return rc == 0 ? OK : session_failure(ssh, "closing a channel");
}

static void tell_output(struct running *running, struct arena *arena, struct ssh_output *output)
{
    EVP_MD_CTX *both = digest_new();
    unsigned char bytes[DIGEST_BYTES];
    for (int i = 0; i < STREAMS; i++) {
        digest_end(running->streams[i].digest, bytes);
        running->streams[i].digest = NULL;
        digest_add(both, bytes, sizeof bytes);
    }
    digest_end(both, bytes);
    memcpy(output->digest, encode_hex(arena, (struct str){ (const char *)bytes, sizeof bytes }),
           SSH_DIGEST_SIZE);
    output->out = arena_str(arena, buf_str(&running->streams[0].kept));
    output->err = arena_str(arena, buf_str(&running->streams[1].kept));
    output->out_cut = running->streams[0].cut;
    output->err_cut = running->streams[1].cut;
    output->out_bytes = running->streams[0].bytes;
    output->err_bytes = running->streams[1].bytes;
}

static result run(struct running *running, struct arena *arena, struct ssh_output *output)
{
    TRY(open_channel(running));
    TRY(converse(running));
    return take_leave(running, arena, output);
}

result exec_line(struct ssh *ssh, struct arena *arena, const struct ssh_line *line, struct ssh_output *ret)
{
    struct running running = { .ssh = ssh, .line = line };
    struct ssh_output output = { 0 };
    struct deadline deadline;
    uint64_t begin_ns = clock_monotonic_ns();
    stream_init(&running.streams[0], line->out_max);
    stream_init(&running.streams[1], line->err_max);
    deadline_begin(&deadline, line->within_ms);
    result r = run(&running, arena, &output);
    deadline_end(&deadline);
    output.duration_ms = (clock_monotonic_ns() - begin_ns) / 1000000;
    if (failed(r))
        session_lose(ssh, r);
    else
        tell_output(&running, arena, &output);
    for (int i = 0; i < STREAMS; i++)
        stream_done(&running.streams[i]);
    TRY(r);
    *ret = output;
    return OK;
}

/* ---- commands ---- */

void exec_record(struct ssh *ssh, const struct ssh_command *command, const struct ssh_output *output,
                 const result *outcome)
{
    if (ssh->record == NULL)
        return;
    struct ssh_trace trace = { .run = command->run,
                               .step = command->step,
                               .host = ssh->host,
                               .argv = command->argv,
                               .error = failed(*outcome) ? &outcome->error : NULL,
                               .exit_status = output->exit_status,
                               .signal = output->signal,
                               .duration_ms = output->duration_ms };
    memcpy(trace.digest, output->digest, sizeof trace.digest);
    ssh->record(ssh->record_context, &trace);
}

result exec_command(struct ssh *ssh, struct arena *arena, const struct ssh_command *command,
                    struct ssh_output *ret)
{
    must(command->within_ms != 0 && command->argv != NULL);
    struct ssh_line line = { .input = command->input,
                             .out_max = command->out_max,
                             .err_max = command->err_max,
                             .within_ms = command->within_ms };
    struct ssh_output output = { .exit_status = -1 };
    struct str text =
        STR("exec"); /* the shell becomes the command: its end and its signal are the channel's */
    if (command->input.len > SSH_INPUT_BYTES_MAX)
        return FAIL(E_LIMIT, "Send the input as a file.", "the input of \"%s\" has %zu bytes, more than %d",
                    command->argv[0], command->input.len, SSH_INPUT_BYTES_MAX);
    if (command->guard != NULL)
        TRY(guard_line(arena, command, &line));
    else
        TRY(quote_argv(arena, command->argv, SSH_COMMAND_BYTES_MAX, &text));
    if (command->guard == NULL)
        line.text = text.ptr;
    result r = exec_line(ssh, arena, &line, &output);
    if (!failed(r) && command->guard != NULL)
        r = guard_verdict(ssh, command, &output);
    exec_record(ssh, command, &output, &r);
    TRY(r);
    *ret = output;
    return OK;
}

result ssh_exec(struct ssh *ssh, struct arena *arena, const struct ssh_command *command,
                struct ssh_output *ret)
{
    TRY(session_begin(ssh));
    result r = exec_command(ssh, arena, command, ret);
    session_end(ssh);
    return r;
}
