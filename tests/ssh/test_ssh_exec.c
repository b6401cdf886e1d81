/* Commands: what arrives there, what comes back, and how they end when they must. */
#include "host.h"

#include <openssl/evp.h>

/* ---- words ---- */

ON_LOOP(every_byte_of_every_word_arrives)
{
    struct ssh *ssh = host_connect();
    char all[256];
    for (int i = 1; i < 256; i++)
        all[i - 1] = (char)i;
    all[255] = '\0';
    const char *const words[] = { all,       "",       "a b", "$HOME `id` $(id) ${x}",
                                  "'",       "''\\''", "\"",  "\n\n",
                                  "-n",      "*",      "~",   "!",
                                  "a;b&c|d", "#",      "\\",  "\\\\n",
                                  "é\xff",   "{a,b}",  "=",   "%s" };
    const char *argv[64] = { "printf", "%s\\0" };
    size_t count = COUNT(words), at = 0;
    for (size_t i = 0; i < count; i++)
        argv[i + 2] = words[i];
    const struct ssh_guard guard = { scratch("state-words"), { 1, 1, 1 } };
    const struct ssh_guard *const guards[] = { NULL, &guard };
    for (size_t g = 0; g < 2; g++) {
        const struct ssh_command command = { .argv = argv, .within_ms = SEC(10), .guard = guards[g] };
        struct ssh_output output = run_command(ssh, &command);
        at = 0;
        for (size_t i = 0; i < count; i++) {
            assert_true(at < output.out.len);
            assert_string_equal(output.out.ptr + at, words[i]);
            at += strlen(words[i]) + 1;
        }
        assert_int_equal(at, output.out.len);
        assert_int_equal(output.err.len, 0);
        assert_int_equal(output.exit_status, 0);
    }
    ssh_close(ssh);
}

ON_LOOP(what_cannot_be_said_is_refused_and_the_session_goes_on)
{
    struct ssh *ssh = host_connect();
    struct ssh_output output;
    struct ssh_command none = { .argv = WORDS(NULL), .within_ms = SEC(1) };
    check_fails(E_ARGUMENT, ssh_exec(ssh, &test_arena, &none, &output));
    none.argv = WORDS("");
    check_fails(E_ARGUMENT, ssh_exec(ssh, &test_arena, &none, &output));
    none.argv = WORDS("-x");
    check_fails(E_ARGUMENT, ssh_exec(ssh, &test_arena, &none, &output));
    char *large = arena_alloc(&test_arena, SSH_COMMAND_BYTES_MAX);
    memset(large, 'x', SSH_COMMAND_BYTES_MAX - 1);
    large[SSH_COMMAND_BYTES_MAX - 1] = '\0';
    none.argv = WORDS("echo", large);
    check_fails(E_LIMIT, ssh_exec(ssh, &test_arena, &none, &output));
    large[SSH_COMMAND_BYTES_MAX - 20] = '\0';
    none.argv = WORDS("echo", large);
    assert_int_equal(run_command(ssh, &none).out_bytes, SSH_COMMAND_BYTES_MAX - 20 + 1);
    none = (struct ssh_command){ .argv = WORDS("cat"),
                                 .input = { large, SSH_INPUT_BYTES_MAX + 1 },
                                 .within_ms = SEC(1) };
    check_fails(E_LIMIT, ssh_exec(ssh, &test_arena, &none, &output));
    assert_int_equal(run_shell(ssh, "exit 0").exit_status, 0);
    ssh_close(ssh);
}

ON_LOOP(a_program_that_is_not_there_ends_with_127)
{
    struct ssh *ssh = host_connect();
    const struct ssh_guard guard = { scratch("state-127"), { 1, 1, 1 } };
    struct ssh_command command = { .argv = WORDS("no-such-program"), .within_ms = SEC(10) };
    assert_int_equal(run_command(ssh, &command).exit_status, 127);
    command.guard = &guard;
    assert_int_equal(run_command(ssh, &command).exit_status, 127);
    ssh_close(ssh);
}

/* ---- what comes back ---- */

