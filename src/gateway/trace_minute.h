#pragma once
/* What may leave a row of its own in a minute, and the sums of the rest. Pure but for its strings: no clock, no I/O. */
#include "base/str.h"

#include <stdint.h>

/* Each kind has its own number of rows: a flood of one hides none of another. */
enum trace_kind { TRACE_REFUSAL, TRACE_TOKEN, TRACE_ALARM, TRACE_KINDS };

enum {
    TRACE_KEPT = 64,      /* of a kind in a minute */
    TRACE_SUMS_MAX = 32,  /* besides one a kind for all that has no sum of its own: its outcome is "other" */
    TRACE_WORD_SIZE = 64, /* of a row's columns, NUL included; longer words are cut */
    TRACE_RULE_SIZE = 128,
    TRACE_MINUTE_MS = 60 * 1000
};

struct trace_sum {
    enum trace_kind kind;
    uint32_t count;
    char outcome[TRACE_WORD_SIZE], rule[TRACE_RULE_SIZE], role[TRACE_WORD_SIZE], home[TRACE_WORD_SIZE];
    char first[TRACE_WORD_SIZE], last[TRACE_WORD_SIZE]; /* of the requests' ids, in their order */
};

struct trace_minute {
    uint32_t kept[TRACE_KINDS];
    size_t sum_count;
    struct trace_sum sums[TRACE_SUMS_MAX + TRACE_KINDS];
};

/* True: it has a row of its own. False: it was added to a sum. */
bool trace_minute_keeps(struct trace_minute *minute, enum trace_kind kind, struct str outcome,
                        struct str rule, struct str role, struct str home, struct str request);
