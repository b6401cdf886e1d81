#include "check.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char caught[4096];
static enum log_level caught_level;
static int caught_count;

static void catch_line(void *context, enum log_level level, const char *line)
{
    assert_ptr_equal(context, caught);
    caught_level = level;
    caught_count++;
    snprintf(caught, sizeof caught, "%s", line);
}

static uint64_t no_time(void)
{
    return 0;
}

static int64_t wall(void)
{
    return INT64_C(1769860800000);
}

static int begin(void **state)
{
    static const struct clock_source source = { no_time, wall };
    clock_set_source(&source);
    log_set_sink(catch_line, caught);
    log_set_level(LOG_INFO);
    caught[0] = '\0';
    caught_count = 0;
    return 0;
}

static int end(void **state)
{
    clock_set_source(NULL);
    log_set_sink(NULL, NULL);
    log_set_level(LOG_INFO);
    return 0;
}

static void an_event_is_one_line(void **state)
{
    log_event(LOG_WARNING, "cell \"%s\" has %d", "eu", 3);
    assert_string_equal(caught, "time=2026-01-31T12:00:00.000Z level=warning msg=\"cell 'eu' has 3\"");
    assert_int_equal(caught_level, LOG_WARNING);
}

static void a_failure_says_code_words_hint_and_place(void **state)
{
    struct error error = { .code = E_TLS,
                           .line = 7,
                           .file = "/somewhere/src/http/tls.c",
                           .hint = "look at the certificate",
                           .what = "no \"common\"\ncipher" };
    log_failure(LOG_ERROR, &error, "listening");
    assert_string_equal(caught,
                        "time=2026-01-31T12:00:00.000Z level=error msg=\"listening\" error=tls "
                        "what=\"no 'common'?cipher\" hint=\"look at the certificate\" at=src/http/tls.c:7");
    error.hint = NULL;
    error.file = NULL;
    log_failure(LOG_ALARM, &error, "listening");
    assert_non_null(strstr(caught, "level=alarm"));
    assert_null(strstr(caught, "hint="));
    assert_non_null(strstr(caught, " at=?:7"));
}

static void nothing_in_a_line_ends_it_or_steers_a_terminal(void **state)
{
    log_event(LOG_INFO, "peer \"%s\"", "a\r\nlevel=alarm msg=\"x\"\x1b[2J\x7fy\tz\x01");
    assert_non_null(strstr(caught, "msg=\"peer 'a?"
                                   "?level=alarm msg='x'?[2J?y?z?'\""));
    for (const char *c = caught; *c != '\0'; c++)
        assert_true((unsigned char)*c >= 0x20 && *c != 0x7F);
    assert_int_equal(caught_count, 1);
    log_event(LOG_INFO, "%s", "\xC2\x9B\x32J caf\xC3\xA9 \xC2\xA0");
    assert_non_null(strstr(caught, "\"??2J caf\xC3\xA9 \xC2\xA0\""));
    log_event(LOG_INFO, "%s", "\xC2\x80 \xC2\x9F \xC3\x80"); /* the first and the last of C1 */
    assert_non_null(strstr(caught, "\"?? ?? \xC3\x80\""));
    log_event(LOG_INFO, "%s", "\x9b\x32J \xE2\x80\xAEtxt"); /* a lone byte of C1, and right-to-left */
    assert_non_null(strstr(caught, "\"?2J ???txt\""));
}

static void levels_below_the_one_in_use_are_dropped(void **state)
{
    log_event(LOG_DEBUG, "no");
    assert_int_equal(caught_count, 0);
    log_set_level(LOG_DEBUG);
    log_event(LOG_DEBUG, "yes");
    assert_int_equal(caught_count, 1);
    log_set_level(LOG_ERROR);
    log_event(LOG_WARNING, "no");
    log_event(LOG_ERROR, "yes");
    log_event(LOG_ALARM, "always");
    assert_int_equal(caught_count, 3);
}

static void long_words_are_cut_and_the_line_stays_one(void **state)
{
    struct error error = { .code = E_IO, .file = "src/x.c", .hint = "h" };
    memset(error.what, '"', sizeof error.what - 1);
    log_failure(LOG_ERROR, &error, "%2000s", "x");
    assert_true(strlen(caught) < 2048);
    assert_null(strchr(caught, '\n'));
    assert_non_null(strstr(caught, " at=src/x.c:0"));
}

static void a_line_goes_to_standard_error_in_one_write(void **state)
{
    int ends[2], saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    log_set_sink(NULL, NULL);
    dup2(ends[1], STDERR_FILENO);
    log_event(LOG_INFO, "hello");
    log_event(LOG_INFO, "%2500s", "long");
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[1]);
    char text[4096] = { 0 };
    ssize_t len = read(ends[0], text, sizeof text - 1);
    close(ends[0]);
    assert_true(len > 0);
    assert_int_equal(strncmp(text, "time=2026-01-31T12:00:00.000Z level=info msg=\"hello\"\n", 53), 0);
    assert_int_equal(text[len - 1], '\n');
    size_t lines = 0;
    for (ssize_t i = 0; i < len; i++)
        lines += text[i] == '\n';
    assert_int_equal(lines, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_event_is_one_line, begin, end),
        cmocka_unit_test_setup_teardown(a_failure_says_code_words_hint_and_place, begin, end),
        cmocka_unit_test_setup_teardown(nothing_in_a_line_ends_it_or_steers_a_terminal, begin, end),
        cmocka_unit_test_setup_teardown(levels_below_the_one_in_use_are_dropped, begin, end),
        cmocka_unit_test_setup_teardown(long_words_are_cut_and_the_line_stays_one, begin, end),
        cmocka_unit_test_setup_teardown(a_line_goes_to_standard_error_in_one_write, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
