#pragma once
/* The only place that turns words into text for a shell. */
#include "base/arena.h"

/* Appends ` 'WORD'` for each word of argv (ends with NULL) to *text, so that a POSIX sh reads back exactly these words:
 * every byte except NUL stands for itself, newlines too. E_ARGUMENT: argv is empty, or its first word is not the name of a
 * program (empty, or begins with "-"). E_LIMIT: *text would have more than `max` bytes; nothing was appended. */
result quote_argv(struct arena *arena, const char *const *argv, size_t max, struct str *text) MUST_USE;
