#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>

enum { NAME_LEAST = 24, MARK_BYTES = 3 };
static const char mark[] = "...";

struct out {
    char *to; /* NULL: it is only measured */
    size_t len;
};

static void put(struct out *out, struct str s)
{
    if (out->to != NULL && s.len > 0)
        memcpy(out->to + out->len, s.ptr, s.len);
    out->len += s.len;
}

static bool is_inside_character(struct str s, size_t at)
{
    return at < s.len && ((unsigned char)s.ptr[at] & 0xc0) == 0x80;
}

/* The most of `s` that has at most `len` bytes and whole characters; of bytes that are no UTF-8, any. */
static size_t whole_begin(struct str s, size_t len)
{
    size_t at = len;
    while (at > 0 && len - at < 3 && is_inside_character(s, at))
        at--;
    return is_inside_character(s, at) ? len : at;
}

static size_t whole_end(struct str s, size_t len)
{
    size_t at = s.len - len;
    for (size_t i = 0; i < 3 && is_inside_character(s, at); i++)
        at++;
    return s.len - (is_inside_character(s, at) ? s.len - len : at);
}

/* The end of a name tells more than its begin, and of a path the last part. */
static void put_name(struct out *out, struct str name, size_t most)
{
    if (name.len <= most) {
        put(out, name);
        return;
    }
    size_t room = most - MARK_BYTES, end = room - room / 3, last = 0;
    while (last < name.len && name.ptr[name.len - 1 - last] != '/')
        last++;
    if (last >= end && last < name.len && last < room)
        end = last + 1;
    put(out, (struct str){ name.ptr, whole_begin(name, room - end) });
    put(out, (struct str){ mark, MARK_BYTES });
    end = whole_end(name, end);
    put(out, (struct str){ name.ptr + name.len - end, end });
}

/* `text` with no name longer than `most`. */
static size_t put_text(char *to, struct str text, size_t most)
{
    struct out out = { to, 0 };
    bool quoted = false;
    for (size_t at = 0; at < text.len;) {
        size_t begin = at;
        while (at < text.len && text.ptr[at] != '"' && (quoted || text.ptr[at] != ' '))
            at++;
        put_name(&out, (struct str){ text.ptr + begin, at - begin }, most);
        if (at == text.len)
            break;
        quoted ^= text.ptr[at] == '"';
        put(&out, (struct str){ text.ptr + at++, 1 });
    }
    return out.len;
}

/* The longest that names may be so that the text has at most `room` bytes; 0: even the shortest do not help. */
static size_t fitting_most(struct str text, size_t room)
{
    size_t fits = NAME_LEAST, too_long = text.len;
    if (room < NAME_LEAST || put_text(NULL, text, NAME_LEAST) > room)
        return 0;
    while (too_long - fits > 1) {
        size_t middle = fits + (too_long - fits) / 2;
        *(put_text(NULL, text, middle) > room ? &too_long : &fits) = middle;
    }
    return fits;
}

static void copy_begin(char *to, size_t room, struct str text)
{
    size_t len = text.len;
    if (len > room) {
        size_t marked = room > MARK_BYTES ? MARK_BYTES : 0;
        len = whole_begin(text, room - marked);
        memcpy(to + len, mark, marked);
        to[len + marked] = '\0';
    } else
        to[len] = '\0';
    memcpy(to, text.ptr, len);
}

static void shorten(char *to, size_t room, struct str text)
{
    size_t most = fitting_most(text, room), quarter = room / 4 > NAME_LEAST ? room / 4 : NAME_LEAST;
    if (most > 0) {
        to[put_text(to, text, most)] = '\0';
        return;
    }
    char *shorter = malloc(text.len + 1); /* of an empty text, too */
    if (shorter != NULL)                  /* else the end alone goes */
        text = (struct str){ shorter, put_text(shorter, text, quarter) };
    copy_begin(to, room, text);
    free(shorter);
}

void text_vfit(char *to, size_t size, const char *format, va_list args)
{
    va_list again;
    must(size > 0);
    va_copy(again, args);
    int length = vsnprintf(to, size, format, args);
    must(length >= 0);
    if ((size_t)length >= size) {
        char *whole = NULL;
        if (vasprintf(&whole, format, again) >= 0) { /* else there is no memory: its begin is there */
            shorten(to, size - 1, (struct str){ whole, (size_t)length });
            free(whole);
        }
    }
    va_end(again);
}

void text_fit(char *to, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    text_vfit(to, size, format, args);
    va_end(args);
}

size_t text_shorten(char *to, size_t size, struct str s)
{
    struct out out = { to, 0 };
    must(size > NAME_LEAST);
    put_name(&out, s, size - 1);
    to[out.len] = '\0';
    return out.len;
}

static bool steers(uint32_t code)
{
    return code < 0x20 || (code >= 0x7F && code <= 0x9F) || code == 0x061C ||
           (code >= 0x200E && code <= 0x200F) || (code >= 0x2028 && code <= 0x202E) ||
           (code >= 0x2066 && code <= 0x2069);
}

struct text_unit text_unit(struct str s)
{
    must(s.len > 0);
    unsigned char first = (unsigned char)s.ptr[0];
    size_t len = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    uint32_t code = len == 1 ? first : first & (0xFFu >> (len + 1));
    if (len > s.len || !str_is_utf8((struct str){ s.ptr, len }))
        return (struct text_unit){ 1, first, false, false };
    for (size_t i = 1; i < len; i++)
        code = code << 6 | ((unsigned char)s.ptr[i] & 0x3F);
    return (struct text_unit){ len, code, true, !steers(code) };
}