ON_LOOP(the_two_outputs_are_kept_apart)
{
    struct ssh *ssh = host_connect();
    struct ssh_output output = run_shell(ssh, "echo out; echo err >&2; printf '\\0'; exit 3");
    assert_int_equal(output.out.len, 5);
    assert_memory_equal(output.out.ptr, "out\n", 5);
    assert_string_equal(output.err.ptr, "err\n");
    assert_false(output.out_cut || output.err_cut);
    assert_int_equal(output.exit_status, 3);
    assert_null(output.signal);
    output = run_shell(ssh, "exit 255");
    assert_int_equal(output.exit_status, 255);
    assert_int_equal(output.out.len, 0);
    ssh_close(ssh);
}

static void sha256(const void *bytes, size_t len, unsigned char digest[32])
{
    assert_int_equal(EVP_Digest(bytes, len, digest, NULL, EVP_sha256(), NULL), 1);
}

static void check_digest(const char *digest, const void *out, size_t out_len, const void *err, size_t err_len)
{
    unsigned char both[64], whole[32];
    char text[SSH_DIGEST_SIZE];
    sha256(out, out_len, both);
    sha256(err, err_len, both + 32);
    sha256(both, sizeof both, whole);
    for (size_t i = 0; i < sizeof whole; i++)
        snprintf(text + 2 * i, 3, "%02x", whole[i]);
    assert_string_equal(digest, text);
}

ON_LOOP(beyond_the_cap_it_is_counted_and_digested_and_dropped)
{
    enum { MILLION = 1000000 };
    struct ssh *ssh = host_connect();
    struct ssh_command command =
        shell("head -c 20000000 /dev/zero; head -c 1000000 /dev/zero | tr '\\0' e >&2");
    command.out_max = 1000;
    command.err_max = 2 * MILLION;
    uint64_t turns = loop_stats().turns;
    struct ssh_output output = run_command(ssh, &command);
    assert_true(loop_stats().turns - turns >= 21 * MILLION / (256 * 1024)); /* no turn is kept for longer */
    assert_true(output.out_cut);
    assert_false(output.err_cut);
    assert_int_equal(output.out.len, 1000);
    assert_true(output.out_bytes == 20 * MILLION);
    assert_int_equal(output.err.len, MILLION);
    assert_int_equal(output.err.ptr[MILLION - 1], 'e');
    char *zeros = calloc(20, MILLION);
    check_digest(output.digest, zeros, 20 * (size_t)MILLION, output.err.ptr, MILLION);
    free(zeros);
    ssh_close(ssh);
}

ON_LOOP(input_goes_there_whole_and_ends)
{
    struct ssh *ssh = host_connect();
    const struct ssh_guard guard = { scratch("state-input"), { 1, 1, 1 } };
    const struct ssh_guard *const guards[] = { NULL, &guard };
    size_t size = 3000001;
    char *bytes = arena_alloc(&test_arena, size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 7 + i / 251);
    for (size_t g = 0; g < 2; g++) {
        struct ssh_command command = { .argv = WORDS("cat"),
                                       .input = { bytes, size },
                                       .out_max = size,
                                       .within_ms = SEC(20),
                                       .guard = guards[g] };
        struct ssh_output output = run_command(ssh, &command);
        assert_true(str_eq(output.out, command.input));
        command.input = STR("");
        assert_int_equal(run_command(ssh, &command).out_bytes, 0);
        command.argv = WORDS("true"); /* does not read it */
        command.input = (struct str){ bytes, size };
        assert_int_equal(run_command(ssh, &command).exit_status, 0);
        command.argv = WORDS("head", "-c", "3");
        assert_int_equal(run_command(ssh, &command).out_bytes, 3);
    }
    ssh_close(ssh);
}

