#pragma once
/* What a statement must answer with, and the one check of it. Whoever can replace a function of the database can answer
 * with anything: what does not fit is an error, before anybody reads it. Nothing here waits. */
#include "pg/reply.h"

enum pg_type { PG_NO_COLUMN, PG_BOOL, PG_INT4, PG_INT8, PG_TIME, PG_TEXT, PG_BYTES };

enum { PG_COLUMNS_MAX = 8 };

struct pg_column {
    enum pg_type type;
    uint32_t bytes_max; /* of PG_TEXT and PG_BYTES */
    /* NULL: it is never NULL. Otherwise the words of the first column, with spaces between them, in whose rows it is not
     * NULL; "": it may always be. */
    const char *filled_for;
};

struct pg_shape {
    size_t rows_min, rows_max;
    size_t bytes_max; /* of all rows together; 0: as many as the rows can have */
    struct pg_column columns[PG_COLUMNS_MAX];
};

/* A statement without a shape may answer with this much. */
enum { PG_ANSWER_BYTES_MAX = 64 * 1024 * 1024 };

static inline bool pg_shape_is_declared(const struct pg_shape *shape)
{
    return shape->columns[0].type != PG_NO_COLUMN;
}

/* What the server may send for it, with what the protocol adds. */
size_t pg_shape_bytes(const struct pg_shape *shape);

/* `who` answered `statement`. E_SCHEMA: too few or too many rows, columns that are missing, surplus or of another type,
 * a NULL that may not be one, a value that is too long, a text that is not UTF-8, a time that is not between 1970 and
 * 9999. */
result pg_shape_check(const struct pg_shape *shape, const char *who, const char *statement,
                      const struct pg_reply *reply) MUST_USE;

/* For every answer that cannot be right. */
#define PG_UNFIT_HINT                                                                                        \
    "Compare the cell's functions with the schema of this version: somebody has changed one."
