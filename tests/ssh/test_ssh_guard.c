/* The guard on a real host: stragglers, tokens on disk, the end of older commands. */
#include "host.h"

static struct ssh_guard guard_of(const char *state, uint64_t fence, uint32_t step, uint32_t attempt)
{
    return (struct ssh_guard){ scratch(state), { fence, step, attempt } };
}

static result touch(struct ssh *ssh, const struct ssh_guard *guard, const char *name)
{
    struct ssh_output output;
    const struct ssh_command command = { .argv = WORDS("touch", scratch(name)),
                                         .within_ms = SEC(10),
                                         .guard = guard };
    result r = ssh_exec(ssh, &test_arena, &command, &output);
    if (!failed(r))
        assert_int_equal(output.exit_status, 0);
    return r;
}

ON_LOOP(a_straggler_does_nothing)
{
    static const struct {
        uint64_t fence;
        uint32_t step, attempt;
        bool runs;
    } tries[] = {
        { 5, 2, 2, true },
        { 5, 2, 1, false },
        { 5, 1, 9, false },
        { 4, 9, 9, false },
        { 5, 2, 2, true },
        { 5, 2, 3, true },
        { 5, 3, 1, true },
        { 5, 2, 3, false },
        { 10, 1, 1, true },
        { 9, 9, 9, false },
        { INT64_MAX, UINT32_MAX, UINT32_MAX, true },
        { 10, 1, 1, false },
    };
    struct ssh *ssh = host_connect();
    for (size_t i = 0; i < COUNT(tries); i++) {
        const char *name = arena_printf(&test_arena, "straggler-%zu", i);
        struct ssh_guard guard = guard_of("state-straggler", tries[i].fence, tries[i].step, tries[i].attempt);
        check_fails(tries[i].runs ? E_OK : E_STALE, touch(ssh, &guard, name));
        assert_int_equal(is_there(scratch(name)), tries[i].runs);
    }
    assert_string_equal(host_text(scratch("state-straggler/guard")),
                        "9223372036854775807 4294967295 4294967295");
    ssh_close(ssh);
}

ON_LOOP(a_refusal_says_who_has_been_there)
{
    struct ssh *ssh = host_connect();
    struct ssh_guard late = guard_of("state-words", 7, 3, 1), early = guard_of("state-words", 7, 2, 4);
    struct ssh_output output;
    check_ok(touch(ssh, &late, "words"));
    const struct ssh_command command = { .argv = WORDS("true"), .within_ms = SEC(10), .guard = &early };
    result r = ssh_exec(ssh, &test_arena, &command, &output);
    check_fails(E_STALE, r);
    assert_string_equal(
        r.error.what,
        "the guard on \"par1\" refused the command: the token 7.2.4 is too old: 7.3.1 was used here");
    ssh_close(ssh);
}

ON_LOOP(a_command_that_ends_with_the_guards_statuses_is_not_the_guard)
{
    struct ssh *ssh = host_connect();
    struct ssh_guard guard = guard_of("state-status", 1, 1, 1);
    for (int status = 74; status < 78; status++) {
        struct ssh_command command = shell(arena_printf(&test_arena, "exit %d", status));
        command.guard = &guard;
        assert_int_equal(run_command(ssh, &command).exit_status, status);
    }
    struct ssh_command command = shell("exit 124");
    command.guard = &guard;
    assert_int_equal(run_command(ssh, &command).exit_status, 124);
    ssh_close(ssh);
}

ON_LOOP(a_guard_that_cannot_keep_its_state_lets_nothing_run)
{
    struct ssh *ssh = host_connect();
    struct ssh_guard guard = { "/proc/domicile", { 1, 1, 1 } };
    check_fails(E_IO, touch(ssh, &guard, "unguarded"));
    guard.state = "relative";
    check_fails(E_ARGUMENT, touch(ssh, &guard, "unguarded"));
    guard = guard_of("state-damaged", 3, 1, 1);
    check_ok(touch(ssh, &guard, "damaged-before"));
    run_shell(ssh, arena_printf(&test_arena, ": >%s/guard", guard.state));
    check_fails(E_IO, touch(ssh, &guard, "unguarded"));
    run_shell(ssh, arena_printf(&test_arena, "echo x y z >%s/guard", guard.state));
    check_fails(E_IO, touch(ssh, &guard, "unguarded"));
    assert_false(is_there(scratch("unguarded")));
    ssh_close(ssh);
}