ON_LOOP(a_signal_is_told_and_is_no_success)
{
    struct ssh *ssh = host_connect();
    const struct ssh_guard guard = { scratch("state-signal"), { 1, 1, 1 } };
    const struct ssh_guard *const guards[] = { NULL, &guard };
    for (size_t g = 0; g < 2; g++) {
        struct ssh_command command = shell("kill -KILL $$");
        command.guard = guards[g];
        struct ssh_output output = run_command(ssh, &command);
        assert_non_null(output.signal);
        assert_string_equal(output.signal, "KILL");
        assert_int_equal(output.exit_status, -1);
        command = shell("kill -TERM $$");
        command.guard = guards[g];
        assert_string_equal(run_command(ssh, &command).signal, "TERM");
    }
    ssh_close(ssh);
}

/* ---- the record ---- */

struct seen {
    size_t count;
    struct ssh_trace last;
    char argv[256];
    enum error_code code;
};

static void see(void *context, const struct ssh_trace *trace)
{
    struct seen *seen = context;
    seen->count++;
    seen->last = *trace;
    seen->code = trace->error != NULL ? trace->error->code : E_OK;
    seen->argv[0] = '\0';
    for (size_t i = 0; trace->argv[i] != NULL; i++)
        snprintf(seen->argv + strlen(seen->argv), sizeof seen->argv - strlen(seen->argv), "[%s]",
                 trace->argv[i]);
}

ON_LOOP(every_command_is_recorded)
{
    struct seen seen = { 0 };
    struct ssh_options options = host_options("good");
    options.record = see;
    options.record_context = &seen;
    struct ssh *ssh = host_open(&options);
    struct ssh_guard guard = { scratch("state-record"), { 7, 1, 1 } };
    struct ssh_command command = { .argv = WORDS("sh", "-c", "echo x; exit 4"),
                                   .within_ms = SEC(10),
                                   .run = "failover-7",
                                   .step = "fence" };
    run_command(ssh, &command);
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.argv, "[sh][-c][echo x; exit 4]");
    assert_string_equal(seen.last.run, "failover-7");
    assert_string_equal(seen.last.step, "fence");
    assert_string_equal(seen.last.host, "par1");
    assert_int_equal(seen.last.exit_status, 4);
    assert_null(seen.last.error);
    check_digest(seen.last.digest, "x\n", 2, "", 0);

    command.guard = &guard;
    run_command(ssh, &command);
    assert_int_equal(seen.count, 2);
    assert_string_equal(seen.argv, "[sh][-c][echo x; exit 4]");

    struct ssh_output output;
    guard.token.fence = 6;
    check_fails(E_STALE, ssh_exec(ssh, &test_arena, &command, &output));
    assert_int_equal(seen.count, 3);
    assert_int_equal(seen.code, E_STALE);

    guard.token.fence = 8;
    check_ok(ssh_guard_over(ssh, &guard, NULL, NULL, SEC(2)));
    assert_int_equal(seen.count, 4);
    assert_string_equal(seen.argv, arena_printf(&test_arena, "[over][%s][8][1][1]", guard.state));

    const struct ssh_command slow = { .argv = WORDS("sleep", "2"), .within_ms = 200 };
    check_fails(E_DEADLINE, ssh_exec(ssh, &test_arena, &slow, &output));
    assert_int_equal(seen.count, 5);
    assert_int_equal(seen.code, E_DEADLINE);
    assert_int_equal(seen.last.exit_status, -1);
    ssh_close(ssh);
}

/* ---- ends before their time ---- */

static const char *sleeper(const char *name)
{
    return arena_printf(&test_arena, "echo $$ >%s.new; mv %s.new %s; sleep 60", scratch(name), scratch(name),
                        scratch(name));
}

ON_LOOP(a_guarded_command_that_is_late_is_ended_there_and_the_session_serves_on)
{
    struct ssh *ssh = host_connect();
    const struct ssh_guard guard = { scratch("state-late"), { 1, 1, 1 } };
    struct ssh_command command = shell(sleeper("late"));
    struct ssh_output output;
    command.within_ms = 1000;
    command.guard = &guard;
    uint64_t begin = now_ms();
    check_fails(E_DEADLINE, ssh_exec(ssh, &test_arena, &command, &output));
    assert_in_range(now_ms() - begin, 900, 4000);
    assert_true(pid_in(scratch("late")) > 0);
    assert_false(is_running(pid_in(scratch("late"))));
    assert_true(ssh_serves(ssh));
    assert_int_equal(run_shell(ssh, "exit 0").exit_status, 0);
    ssh_close(ssh);
}

