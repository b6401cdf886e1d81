#include "pg/shape.h"

/* Those that pg_proc.dat gives the types; they never change. */
enum { OID_BOOL = 16, OID_BYTEA = 17, OID_INT8 = 20, OID_INT4 = 23, OID_TEXT = 25, OID_TIMESTAMPTZ = 1184 };

enum { ROW_OVERHEAD_BYTES = 16, VALUE_OVERHEAD_BYTES = 8, HEAD_BYTES = 1024 };

static const struct {
    const char *name;
    Oid oid;
    uint32_t bytes; /* 0: as the column says */
} types[] = { [PG_BOOL] = { "boolean", OID_BOOL, 1 }, [PG_INT4] = { "integer", OID_INT4, 4 },
              [PG_INT8] = { "bigint", OID_INT8, 8 },  [PG_TIME] = { "timestamptz", OID_TIMESTAMPTZ, 8 },
              [PG_TEXT] = { "text", OID_TEXT, 0 },    [PG_BYTES] = { "bytea", OID_BYTEA, 0 } };

static size_t column_count(const struct pg_shape *shape)
{
    size_t count = 0;
    while (count < PG_COLUMNS_MAX && shape->columns[count].type != PG_NO_COLUMN)
        count++;
    return count;
}

static size_t value_bytes_max(const struct pg_column *column)
{
    return types[column->type].bytes != 0 ? types[column->type].bytes : column->bytes_max;
}

size_t pg_shape_bytes(const struct pg_shape *shape)
{
    if (!pg_shape_is_declared(shape))
        return PG_ANSWER_BYTES_MAX;
    size_t row = ROW_OVERHEAD_BYTES, count = column_count(shape);
    for (size_t i = 0; i < count; i++)
        row += VALUE_OVERHEAD_BYTES + value_bytes_max(&shape->columns[i]);
    return HEAD_BYTES + (shape->bytes_max != 0 ? shape->bytes_max : shape->rows_max * row);
}

/* ---- the check ---- */

struct check {
    const struct pg_shape *shape;
    const char *who, *statement;
    const struct pg_reply *reply;
};

static result check_rows(const struct check *check)
{
    size_t rows = pg_reply_rows(check->reply);
    if (rows >= check->shape->rows_min && rows <= check->shape->rows_max)
        return OK;
    return FAIL(E_SCHEMA, PG_UNFIT_HINT, "\"%s\" answered \"%s\" with %zu rows, not %zu to %zu", check->who,
                check->statement, rows, check->shape->rows_min, check->shape->rows_max);
}

static result check_columns(const struct check *check)
{
    const PGresult *have = check->reply->result;
    size_t count = column_count(check->shape), columns = have == NULL ? 0 : (size_t)PQnfields(have);
    if (columns != count)
        return FAIL(E_SCHEMA, PG_UNFIT_HINT, "\"%s\" answered \"%s\" with %zu columns, not %zu", check->who,
                    check->statement, columns, count);
    for (size_t i = 0; i < count; i++)
        if (PQftype(have, (int)i) != types[check->shape->columns[i].type].oid || PQfformat(have, (int)i) != 1)
            return FAIL(E_SCHEMA, PG_UNFIT_HINT, "\"%s\" answered \"%s\" with a column %zu that is not %s",
                        check->who, check->statement, i + 1, types[check->shape->columns[i].type].name);
    return OK;
}

static bool may_be_null(const struct pg_column *column, struct str outcome)
{
    struct str words = str_from(column->filled_for), word;
    if (words.ptr == NULL)
        return false;
    while (str_cut(&words, ' ', &word))
        if (word.len > 0 && str_eq(word, outcome))
            return false;
    return true;
}

static bool is_time(int64_t us_since_2000)
{
    return us_since_2000 >= INT64_C(-946684800000000) && us_since_2000 < INT64_C(252455616000000000);
}

/* NULL: it fits. */
static const char *what_is_wrong(const struct pg_column *column, const struct pg_reply *reply, size_t row,
                                 int number)
{
    struct str value = pg_reply_str(reply, row, number);
    size_t bytes = types[column->type].bytes;
    if (bytes != 0 && value.len != bytes)
        return "a value of another width";
    if (value.len > value_bytes_max(column))
        return "a value that is too long";
    if (column->type == PG_TEXT && (!str_is_utf8(value) || memchr(value.ptr, '\0', value.len) != NULL))
        return "a text that is not UTF-8";
    if (column->type == PG_TIME && !is_time(pg_reply_number(reply, row, number)))
        return "a time that is out of range";
    return NULL;
}

static result check_row(const struct check *check, size_t row)
{
    struct str outcome = pg_reply_str(check->reply, row, 0);
    for (int i = 0; i < (int)column_count(check->shape); i++) {
        const struct pg_column *column = &check->shape->columns[i];
        const char *wrong;
        if (!pg_reply_is_null(check->reply, row, i))
            wrong = what_is_wrong(column, check->reply, row, i);
        else
            wrong = may_be_null(column, outcome) ? NULL : "a NULL";
        if (wrong != NULL)
            return FAIL(E_SCHEMA, PG_UNFIT_HINT, "\"%s\" answered \"%s\" with %s in column %d of row %zu",
                        check->who, check->statement, wrong, i + 1, row + 1);
    }
    return OK;
}

result pg_shape_check(const struct pg_shape *shape, const char *who, const char *statement,
                      const struct pg_reply *reply)
{
    const struct check check = { shape, who, statement, reply };
    TRY(check_columns(&check));
    TRY(check_rows(&check));
    size_t rows = pg_reply_rows(reply);
    for (size_t row = 0; row < rows; row++)
        TRY(check_row(&check, row));
    return OK;
}
