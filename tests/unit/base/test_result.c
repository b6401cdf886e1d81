#include "check.h"

#include <ctype.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static bool is_slug(const char *slug)
{
    size_t len = strlen(slug);
    return len > 0 && strspn(slug, "abcdefghijklmnopqrstuvwxyz-") == len && slug[0] != '-' &&
           slug[len - 1] != '-';
}

/* The table of error.def, as a promise: each code has a name of its own, a status that fits, and words. */
static void every_code_is_whole(void **state)
{
    for (int code = 1; code < E_COUNT; code++) {
        const char *name = error_name(code), *title = error_title(code);
        if (strncmp(name, "E_", 2) != 0 || !is_slug(error_slug(code)))
            fail_msg("%s has the slug \"%s\"", name, error_slug(code));
        if (error_http_status(code) < 400 || error_http_status(code) > 599)
            fail_msg("%s has the status %d", name, error_http_status(code));
        if (error_exit_status(code) < 2 || error_exit_status(code) > 9)
            fail_msg("%s has the exit status %d", name, error_exit_status(code));
        if (!isupper((unsigned char)title[0]) || title[strlen(title) - 1] == '.' || strlen(title) > 100)
            fail_msg("%s has the title \"%s\"", name, title);
    }
    assert_int_equal(error_exit_status(E_OK), 0);
    assert_int_equal(error_http_status(E_OK), 200);
}

static void no_two_codes_share_a_slug_a_name_or_a_title(void **state)
{
    for (int a = 0; a < E_COUNT; a++)
        for (int b = 0; b < a; b++) {
            assert_string_not_equal(error_slug(a), error_slug(b));
            assert_string_not_equal(error_name(a), error_name(b));
            assert_string_not_equal(error_title(a), error_title(b));
        }
}

/* E_KEY_PROVIDER and "key-provider": a reader of one finds the other. */
static void a_slug_is_its_name_in_small(void **state)
{
    for (int code = 1; code < E_COUNT; code++) {
        char slug[64];
        size_t len = strlen(error_name(code)) - 2;
        for (size_t i = 0; i <= len; i++) {
            char c = error_name(code)[i + 2];
            slug[i] = c == '_' ? '-' : (char)tolower((unsigned char)c);
        }
        assert_string_equal(error_slug(code), slug);
    }
}

/* What a script does next follows from the exit status: 3 log in, 4 look where it is, 5 try again later, ... */
static void the_exit_status_follows_the_http_status(void **state)
{
    for (int code = 1; code < E_COUNT; code++) {
        int http = error_http_status(code), exit = error_exit_status(code);
        if ((http == 503 || http == 429 || http == 408) != (exit == 5) && code != E_PEER_GONE)
            fail_msg("%s: %d and %d", error_name(code), http, exit);
        if ((http == 401 || http == 403) != (exit == 3))
            fail_msg("%s: %d and %d", error_name(code), http, exit);
        if (http == 500 && exit != 7 && exit != 8)
            fail_msg("%s: %d and %d", error_name(code), http, exit);
    }
}

static result fails_with(enum error_code code)
{
    return code == E_OK ? OK : FAIL(code, "try again", "the \"%s\" did not", "thing");
}

static void an_error_carries_code_words_hint_and_place(void **state)
{
    result r = fails_with(E_BUSY);
    assert_true(failed(r));
    assert_int_equal(r.error.code, E_BUSY);
    assert_string_equal(r.error.what, "the \"thing\" did not");
    assert_string_equal(r.error.hint, "try again");
    assert_string_equal(r.error.file, __FILE__);
    assert_true(r.error.line > 0);
    assert_false(failed(fails_with(E_OK)));
}

/* The checkout may be anywhere: what failed is still named. */
static void words_that_are_too_long_keep_the_file_s_name_and_the_reason(void **state)
{
    char folder[600];
    memset(folder, 'f', sizeof folder - 1);
    folder[0] = '/';
    folder[sizeof folder - 1] = '\0';
    result r = FAIL(E_IO, NULL, "cannot read \"%s/audit-signing.key\": %s", folder, "Permission denied");
    assert_int_equal(strlen(r.error.what), sizeof r.error.what - 1);
    assert_memory_equal(r.error.what, "cannot read \"/fff", 17);
    assert_non_null(strstr(r.error.what, "fff/audit-signing.key\": Permission denied"));
    assert_null(r.error.hint);
}

static int reached;

static result tries(enum error_code first, enum error_code second)
{
    TRY(fails_with(first));
    reached = 1;
    TRY(fails_with(second));
    reached = 2;
    return OK;
}

static result tries_with_clean_up(enum error_code first, enum error_code second, int *cleaned)
{
    result r;
    TRY_OR(r, out, fails_with(first));
    TRY_OR(r, out, fails_with(second));
out:
    ++*cleaned;
    return r;
}

static void the_first_cause_wins(void **state)
{
    int cleaned = 0;
    check_fails(E_JSON, tries(E_JSON, E_KEY));
    assert_int_equal(reached, 0);
    check_fails(E_KEY, tries(E_OK, E_KEY));
    assert_int_equal(reached, 1);
    check_ok(tries(E_OK, E_OK));
    assert_int_equal(reached, 2);
    check_fails(E_JSON, tries_with_clean_up(E_JSON, E_KEY, &cleaned));
    check_fails(E_KEY, tries_with_clean_up(E_OK, E_KEY, &cleaned));
    check_ok(tries_with_clean_up(E_OK, E_OK, &cleaned));
    assert_int_equal(cleaned, 3);
}

static void a_bug_says_where_and_aborts(void **state)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    must(1 + 1 == 2);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit no_core = { 0, 0 };
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        must(ends[0] == -7);
        _exit(0);
    }
    close(ends[1]);
    char said[300] = { 0 };
    assert_true(read(ends[0], said, sizeof said - 1) > 0);
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(said, "ends[0] == -7"));
    assert_non_null(strstr(said, "test_result.c"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_is_whole),
        cmocka_unit_test(no_two_codes_share_a_slug_a_name_or_a_title),
        cmocka_unit_test(a_slug_is_its_name_in_small),
        cmocka_unit_test(the_exit_status_follows_the_http_status),
        cmocka_unit_test(an_error_carries_code_words_hint_and_place),
        cmocka_unit_test(words_that_are_too_long_keep_the_file_s_name_and_the_reason),
        cmocka_unit_test(the_first_cause_wins),
        cmocka_unit_test(a_bug_says_where_and_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