ON_LOOP(an_outer_deadline_ends_the_session_and_the_guard_the_command)
{
    struct ssh *ssh = host_connect();
    const struct ssh_guard guard = { scratch("state-outer"), { 1, 1, 1 } };
    struct ssh_command command = shell(sleeper("outer"));
    struct ssh_output output;
    struct deadline deadline;
    command.guard = &guard;
    deadline_begin(&deadline, 600);
    check_fails(E_DEADLINE, ssh_exec(ssh, &test_arena, &command, &output));
    deadline_end(&deadline);
    assert_true(is_there(scratch("outer")));
    assert_false(ssh_serves(ssh));
    UNTIL(!is_running(pid_in(scratch("outer"))));
    uint64_t begin = now_ms();
    check_fails(E_UNAVAILABLE, ssh_exec(ssh, &test_arena, &command, &output));
    assert_in_range(now_ms() - begin, 0, 100);
    ssh_close(ssh);
}

struct guarded {
    struct ssh *ssh;
    const struct ssh_command *command;
    result outcome;
};

static void run_guarded(void *arg)
{
    struct guarded *guarded = arg;
    struct ssh_output output;
    guarded->outcome = ssh_exec(guarded->ssh, &test_arena, guarded->command, &output);
}

ON_LOOP(a_cancel_ends_the_session_and_the_guard_the_command)
{
    const struct ssh_guard guard = { scratch("state-cancel"), { 1, 1, 1 } };
    struct ssh_command command = shell(sleeper("cancel"));
    command.guard = &guard;
    struct guarded guarded = { host_connect(), &command, OK };
    struct scope scope = SCOPE_INIT;
    check_ok(fiber_spawn(&scope, "guarded", run_guarded, &guarded));
    UNTIL(is_there(scratch("cancel")));
    assert_true(is_running(pid_in(scratch("cancel"))));
    scope_end(&scope);
    check_fails(E_CANCELLED, guarded.outcome);
    assert_false(ssh_serves(guarded.ssh));
    UNTIL(!is_running(pid_in(scratch("cancel"))));
    ssh_close(guarded.ssh);
}

ON_LOOP(the_end_of_a_session_ends_all_that_it_runs)
{
    const struct ssh_guard guard = { scratch("state-close"), { 1, 1, 1 } };
    const char *child = scratch("close-child");
    struct ssh_command command =
        shell(arena_printf(&test_arena, "sh -c 'trap \"\" TERM; echo $$ >%s; sleep 60; sleep 60' & %s", child,
                           sleeper("close")));
    command.guard = &guard;
    struct guarded guarded = { host_connect(), &command, OK };
    struct scope scope = SCOPE_INIT;
    check_ok(fiber_spawn(&scope, "guarded", run_guarded, &guarded));
    UNTIL(is_there(scratch("close")) && pid_in(child) > 0);
    scope_end(&scope);
    ssh_close(guarded.ssh);
    UNTIL(!is_running(pid_in(scratch("close"))));
    UNTIL(!is_running(pid_in(child))); /* it does not want to go, and is not asked again */
    ssh_close(NULL);
}

ON_LOOP(calls_on_one_session_wait_for_each_other)
{
    struct ssh *ssh = host_connect();
    struct ssh_command command = shell(
        arena_printf(&test_arena, "mkdir %s && sleep 0.05 && rmdir %s", scratch("alone"), scratch("alone")));
    struct guarded calls[5];
    struct scope scope = SCOPE_INIT;
    for (size_t i = 0; i < 5; i++) {
        calls[i] = (struct guarded){ ssh, &command, OK };
        check_ok(fiber_spawn(&scope, "call", run_guarded, &calls[i]));
    }
    check_ok(scope_join(&scope));
    for (size_t i = 0; i < 5; i++)
        check_ok(calls[i].outcome);
    ssh_close(ssh);
}

