/* The check of an answer, fit and unfit in each way. */
#include "pg/answer.h"

static const struct pg_shape shape = { .rows_min = 1,
                                       .rows_max = 2,
                                       .columns = { { PG_TEXT, 8, NULL },
                                                    { PG_INT8, 0, "found kept" },
                                                    { PG_BYTES, 4, "found" },
                                                    { PG_TIME, 0, "" },
                                                    { PG_BOOL, 0, NULL },
                                                    { PG_INT4, 0, NULL } } };
enum { COLUMNS_HERE = 6 };
static const Oid types[] = { OID_TEXT, OID_INT8, OID_BYTEA, OID_TIMESTAMPTZ, OID_BOOL, OID_INT4 };
static const struct cell_value fit[COLUMNS_HERE] = { { "found", 5 },    { "\0\0\0\0\0\0\0\1", 8 },
                                                     { "\1\0\2\3", 4 }, { "\0\0\0\0\0\0\0\1", 8 },
                                                     { "\1", 1 },       { "\0\0\0\1", 4 } };

static result check_with(int column, struct cell_value value)
{
    struct cell_value values[COLUMNS_HERE];
    memcpy(values, fit, sizeof fit);
    values[column] = value;
    struct pg_reply reply = reply_of(types, COLUMNS_HERE, values, 1);
    result r = pg_shape_check(&shape, "us-1", "record_get", &reply);
    pg_reply_done(&reply);
    return r;
}

static void what_was_declared_fits(void **state)
{
    (void)state;
    check_ok(check_with(0, fit[0]));
    check_ok(check_with(3, (struct cell_value){ NULL, -1 }));
    check_ok(check_with(2, (struct cell_value){ "", 0 }));
    check_ok(check_with(5, (struct cell_value){ "\xff\xff\xff\xff", 4 }));
    const struct cell_value absent[COLUMNS_HERE] = { { "absent", 6 }, { NULL, -1 }, { NULL, -1 },
                                                     { NULL, -1 },    { "\0", 1 },  { "\0\0\0\0", 4 } };
    struct pg_reply reply = reply_of(types, COLUMNS_HERE, absent, 1);
    check_ok(pg_shape_check(&shape, "us-1", "record_get", &reply));
    pg_reply_done(&reply);
}

static void a_value_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    static const struct {
        int column;
        struct cell_value value;
        const char *said;
    } cases[] = {
        { 0, { NULL, -1 }, "a NULL in column 1 of row 1" },
        { 0, { "123456789", 9 }, "a value that is too long in column 1" },
        { 0, { "\xff\xfe", 2 }, "a text that is not UTF-8 in column 1" },
        { 0, { "a\0b", 3 }, "a text that is not UTF-8 in column 1" },
        { 0, { "kept", 4 }, NULL }, /* it has its number; bytes may be there */
        { 1, { NULL, -1 }, "a NULL in column 2" },
        { 1, { "\0\0\0\1", 4 }, "a value of another width in column 2" },
        { 1, { "", 0 }, "a value of another width in column 2" },
        { 2, { NULL, -1 }, "a NULL in column 3" },
        { 2, { "12345", 5 }, "a value that is too long in column 3" },
        { 3,
          { "\x7f\xff\xff\xff\xff\xff\xff\xff", 8 },
          "a time that is out of range in column 4" }, /* infinity */
        { 3, { "\x80\0\0\0\0\0\0\0", 8 }, "a time that is out of range in column 4" },
        { 4, { NULL, -1 }, "a NULL in column 5" },
        { 4, { "\0\1", 2 }, "a value of another width in column 5" },
        { 5, { "\0\1", 2 }, "a value of another width in column 6" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        result r = check_with(cases[i].column, cases[i].value);
        if (cases[i].said == NULL) {
            check_ok(r);
            continue;
        }
        check_fails(E_SCHEMA, r);
        assert_non_null(strstr(r.error.what, cases[i].said));
        assert_non_null(strstr(r.error.what, "\"us-1\" answered \"record_get\" with"));
    }
}

static void rows_and_columns_are_counted_and_of_their_type(void **state)
{
    (void)state;
    struct cell_value three[3 * COLUMNS_HERE];
    for (int i = 0; i < 3; i++)
        memcpy(three + i * COLUMNS_HERE, fit, sizeof fit);
    for (int rows = 0; rows <= 3; rows++) {
        struct pg_reply reply = reply_of(types, COLUMNS_HERE, three, rows);
        result r = pg_shape_check(&shape, "us-1", "record_get", &reply);
        assert_int_equal(r.error.code, rows == 1 || rows == 2 ? E_OK : E_SCHEMA);
        pg_reply_done(&reply);
    }
    for (int columns = 0; columns < COLUMNS_HERE; columns++) {
        struct pg_reply reply = reply_of(types, columns, fit, columns > 0);
        check_fails(E_SCHEMA, pg_shape_check(&shape, "us-1", "record_get", &reply));
        pg_reply_done(&reply);
    }
    for (int column = 0; column < COLUMNS_HERE; column++) {
        Oid others[COLUMNS_HERE];
        memcpy(others, types, sizeof types);
        others[column] = others[column] == OID_TEXT ? 1043 : OID_TEXT;
        struct pg_reply reply = reply_of(others, COLUMNS_HERE, fit, 1);
        check_fails(E_SCHEMA, pg_shape_check(&shape, "us-1", "record_get", &reply));
        pg_reply_done(&reply);
    }
    struct pg_reply none = PG_REPLY_INIT;
    check_fails(E_SCHEMA, pg_shape_check(&shape, "us-1", "record_get", &none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_declared_fits),
        cmocka_unit_test(a_value_that_does_not_fit_is_refused),
        cmocka_unit_test(rows_and_columns_are_counted_and_of_their_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
