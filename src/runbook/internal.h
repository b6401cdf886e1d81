#pragma once
/* Shared by the files of the engine and of the journal. */
#include "runbook/journal.h"

#include <stdlib.h>

enum {
    JOURNAL_TAIL_BYTES = sizeof ",\"sum\":\"\"}\n" - 1 + JOURNAL_SUM_HEX,
    JOURNAL_TEXT_MAX = 2048, /* bytes of one text, NUL included; longer: see text_fit */
};

/* Makes `text` (of `size` bytes, with a NUL) safe for a journal and a terminal: control characters and invalid UTF-8 become
 * "?", and an incomplete last character is removed. */
void clean_text(char *text);

/* The file and line of the configuration, for an error there. */
#define AT_ROW(row) (row)->source.file, (row)->source.line
