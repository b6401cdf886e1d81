#pragma once
/* The posture of a host: the questions of an auditor, answered over SSH and SQL by commands and queries that change nothing.
 * The table of questions is posture.def. A question that could not be asked, or whose answer was not understood, is unknown,
 * with the reason: it never counts as ok. */
#include "base/arena.h"
#include "config/config.h"
#include "hosts/host_log.h"
#include "pg/role.h"

enum posture_id {
#define X(id, name, question, asked, advice) id,
#include "posture/posture.def"
#undef X
    POSTURE_COUNT,
    POSTURE_SQL_FIRST = POSTURE_PG_VERSION /* from here on PostgreSQL is asked */
};

struct posture_check {
    const char *name, *question, *asked, *advice;
};
extern const struct posture_check posture_checks[POSTURE_COUNT];

enum posture_verdict { POSTURE_UNKNOWN, POSTURE_OK, POSTURE_FINDING };
enum posture_grade {
    POSTURE_NOBODY,   /* no source answered: the verdict is unknown */
    POSTURE_OBSERVED, /* a command or a query answered */
    POSTURE_DECLARED, /* only the region's file says so */
};
const char *posture_verdict_word(enum posture_verdict verdict);
const char *posture_grade_word(enum posture_grade grade);

struct posture_line {
    enum posture_verdict verdict;
    enum posture_grade grade;
    const char *answer;
    /* The command, the query, or the key of the region's file; if unknown: what was tried. */
    const char *told_by;
};

struct posture_asker {
    const struct cell *cell;
    const struct node *node;
    enum pg_role sql_role; /* PG_MONITOR or PG_SUPERUSER; PG_NOBODY: nobody may ask PostgreSQL */
    struct host_log *log;  /* of what the host is asked over SSH */
};

/* Waits, some seconds. Gives every line, even when it fails: a line that could not be asked says so. OK also for a node
 * without ssh, or without a certificate. Errors as of ssh_connect and pg_connect: the host, or PostgreSQL, could not be
 * reached. */
result posture_scan(const struct posture_asker *asker, struct arena *arena,
                    struct posture_line ret_lines[POSTURE_COUNT]) MUST_USE;
