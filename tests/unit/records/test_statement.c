/* What the statements of a gateway declare, against answers of any kind. */
#include "pg/answer.h"
#include "records/statement.h"

#include <stdlib.h>

/* Whatever it is, reading it ends. */
static void p8_no_answer_ends_the_reader(void **state)
{
    (void)state;
    static const Oid some[] = { OID_BOOL, OID_BYTEA, OID_INT8, OID_INT4, OID_TEXT, OID_TIMESTAMPTZ, 0, 1043 };
    srand(1);
    for (int round = 0; round < 20000; round++) {
        int columns = rand() % 8, rows = columns == 0 ? 0 : rand() % 4;
        Oid of[8];
        char bytes[16];
        struct cell_value values[32];
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (char)rand();
        for (int i = 0; i < columns; i++)
            of[i] = some[(size_t)rand() % COUNT(some)];
        for (int i = 0; i < rows * columns; i++)
            values[i] = (struct cell_value){ bytes, rand() % 18 - 1 };
        struct pg_reply reply = reply_of(of, columns, values, rows);
        for (size_t i = 0; i < STATEMENT_COUNT; i++)
            (void)pg_shape_check(&statements[i].shape, "us-1", statements[i].name, &reply).error.code;
        for (size_t row = 0; row < 5; row++)
            for (int column = -1; column < 9; column++) {
                struct str s = pg_reply_str(&reply, row, column);
                (void)pg_reply_number(&reply, row, column);
                (void)pg_reply_unix_ms(&reply, row, column);
                assert_true(!pg_reply_is_null(&reply, row, column) || s.len == 0);
            }
        pg_reply_done(&reply);
    }
}

static void every_statement_of_a_gateway_declares_its_answer(void **state)
{
    (void)state;
    for (size_t i = 0; i < STATEMENT_COUNT; i++) {
        assert_true(pg_shape_is_declared(&statements[i].shape));
        assert_in_range(statements[i].shape.rows_max, 1, 10000);
        assert_in_range(pg_shape_bytes(&statements[i].shape), 1, 96 * 1024 * 1024);
    }
    assert_true(pg_shape_bytes(&statements[STATEMENT_CLIENT_GET].shape) < 8 * 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p8_no_answer_ends_the_reader),
        cmocka_unit_test(every_statement_of_a_gateway_declares_its_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
