#pragma once
/* Within runbook/: what the files of the engine and of the journal share. */
#include "runbook/journal.h"

#include <stdlib.h>

enum {
    JOURNAL_TAIL_BYTES = sizeof ",\"sum\":\"\"}\n" - 1 + JOURNAL_SUM_HEX,
    JOURNAL_TEXT_MAX = 2048, /* bytes of one text, NUL included; longer: see text_fit */
};

/* Makes of what is in `text` (of `size` bytes, with a NUL) what may stand in a journal and on a screen: control
 * characters and bytes that are no UTF-8 become "?", and a character that was cut goes. */
void clean_text(char *text);

/* A file and a line of the configuration before what is wrong there. */
#define AT_ROW(row) (row)->source.file, (row)->source.line
