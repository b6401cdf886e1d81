#pragma once
/* One run of the program after another, in this process: what it printed, and how it ended. */
#include "check.h"

#include "cli/cli.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *out, *err; /* of the last run */

static inline int domicile_words(int count, char **words)
{
    size_t out_len, err_len;
    struct cli cli;
    free(out);
    free(err);
    FILE *to_out = open_memstream(&out, &out_len), *to_err = open_memstream(&err, &err_len);
    cli_init(&cli, to_out, to_err);
    int status = cli_run(&cli, count, words);
    cli_done(&cli);
    fclose(to_out);
    fclose(to_err);
    return status;
}

/* Runs `domicile LINE`, split at spaces; "@" stands for the checkout, whose path may have spaces as well. */
static inline int domicile(const char *line)
{
    enum { WORDS_MAX = 16 };
    char copy[1024], whole[WORDS_MAX][PATH_MAX], *words[WORDS_MAX] = { "domicile" }, *rest = copy;
    int count = 1;
    assert_in_range(snprintf(copy, sizeof copy, "%s", line), 0, sizeof copy - 1);
    for (char *word; (word = strsep(&rest, " ")) != NULL;) {
        if (word[0] == '\0')
            continue;
        assert_in_range(count, 1, WORDS_MAX - 1);
        const char *at = strchr(word, '@');
        if (at != NULL) {
            snprintf(whole[count], PATH_MAX, "%.*s%s%s", (int)(at - word), word, SOURCE_DIR, at + 1);
            word = whole[count];
        }
        words[count++] = word;
    }
    return domicile_words(count, words);
}

static inline void domicile_done(void)
{
    free(out);
    free(err);
    out = err = NULL;
}

static inline void has(const char *text, const char *wanted)
{
    if (strstr(text, wanted) == NULL)
        fail_msg("\"%s\" is not in: %.2000s", wanted, text);
}
