#pragma once
/* What a cell's monitor must remember when the daemon ends: a file beside the directory. It is replaced as a whole, and is
 * on disk before the action that it names. It holds the rows of the audit log that could not be written yet, in order, and
 * the mark of a degraded cell: a standby of such a cell may lack acknowledged writes, and only a person may promote it,
 * even if the cell itself cannot answer any more. All functions block on the disk: call them by fiber_offload. */
#include "base/str.h"

enum { MONITOR_ROWS_MAX = 1000, MONITOR_WHAT_MAX = 255, MONITOR_WORD_MAX = 63 };

struct monitor_row {
    int64_t fence, number; /* number: 1, 2, 3... under this fence */
    char action[MONITOR_WORD_MAX + 1], result[MONITOR_WORD_MAX + 1];
    char what[MONITOR_WHAT_MAX + 1]; /* with the time when it happened */
};

struct monitor_mark {
    bool degraded;
    int64_t epoch, since_ms;
};

struct monitor_journal {
    int64_t fence; /* of the last writer */
    struct monitor_mark mark;
    struct monitor_row rows[MONITOR_ROWS_MAX];
    size_t count;
    uint64_t lost; /* rows for which there was no space */
};

/* No file: an empty journal. E_FORMAT: it is not a journal. E_IO. */
result monitor_journal_load(const char *path, struct monitor_journal *ret) MUST_USE;
/* E_STALE: a journal of a later fence is there. */
result monitor_journal_save(const char *path, const struct monitor_journal *journal) MUST_USE;

/* Appends a row; the fence is the journal's. False when it is full: the row is counted as lost. */
bool monitor_journal_add(struct monitor_journal *journal, int64_t number, const char *action,
                         const char *outcome, const char *what) MUST_USE;
void monitor_journal_drop_first(struct monitor_journal *journal, size_t count);
