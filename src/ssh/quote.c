#include "ssh/quote.h"

static size_t quoted_bytes(const char *word)
{
    size_t bytes = 3; /* the space and two quotes */
    for (; *word != '\0'; word++)
        bytes += *word == '\'' ? 4 : 1;
    return bytes;
}

/* Inside single quotes, the only special character for a shell is the closing quote. */
static char *quote(char *to, const char *word)
{
    static const char quoted_quote[] = { '\'', '\\', '\'', '\'' };
    *to++ = ' ';
    *to++ = '\'';
    for (; *word != '\0'; word++) {
        if (*word == '\'') {
            memcpy(to, quoted_quote, sizeof quoted_quote);
            to += sizeof quoted_quote;
        } else {
            *to++ = *word;
        }
    }
    *to++ = '\'';
    return to;
}

result quote_argv(struct arena *arena, const char *const *argv, size_t max, struct str *text)
{
    if (argv[0] == NULL || argv[0][0] == '\0' || argv[0][0] == '-')
        return FAIL(E_ARGUMENT, "Begin the command with the name or path of a program.",
                    "a remote command has no program; it begins with \"%s\"", argv[0] != NULL ? argv[0] : "");
    size_t bytes = text->len;
    for (size_t i = 0; argv[i] != NULL; i++)
        bytes += quoted_bytes(argv[i]);
    if (bytes > max)
        return FAIL(E_LIMIT, "Send long text on standard input, or as a file before the command.",
                    "the remote command \"%s\" has %zu bytes, more than %zu", argv[0], bytes, max);
    char *line = arena_alloc(arena, bytes + 1), *end = line + text->len;
    if (text->len > 0)
        memcpy(line, text->ptr, text->len);
    for (size_t i = 0; argv[i] != NULL; i++)
        end = quote(end, argv[i]);
    *end = '\0';
    *text = (struct str){ line, bytes };
    return OK;
}