/* ---- lost connections ---- */

/* The process of sshd that serves this session is the parent of what it runs. */
static pid_t server_of(struct ssh *ssh)
{
    pid_t pid = (pid_t)atoi(run_shell(ssh, "echo $PPID").out.ptr);
    assert_true(pid > 1 && is_running(pid));
    return pid;
}

ON_LOOP(a_server_that_is_killed_is_noticed_at_once)
{
    const struct ssh_guard guard = { scratch("state-killed"), { 1, 1, 1 } };
    struct ssh_command command = shell(sleeper("killed"));
    command.guard = &guard;
    struct guarded guarded = { host_connect(), &command, OK };
    struct scope scope = SCOPE_INIT;
    pid_t server = server_of(guarded.ssh);
    check_ok(fiber_spawn(&scope, "guarded", run_guarded, &guarded));
    UNTIL(is_there(scratch("killed")));
    uint64_t begin = now_ms();
    assert_int_equal(kill(server, SIGKILL), 0);
    check_ok(scope_join(&scope));
    check_fails(E_UNAVAILABLE, guarded.outcome);
    assert_in_range(now_ms() - begin, 0, 2000);
    UNTIL(!is_running(pid_in(scratch("killed"))));
    struct ssh_output output;
    check_fails(E_UNAVAILABLE, ssh_exec(guarded.ssh, &test_arena, &command, &output));
    ssh_close(guarded.ssh);
}

ON_LOOP(a_server_that_stands_still_is_lost_after_three_intervals)
{
    struct ssh_options options = host_options("good");
    options.keepalive_ms = 1000;
    struct ssh *ssh = host_open(&options);
    pid_t server = server_of(ssh);
    const struct ssh_guard guard = { scratch("state-stopped"), { 1, 1, 1 } };
    const struct ssh_command command = { .argv = WORDS("sleep", "60"),
                                         .within_ms = SEC(60),
                                         .guard = &guard };
    struct ssh_output output;
    assert_int_equal(kill(server, SIGSTOP), 0);
    uint64_t begin = now_ms();
    check_fails(E_UNAVAILABLE, ssh_exec(ssh, &test_arena, &command, &output));
    assert_in_range(now_ms() - begin, 2900, 5500);
    ssh_close(ssh);
    kill(server, SIGKILL);
}

ON_LOOP(a_command_that_is_silent_for_long_is_not_a_lost_host)
{
    struct ssh_options options = host_options("good");
    options.keepalive_ms = 1000;
    struct ssh *ssh = host_open(&options);
    const struct ssh_command command = { .argv = WORDS("sleep", "4.5"), .within_ms = SEC(10) };
    assert_int_equal(run_command(ssh, &command).exit_status, 0);
    ssh_close(ssh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_of_every_word_arrives),
        cmocka_unit_test(what_cannot_be_said_is_refused_and_the_session_goes_on),
        cmocka_unit_test(a_program_that_is_not_there_ends_with_127),
        cmocka_unit_test(the_two_outputs_are_kept_apart),
        cmocka_unit_test(beyond_the_cap_it_is_counted_and_digested_and_dropped),
        cmocka_unit_test(input_goes_there_whole_and_ends),
        cmocka_unit_test(a_signal_is_told_and_is_no_success),
        cmocka_unit_test(every_command_is_recorded),
        cmocka_unit_test(a_guarded_command_that_is_late_is_ended_there_and_the_session_serves_on),
        cmocka_unit_test(an_outer_deadline_ends_the_session_and_the_guard_the_command),
        cmocka_unit_test(a_cancel_ends_the_session_and_the_guard_the_command),
        cmocka_unit_test(the_end_of_a_session_ends_all_that_it_runs),
        cmocka_unit_test(calls_on_one_session_wait_for_each_other),
        cmocka_unit_test(a_server_that_is_killed_is_noticed_at_once),
        cmocka_unit_test(a_server_that_stands_still_is_lost_after_three_intervals),
        cmocka_unit_test(a_command_that_is_silent_for_long_is_not_a_lost_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
