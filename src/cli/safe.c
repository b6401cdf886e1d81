/* What comes from outside, for a person's terminal. */
#include "base/text.h"
#include "cli/cli.h"

enum { ESCAPE_BYTES = sizeof "\\u202e" - 1 };

static bool is_safe(struct str text)
{
    struct text_unit unit;
    for (; text.len > 0; text.ptr += unit.len, text.len -= unit.len)
        if (!(unit = text_unit(text)).is_safe)
            return false;
    return true;
}

const char *cli_safe_bytes(struct arena *arena, struct str text, const char *kept)
{
    char *copy = arena_alloc(arena, text.len * ESCAPE_BYTES + 1), *to = copy;
    struct text_unit unit;
    for (; text.len > 0; text.ptr += unit.len, text.len -= unit.len) {
        unit = text_unit(text);
        bool escapes =
            !unit.is_safe && (unit.code == 0 || unit.code >= 0x80 || strchr(kept, (int)unit.code) == NULL);
        if (escapes)
            to +=
                snprintf(to, ESCAPE_BYTES + 1, unit.is_character && unit.code > 0x7F ? "\\u%04x" : "\\x%02x",
                         (unsigned)unit.code);
        else {
            memcpy(to, text.ptr, unit.len);
            to += unit.len;
        }
    }
    *to = '\0';
    return copy;
}

const char *cli_safe_in(struct arena *arena, const char *text)
{
    struct str s = str_from(text);
    return is_safe(s) ? text : cli_safe_bytes(arena, s, "");
}

const char *cli_safe(struct cli *cli, const char *text)
{
    return cli_safe_in(&cli->arena, text);
}

bool cli_write_bytes(struct cli *cli, struct str bytes)
{
    if (!cli->out_is_terminal)
        return fwrite(bytes.ptr, 1, bytes.len, cli->out) == bytes.len;
    struct arena arena;
    arena_init(&arena);
    bool written = fputs(cli_safe_bytes(&arena, bytes, "\n\t"), cli->out) >= 0;
    arena_done(&arena);
    return written;
}
