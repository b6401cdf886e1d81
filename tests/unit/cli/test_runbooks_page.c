/* docs/runbooks.md shows the tables as they are. */
#include "check.h"

#include "cli/cli.h"
#include "config/config.h"

#include <stdlib.h>
#include <string.h>

static char *show(const char *name)
{
    char *out = NULL, copy[64];
    size_t len = 0;
    FILE *to = open_memstream(&out, &len);
    char *words[] = { "domicile", "runbook", "show", copy };
    struct cli cli;
    snprintf(copy, sizeof copy, "%s", name);
    cli_init(&cli, to, to);
    assert_int_equal(cli_run(&cli, 4, words), 0);
    cli_done(&cli);
    fclose(to);
    return out;
}

/* The page has no spaces at the ends of lines. */
static void trim_lines(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        if (*from == '\n')
            while (to > text && to[-1] == ' ')
                to--;
        *to++ = *from;
    }
    *to = '\0';
}

static void the_page_shows_the_tables(void **state)
{
    static const char *const names[] = { "provision", "adopt", "add-standby", "remove-standby" };
    struct arena arena;
    struct str page;
    arena_init(&arena);
    check_ok(config_file_text(SOURCE_DIR, "docs/runbooks.md", &arena, &page));
    for (size_t i = 0; i < COUNT(names); i++) {
        char *table = show(names[i]);
        trim_lines(table);
        if (strstr(page.ptr, table) == NULL)
            fail_msg("docs/runbooks.md does not show the runbook \"%s\" as it is: domicile runbook show %s",
                     names[i], names[i]);
        free(table);
    }
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_shows_the_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
