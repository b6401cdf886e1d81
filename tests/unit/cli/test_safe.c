/* What comes from outside steers no terminal of an operator. */
#include "cli/cli_test.h"

static struct cli cli;
static size_t out_len, err_len;

static int begin(void **state)
{
    out = err = NULL;
    cli_init(&cli, open_memstream(&out, &out_len), open_memstream(&err, &err_len));
    return 0;
}

static int end(void **state)
{
    fclose(cli.out);
    fclose(cli.err);
    cli_done(&cli);
    domicile_done();
    return 0;
}

static void p8_text_from_outside_steers_no_terminal(void **state)
{
    static const struct {
        const char *from, *shown;
    } cases[] = {
        { "lab/2026-01 \"\\x\" caf\xC3\xA9 \xE6\x97\xA5 \xF0\x9F\x8F\xA5 \xC2\xA0", NULL },
        { "", NULL },
        { "\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07" },
        { "a\nb\tc\rd\x7f", "a\\x0ab\\x09c\\x0dd\\x7f" },
        { "\xC2\x80 \xC2\x9B\x32J \xC2\x9F", "\\u0080 \\u009b2J \\u009f" },
        { "\x9b\x32J", "\\x9b2J" },
        { "\xE2\x80\xAEtxt.exe\xE2\x80\xAC", "\\u202etxt.exe\\u202c" },
        { "\xE2\x80\xAA\xE2\x81\xA6\xE2\x81\xA9\xE2\x80\x8F\xD8\x9C", "\\u202a\\u2066\\u2069\\u200f\\u061c" },
        { "\xE2\x80\xA8\xE2\x80\xA9", "\\u2028\\u2029" },
        { "\xC3", "\\xc3" },                                       /* the begin of a character */
        { "\xC0\x9B \xED\xA0\x80", "\\xc0\\x9b \\xed\\xa0\\x80" }, /* overlong, and half a surrogate */
        { "\xE2\x80", "\\xe2\\x80" },
        { "\xF8\x88\x80\x80\x80", "\\xf8\\x88\\x80\\x80\\x80" },
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_string_equal(cli_safe(&cli, cases[i].from),
                            cases[i].shown == NULL ? cases[i].from : cases[i].shown);
}

static void p8_a_cell_of_a_table_makes_no_row_and_no_colour(void **state)
{
    const char *const cells[] = { "KEY", "ETAG", "a\x1b[31m\nb",
                                  ("\xC2\x9B"
                                   "1") };
    cli_print_table(&cli, cells, 2, 2);
    fflush(cli.out);
    assert_string_equal(out, "KEY             ETAG\na\\x1b[31m\\x0ab  \\u009b1\n");
}

static void p8_what_a_gateway_says_is_one_line(void **state)
{
    const struct error error = { .code = E_UNAVAILABLE,
                                 .what = "quoted \x1b[1A",
                                 .hint = "Ask \xE2\x80\xAE." };
    cli_print_error(&cli, &error);
    cli_print_warning(&cli, &error);
    cli.refusal.said = "detail \xC2\x9B\n";
    cli_print_error(&cli, &error);
    cli.progress = true;
    cli_progress(&cli, "%s", "step \x1b[1A");
    fflush(cli.err);
    assert_string_equal(err, "domicile: quoted \\x1b[1A\nhint: Ask \\u202e.\n"
                             "domicile: warning: quoted \\x1b[1A\nhint: Ask \\u202e.\n"
                             "domicile: detail \\u009b\\x0a\nhint: Ask \\u202e.\n"
                             "\r\033[Kstep \\x1b[1A");
    cli.refusal.said = NULL;
}

static void a_records_bytes_are_exact_but_on_a_terminal(void **state)
{
    static const char bytes[] = "{\"a\":\t1}\n\x1b[2J\0\xff\xC3\xA9";
    const struct str whole = { bytes, sizeof bytes - 1 };
    assert_true(cli_write_bytes(&cli, whole));
    fflush(cli.out);
    assert_int_equal(out_len, whole.len);
    assert_memory_equal(out, bytes, whole.len);
    cli.out_is_terminal = true;
    assert_true(cli_write_bytes(&cli, whole));
    fflush(cli.out);
    assert_string_equal(out + whole.len, "{\"a\":\t1}\n\\x1b[2J\\x00\\xff\xC3\xA9");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(p8_text_from_outside_steers_no_terminal, begin, end),
        cmocka_unit_test_setup_teardown(p8_a_cell_of_a_table_makes_no_row_and_no_colour, begin, end),
        cmocka_unit_test_setup_teardown(p8_what_a_gateway_says_is_one_line, begin, end),
        cmocka_unit_test_setup_teardown(a_records_bytes_are_exact_but_on_a_terminal, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