/* Before the guard's first command this process makes a directory there: as root it is another account than the host's. */
static const char *laid_out(const char *name, mode_t mode)
{
    const char *path = scratch(name);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

static void expect_refused(struct ssh *ssh, const char *state, const char *why)
{
    struct ssh_guard guard = { state, { 1, 1, 1 } };
    result r = touch(ssh, &guard, "redirected");
    check_fails(E_IO, r);
    if (strstr(r.error.what, why) == NULL)
        fail_msg("not \"%s\": %s", why, r.error.what);
    assert_false(is_there(scratch("redirected")));
}

ON_LOOP(p5_another_account_can_not_lay_out_the_state)
{
    struct ssh *ssh = host_connect();
    expect_refused(ssh, laid_out("state-open", 0777), "can be written by other accounts");
    expect_refused(ssh, arena_printf(&test_arena, "%s/state", laid_out("state-below-open", 0777)),
                   "can be written by every account");
    run_shell(ssh, arena_printf(&test_arena,
                                "cd %s; mkdir own; ln -s own state-link; mkdir -m 0755 linked;"
                                " ln -s /nowhere/lock linked/guard.lock",
                                scratch("")));
    expect_refused(ssh, scratch("state-link"), "is a symbolic link");
    expect_refused(ssh, scratch("linked"), "guard.lock\" is a symbolic link");
    if (geteuid() == 0) { /* who owns a part of the path can replace what is below it */
        const char *shared = laid_out("state-shared", 01777),
                   *theirs = laid_out("state-shared/theirs", 01777);
        assert_int_equal(chown(theirs, 65534, 65534), 0);
        assert_non_null(shared);
        expect_refused(ssh, arena_printf(&test_arena, "%s/state", theirs), "another account made a part");
    }
    ssh_close(ssh);
}

/* /tmp is such a place: a name there is kept for whoever made it. */
ON_LOOP(a_state_of_ones_own_may_be_in_a_directory_of_everybody)
{
    struct ssh *ssh = host_connect();
    struct ssh_guard guard = { arena_printf(&test_arena, "%s/a/state", laid_out("state-sticky", 01777)),
                               { 1, 1, 1 } };
    check_ok(touch(ssh, &guard, "sticky"));
    assert_true(is_there(scratch("sticky")));
    ssh_close(ssh);
}

ON_LOOP(what_a_guarded_command_sees_is_as_without)
{
    static const char script[] =
        "umask; ls -l /proc/self/fd | sed -n 's/.* \\([0-9]*\\) ->.*/\\1/p' | sort -n | tr '\\n' ' ';"
        " readlink /proc/self/fd/0; ps -o ignored= -p $$";
    struct ssh *ssh = host_connect();
    struct ssh_guard guard = guard_of("state-seen", 1, 1, 1);
    struct ssh_command command = shell(script);
    struct ssh_output plain = run_command(ssh, &command);
    command.guard = &guard;
    struct ssh_output guarded = run_command(ssh, &command);
    assert_non_null(strstr(guarded.out.ptr, "/dev/null"));
    struct str plain_rest = plain.out, guarded_rest = guarded.out, a, b;
    assert_true(str_cut(&plain_rest, '\n', &a) && str_cut(&guarded_rest, '\n', &b) &&
                str_eq(a, b)); /* umask */
    assert_true(str_cut(&plain_rest, ' ', &a) && str_cut(&guarded_rest, ' ', &b));
    assert_true(str_is(b, "0"));
    assert_null(strstr(guarded.out.ptr, " 5 ")); /* none of the guard's descriptors */
    assert_null(strstr(guarded.out.ptr, " 6 "));
    assert_null(strstr(guarded.out.ptr, " 8 "));
    assert_null(strstr(guarded.out.ptr, " 9 "));
    assert_string_equal(
        strrchr(arena_cstr(&test_arena, str_trim((struct str){ plain.out.ptr, plain.out.len - 1 })), '\n'),
        strrchr(arena_cstr(&test_arena, str_trim((struct str){ guarded.out.ptr, guarded.out.len - 1 })),
                '\n')); /* ignored signals */
    ssh_close(ssh);
}

ON_LOOP(a_daemon_that_is_left_behind_holds_up_nothing)
{
    struct ssh *ssh = host_connect();
    struct ssh_guard guard = guard_of("state-daemon", 1, 1, 1), next = guard_of("state-daemon", 2, 1, 1);
    struct ssh_command command =
        shell(arena_printf(&test_arena,
                           "setsid sh -c 'echo $$ >%s; exec sleep 60' </dev/null >/dev/null 2>&1 &"
                           " until [ -s %s ]; do sleep 0.01; done",
                           scratch("daemon"), scratch("daemon")));
    command.guard = &guard;
    assert_int_equal(run_command(ssh, &command).exit_status, 0);
    uint64_t begin = now_ms();
    check_ok(ssh_guard_over(ssh, &next, NULL, NULL, SEC(5)));
    assert_in_range(now_ms() - begin, 0, 2000);
    ssh_close(ssh);
    check_ok(fiber_sleep(200));
    assert_true(is_running(pid_in(scratch("daemon"))));
    kill(pid_in(scratch("daemon")), SIGKILL);
}

/* ---- several sessions ---- */

struct call {
    struct ssh *ssh;
    struct ssh_command command;
    struct ssh_guard guard;
    result outcome;
    struct ssh_output output;
};

static void run_call(void *arg)
{
    struct call *call = arg;
    call->command.guard = &call->guard;
    call->outcome = ssh_exec(call->ssh, &test_arena, &call->command, &call->output);
}

static void start(struct scope *scope, struct call *call, const char *script, const char *state,
                  uint64_t fence, uint32_t attempt)
{
    *call = (struct call){ .ssh = host_connect(),
                           .command = shell(script),
                           .guard = guard_of(state, fence, 1, attempt) };
    check_ok(fiber_spawn(scope, "call", run_call, call));
}

ON_LOOP(commands_of_one_step_run_beside_each_other)
{
    enum { CALLS = 6 };
    struct call calls[CALLS];
    struct scope scope = SCOPE_INIT;
    for (int i = 0; i < CALLS; i++) /* each waits for all the others to be there */
        start(&scope, &calls[i],
              arena_printf(&test_arena,
                           "mkdir -p %s; : >%s/%d; until [ $(ls %s | wc -l) = %d ]; do sleep 0.02; done",
                           scratch("beside"), scratch("beside"), i, scratch("beside"), CALLS),
              "state-beside", 1, 1);
    check_ok(scope_join(&scope));
    for (int i = 0; i < CALLS; i++) {
        check_ok(calls[i].outcome);
        assert_int_equal(calls[i].output.exit_status, 0);
        ssh_close(calls[i].ssh);
    }
}

/* Whatever order they arrive in: those that run see the token only grow. */
ON_LOOP(commands_of_many_tokens_at_once_run_in_order_or_not_at_all)
{
    enum { CALLS = 8 };
    struct call calls[CALLS];
    struct scope scope = SCOPE_INIT;
    size_t ran = 0;
    for (int i = 0; i < CALLS; i++)
        start(&scope, &calls[i], "exit 0", "state-many", 1, (uint32_t)(i * 5 % CALLS));
    check_ok(scope_join(&scope));
    for (int i = 0; i < CALLS; i++) {
        if (failed(calls[i].outcome))
            check_fails(E_STALE, calls[i].outcome);
        ran += !failed(calls[i].outcome);
        if (calls[i].guard.token.attempt == CALLS - 1)
            check_ok(calls[i].outcome);
        ssh_close(calls[i].ssh);
    }
    assert_in_range(ran, 1, CALLS);
    assert_string_equal(host_text(scratch("state-many/guard")), "1 1 7");
}

ON_LOOP(over_ends_what_is_older_and_waits_for_its_end)
{
    struct call old, current;
    struct scope scope = SCOPE_INIT;
    struct ssh *ssh = host_connect();
    start(&scope, &old,
          arena_printf(&test_arena,
                       "trap 'sleep 0.7; echo >%s; exit 1' TERM; echo $$ >%s.new; mv %s.new %s;"
                       " while :; do sleep 0.05; done",
                       scratch("over-end"), scratch("over-old"), scratch("over-old"), scratch("over-old")),
          "state-over", 3, 1);
    UNTIL(is_there(scratch("over-old")));
    start(&scope, &current,
          arena_printf(&test_arena, "echo >%s; sleep 1.5; echo still here", scratch("over-current")),
          "state-over", 3, 2);
    UNTIL(is_there(scratch("over-current")));

    struct ssh_guard guard = guard_of("state-over", 3, 1, 2);
    guard.token.step = 1;
    uint64_t begin = now_ms();
    check_ok(ssh_guard_over(ssh, &guard, NULL, NULL, SEC(10)));
    assert_true(now_ms() - begin >= 400);
    assert_true(
        is_there(scratch("over-end"))); /* it had the time to end in its own way, and was waited for */
    assert_false(is_running(pid_in(scratch("over-old"))));
    check_ok(scope_join(&scope));
    check_ok(old.outcome);
    assert_true(old.output.signal != NULL || old.output.exit_status != 0);
    check_ok(current.outcome);
    assert_string_equal(current.output.out.ptr, "still here\n");
    struct ssh_guard straggler = guard_of("state-over", 3, 1, 1);
    check_fails(E_STALE, touch(ssh, &straggler, "over-straggler"));
    check_ok(ssh_guard_over(ssh, &guard, NULL, NULL, SEC(10))); /* again: nothing to do */
    check_fails(E_STALE, ssh_guard_over(ssh, &straggler, NULL, NULL, SEC(10)));
    ssh_close(old.ssh);
    ssh_close(current.ssh);
    ssh_close(ssh);
}

ON_LOOP(over_says_when_something_does_not_end)
{
    struct call old;
    struct scope scope = SCOPE_INIT;
    struct ssh *ssh = host_connect();
    start(&scope, &old,
          arena_printf(&test_arena,
                       "trap '' TERM; echo $$ >%s.new; mv %s.new %s; while :; do sleep 0.05; done",
                       scratch("stubborn"), scratch("stubborn"), scratch("stubborn")),
          "state-stubborn", 1, 1);
    UNTIL(is_there(scratch("stubborn")));
    struct ssh_guard guard = guard_of("state-stubborn", 2, 1, 1);
    check_fails(E_DEADLINE, ssh_guard_over(ssh, &guard, NULL, NULL, SEC(1)));
    assert_true(is_running(pid_in(scratch("stubborn"))));
    check_ok(ssh_guard_over(ssh, &guard, NULL, NULL,
                            SEC(10))); /* it is killed three seconds after it was told to go */
    assert_false(is_running(pid_in(scratch("stubborn"))));
    check_ok(scope_join(&scope));
    assert_string_equal(old.output.signal, "KILL");
    ssh_close(old.ssh);
    ssh_close(ssh);
}

ON_LOOP(over_ends_what_a_command_has_left_in_its_group)
{
    struct call old;
    struct scope scope = SCOPE_INIT;
    struct ssh *ssh = host_connect();
    start(&scope, &old,
          arena_printf(&test_arena,
                       "sh -c 'trap \"\" TERM; echo $$ >%s.new; mv %s.new %s; while :; do sleep 0.05; done'"
                       " >/dev/null 2>&1 & sleep 60",
                       scratch("left"), scratch("left"), scratch("left")),
          "state-left", 1, 1);
    UNTIL(is_there(scratch("left")));
    struct ssh_guard guard = guard_of("state-left", 2, 1, 1);
    check_ok(ssh_guard_over(ssh, &guard, NULL, NULL, SEC(10)));
    assert_false(is_running(pid_in(scratch("left"))));
    check_ok(scope_join(&scope));
    ssh_close(old.ssh);
    ssh_close(ssh);
}

ON_LOOP(nothing_is_left_in_the_state_but_three_files)
{
    struct ssh *ssh = host_connect();
    struct ssh_guard guard = guard_of("state-clean", 1, 1, 1);
    for (uint32_t i = 1; i < 5; i++) {
        guard.token.attempt = i;
        struct ssh_command command = {
            .argv = WORDS("cat"), .input = STR("x"), .within_ms = SEC(10), .guard = &guard
        };
        run_command(ssh, &command);
    }
    check_ok(ssh_guard_over(ssh, &guard, NULL, NULL, SEC(5)));
    assert_string_equal(run_shell(ssh, arena_printf(&test_arena, "ls %s; stat -c %%a %s %s/guard",
                                                    guard.state, guard.state, guard.state))
                            .out.ptr,
                        "guard\nguard.lock\n700\n600\n");
    ssh_close(ssh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_straggler_does_nothing),
        cmocka_unit_test(a_refusal_says_who_has_been_there),
        cmocka_unit_test(a_command_that_ends_with_the_guards_statuses_is_not_the_guard),
        cmocka_unit_test(a_guard_that_cannot_keep_its_state_lets_nothing_run),
        cmocka_unit_test(p5_another_account_can_not_lay_out_the_state),
        cmocka_unit_test(a_state_of_ones_own_may_be_in_a_directory_of_everybody),
        cmocka_unit_test(what_a_guarded_command_sees_is_as_without),
        cmocka_unit_test(a_daemon_that_is_left_behind_holds_up_nothing),
        cmocka_unit_test(commands_of_one_step_run_beside_each_other),
        cmocka_unit_test(commands_of_many_tokens_at_once_run_in_order_or_not_at_all),
        cmocka_unit_test(over_ends_what_is_older_and_waits_for_its_end),
        cmocka_unit_test(over_says_when_something_does_not_end),
        cmocka_unit_test(over_ends_what_a_command_has_left_in_its_group),
        cmocka_unit_test(nothing_is_left_in_the_state_but_three_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
