#pragma once
/* Answers without a server: libpq makes them by hand, as fit or unfit as a server can. */
#include "check.h"
#include "pg/shape.h"

enum { OID_BOOL = 16, OID_BYTEA = 17, OID_INT8 = 20, OID_INT4 = 23, OID_TEXT = 25, OID_TIMESTAMPTZ = 1184 };

struct cell_value {
    const char *bytes;
    int len; /* -1: NULL */
};

static inline struct pg_reply reply_of(const Oid *types, int columns, const struct cell_value *values,
                                       int rows)
{
    PGresult *made = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc described[12] = { { 0 } };
    for (int i = 0; i < columns; i++)
        described[i] = (PGresAttDesc){ .name = "c", .format = 1, .typid = types[i] };
    assert_int_equal(PQsetResultAttrs(made, columns, described), 1);
    for (int row = 0; row < rows; row++)
        for (int i = 0; i < columns; i++) {
            const struct cell_value *value = &values[row * columns + i];
            assert_int_equal(PQsetvalue(made, row, i, (char *)(uintptr_t)value->bytes, value->len), 1);
        }
    return (struct pg_reply){ .result = made };
}
