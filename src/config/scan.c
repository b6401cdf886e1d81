/* What libconfig 1.5 does with some texts is worse than an error: @include of a directory makes its scanner call exit,
 * an integer that does not fit wraps without a word, and deep nesting exhausts the stack. So the text is looked at
 * first, by the same rules for comments, strings and names as its scanner has. */
#include "config/internal.h"

#include <ctype.h>

enum { DEPTH_MAX = 12 };

struct scan {
    struct loader *loader;
    const char *name;
    const char *at, *end;
    int line, depth;
};

static char peek(const struct scan *scan, size_t ahead)
{
    return (size_t)(scan->end - scan->at) > ahead ? scan->at[ahead] : '\0';
}

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static void step(struct scan *scan)
{
    if (scan->at < scan->end && *scan->at++ == '\n')
        scan->line++;
}

static void skip_line(struct scan *scan)
{
    while (scan->at < scan->end && *scan->at != '\n')
        scan->at++;
}

static void skip_comment(struct scan *scan)
{
    while (scan->at < scan->end && !(peek(scan, 0) == '*' && peek(scan, 1) == '/'))
        step(scan);
    step(scan);
    step(scan);
}

static void skip_string(struct scan *scan)
{
    step(scan);
    while (scan->at < scan->end && *scan->at != '"') {
        if (*scan->at == '\\')
            step(scan);
        step(scan);
    }
    step(scan);
}

static bool is_decimal(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!isdigit((unsigned char)s.ptr[i]))
            return false;
    return s.len > 0;
}

/* No key takes integers beyond INT32_MAX. Words that are not integers are checked by libconfig. */
static bool fits(struct str word)
{
    if (word.len > 0 && (word.ptr[0] == '-' || word.ptr[0] == '+'))
        word.ptr++, word.len--;
    while (word.len > 0 && word.ptr[word.len - 1] == 'L')
        word.len--;
    bool hexadecimal = word.len > 2 && word.ptr[0] == '0' && (word.ptr[1] == 'x' || word.ptr[1] == 'X');
    if (hexadecimal)
        word.ptr += 2, word.len -= 2;
    while (word.len > 1 && word.ptr[0] == '0')
        word.ptr++, word.len--;
    if (hexadecimal)
        return word.len < 8;
    uint64_t value;
    return !is_decimal(word) || str_to_u64(word, INT32_MAX, &value);
}

static bool scan_word(struct scan *scan)
{
    const char *start = scan->at;
    while (scan->at < scan->end && (isalnum((unsigned char)*scan->at) || is_one_of(*scan->at, "_*.+-")))
        scan->at++;
    struct str word = { start, (size_t)(scan->at - start) };
    if (isalpha((unsigned char)*start) || *start == '*' || fits(word))
        return true;
    config_complain(scan->loader, scan->name, scan->line, "Use a number of at most 2147483647.",
                    "the number \"%.*s\" is too large", (int)(word.len < 40 ? word.len : 40), word.ptr);
    return false;
}

static bool scan_bracket(struct scan *scan, char c)
{
    scan->depth += is_one_of(c, "([{") ? 1 : -1;
    step(scan);
    if (scan->depth <= DEPTH_MAX)
        return true;
    config_complain(scan->loader, scan->name, scan->line, "Look for a bracket that is not closed.",
                    "groups and lists have more than %d nested levels", DEPTH_MAX);
    return false;
}

static bool scan_next(struct scan *scan)
{
    char c = *scan->at;
    if (c == '#' || (c == '/' && peek(scan, 1) == '/'))
        skip_line(scan);
    else if (c == '/' && peek(scan, 1) == '*')
        step(scan), step(scan), skip_comment(scan);
    else if (c == '"')
        skip_string(scan);
    else if (is_one_of(c, "([{}])"))
        return scan_bracket(scan, c);
    else if (isalnum((unsigned char)c) || is_one_of(c, "_*.+-"))
        return scan_word(scan);
    else if (c == '@') {
        config_complain(
            scan->loader, scan->name, scan->line,
            "Put the text in a file of its own in regions/ or policies/: all files there are read.",
            "\"@include\" is not allowed");
        return false;
    } else
        step(scan);
    return true;
}

bool config_scan(struct loader *loader, const struct config_text *text)
{
    if (text->text.len == 0)
        return true;
    if (text->text.len > CONFIG_FILE_BYTES_MAX) {
        config_complain(loader, text->name, 0, "Split the file.", "the file is larger than %d bytes",
                        CONFIG_FILE_BYTES_MAX);
        return false;
    }
    if (memchr(text->text.ptr, '\0', text->text.len) != NULL || !str_is_utf8(text->text)) {
        config_complain(loader, text->name, 0, "Save it as UTF-8 text.", "the file is not UTF-8 text");
        return false;
    }
    struct scan scan = { loader, text->name, text->text.ptr, text->text.ptr + text->text.len, 1, 0 };
    while (scan.at < scan.end)
        if (!scan_next(&scan))
            return false;
    return true;
}
