#pragma once
/* Text in a fixed buffer. What does not fit is shortened where it tells least: in the middle of its longest names, so
 * that a path keeps its begin and the file's name. Nothing is lost in silence: "..." stands where something is missing,
 * and never in the middle of a character of UTF-8. docs/limits.md lists the buffers. */
#include "base/str.h"

/* Formats into to[size], with a NUL. A name is what stands between two double quotes, or a word outside of them. When
 * names alone cannot make the room (the words are long as well), they are kept to a quarter and the end is left out. */
void text_fit(char *to, size_t size, const char *format, ...) PRINTF(3, 4);
void text_vfit(char *to, size_t size, const char *format, va_list args) PRINTF(3, 0);

/* The first of `s` (len > 0): a character of UTF-8, or a byte that begins none. It is safe where it steers no terminal:
 * no control of C0 or C1, no DEL, nothing that turns the direction of what follows or ends a line, and no such byte. */
struct text_unit {
    size_t len;
    uint32_t code; /* the character, or the byte */
    bool is_character, is_safe;
};
struct text_unit text_unit(struct str s);

/* A copy of `s` as one name; returns its length. */
size_t text_shorten(char *to, size_t size, struct str s);
