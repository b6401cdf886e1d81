/* Words and a shell: what is quoted is read back by /bin/sh byte for byte, whatever the words are. */
#include "check.h"

#include "ssh/quote.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* What `sh -c text` prints. */
static size_t run_shell(const char *text, char *out, size_t size)
{
    int ends[2], status;
    pid_t pid;
    posix_spawn_file_actions_t actions;
    char *argv[] = { "sh", "-c", (char *)text, NULL };
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO), 0);
    assert_int_equal(posix_spawn_file_actions_addclose(&actions, ends[0]), 0);
    assert_int_equal(posix_spawn(&pid, "/bin/sh", &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    size_t len = 0;
    ssize_t got;
    while ((got = read(ends[0], out + len, size - len)) > 0)
        len += (size_t)got;
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    return len;
}

/* argv is printf '%s\0' and `count` words. */
static void check_read_back(const char *const *argv, size_t count)
{
    static char out[1 << 20];
    struct arena arena;
    struct str text = STR("exec");
    arena_init(&arena);
    check_ok(quote_argv(&arena, argv, 1 << 20, &text));
    size_t len = run_shell(text.ptr, out, sizeof out), at = 0;
    for (size_t i = 2; i < count + 2; i++) {
        assert_true(at + strlen(argv[i]) < len);
        assert_string_equal(out + at, argv[i]);
        at += strlen(argv[i]) + 1;
    }
    assert_int_equal(at, len);
    arena_done(&arena);
}

static void the_words_that_shells_are_fond_of(void **state)
{
    char all[256];
    for (int i = 1; i < 256; i++)
        all[i - 1] = (char)i;
    all[255] = '\0';
    const char *const argv[] = { "printf", "%s\\0",     all,        "",         "'",  "''",    "'\\''",
                                 "\"",     "$(exit 1)", "`exit 1`", "$HOME",    "~",  "*",     "a b",
                                 "a\nb",   "\n",        "\\",       "\\\\\n",   "-e", "--",    "a;b",
                                 "&",      "|x",        ">f",       "#",        "!!", "{a,b}", "[a]",
                                 "\r",     "\x01\x02",  "é\xff",    "\x81\x88", NULL };
    check_read_back(argv, COUNT(argv) - 3);
}

static uint32_t roll(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 12;
}

static void words_at_random(void **state)
{
    static const char fond[] = "'\"\\$`\n\t !*?[]{}()<>|&;#~=%-aZ\x01\x7f\x80\x81\x88\xff";
    enum { ROUNDS = 40, WORDS = 40, LENGTH = 60 };
    static char words[WORDS][LENGTH + 1];
    uint32_t seed = 20261124;
    for (int round = 0; round < ROUNDS; round++) {
        const char *argv[WORDS + 3] = { "printf", "%s\\0" };
        for (int i = 0; i < WORDS; i++) {
            size_t len = roll(&seed) % LENGTH;
            for (size_t j = 0; j < len; j++)
                words[i][j] = roll(&seed) % 3 == 0 ? (char)(1 + roll(&seed) % 255)
                                                   : fond[roll(&seed) % (sizeof fond - 1)];
            words[i][len] = '\0';
            argv[i + 2] = words[i];
        }
        check_read_back(argv, WORDS);
    }
}

static void what_is_no_program_is_refused(void **state)
{
    struct arena arena;
    struct str text = STR("exec");
    arena_init(&arena);
    check_fails(E_ARGUMENT, quote_argv(&arena, (const char *const[]){ NULL }, 100, &text));
    check_fails(E_ARGUMENT, quote_argv(&arena, (const char *const[]){ "", NULL }, 100, &text));
    check_fails(E_ARGUMENT, quote_argv(&arena, (const char *const[]){ "-c", NULL }, 100, &text));
    assert_true(str_is(text, "exec"));
    arena_done(&arena);
}

static void the_limit_is_of_the_whole_text(void **state)
{
    static const char whole[] = "exec 'a' ''\\'''";
    struct arena arena;
    struct str text = STR("exec");
    const char *const argv[] = { "a", "'", NULL };
    arena_init(&arena);
    check_fails(E_LIMIT, quote_argv(&arena, argv, sizeof whole - 2, &text));
    assert_true(str_is(text, "exec"));
    check_ok(quote_argv(&arena, argv, sizeof whole - 1, &text));
    assert_string_equal(text.ptr, whole);
    assert_int_equal(text.len, sizeof whole - 1);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_words_that_shells_are_fond_of),
        cmocka_unit_test(words_at_random),
        cmocka_unit_test(what_is_no_program_is_refused),
        cmocka_unit_test(the_limit_is_of_the_whole_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
