#pragma once
/* Values to PostgreSQL and rows from it, both in its binary format: text and bytea are their bytes, integers
 * are big-endian and as wide as the parameter's type. Nothing here waits. */
#include "base/str.h"

#include <libpq-fe.h>

/* A parameter. Bytes are a view: they stay the caller's, and must stay until the call returns. */
struct pg_value {
    const char *ptr; /* NULL: the bytes are `number`, or, with len 0, the value is SQL NULL */
    int len;
    char number[8];
};
struct pg_value pg_null(void);
struct pg_value pg_text(struct str s);   /* text; an empty string is not NULL */
struct pg_value pg_bytes(struct str s);  /* bytea */
struct pg_value pg_int4(int32_t number); /* integer */
struct pg_value pg_int8(int64_t number); /* bigint; timestamptz: microseconds since 2000-01-01 UTC */
struct pg_value pg_bool(bool value);

/* What a statement returned. The rows stay until pg_reply_done; views into them end there. */
struct pg_reply {
    PGresult *result;
    char sqlstate[6]; /* also set when the call fails with E_SQL; "" when the server did not say */
};
#define PG_REPLY_INIT ((struct pg_reply){ 0 })
void pg_reply_done(struct pg_reply *reply); /* takes an empty one */

size_t pg_reply_rows(const struct pg_reply *reply);
/* What the server answered is its own choice, so none of these fails: a row or column that is not there reads as NULL, a
 * number of another width than 1, 2, 4 or 8 bytes as 0. Who decides by what was read has it checked first (shape.h). */
bool pg_reply_is_null(const struct pg_reply *reply, size_t row, int column);
struct str pg_reply_str(const struct pg_reply *reply, size_t row, int column); /* empty for NULL */
int64_t pg_reply_number(const struct pg_reply *reply, size_t row,
                        int column); /* 0 for NULL; bool is 0 or 1 */
int64_t pg_reply_unix_ms(const struct pg_reply *reply, size_t row,
                         int column); /* of a timestamptz; what is later than time can be is its end */
