/* Values and rows without a server: libpq makes a result by hand. */
#include "check.h"
#include "pg/reply.h"

static void numbers_are_big_endian_and_as_wide_as_their_type(void **state)
{
    (void)state;
    assert_memory_equal(pg_int4(0x01020304).number, "\x01\x02\x03\x04", 4);
    assert_memory_equal(pg_int8(INT64_MIN).number, "\x80\0\0\0\0\0\0\0", 8);
    assert_int_equal(pg_bool(true).len, 1);
    assert_int_equal(pg_null().len, 0);
    assert_null(pg_null().ptr);
    assert_non_null(pg_text((struct str){ 0 }).ptr); /* empty is not NULL */
}

static struct pg_reply reply_of(const char *bytes, int len)
{
    PGresult *made = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc column = { .name = "c", .format = 1 };
    assert_int_equal(PQsetResultAttrs(made, 1, &column), 1);
    char copy[16];
    memcpy(copy, bytes, len > 0 ? (size_t)len : 0);
    assert_int_equal(PQsetvalue(made, 0, 0, copy, len), 1);
    return (struct pg_reply){ .result = made };
}

static void numbers_come_back_with_their_sign(void **state)
{
    (void)state;
    const struct {
        const char *bytes;
        int len;
        int64_t number;
    } cases[] = {
        { "\x01", 1, 1 },           { "\xff\xfe", 2, -2 },
        { "\x7f\xff", 2, 32767 },   { "\xff\xff\xff\xff", 4, -1 },
        { "\0\x01\0\0", 4, 65536 }, { "\x80\0\0\0\0\0\0\0", 8, INT64_MIN },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pg_reply reply = reply_of(cases[i].bytes, cases[i].len);
        assert_true(pg_reply_number(&reply, 0, 0) == cases[i].number);
        pg_reply_done(&reply);
        assert_int_equal(pg_reply_rows(&reply), 0);
    }
}

static void null_is_empty_and_zero(void **state)
{
    (void)state;
    struct pg_reply reply = reply_of("", -1);
    assert_true(pg_reply_is_null(&reply, 0, 0));
    assert_int_equal(pg_reply_str(&reply, 0, 0).len, 0);
    assert_int_equal(pg_reply_number(&reply, 0, 0), 0);
    pg_reply_done(&reply);
    pg_reply_done(&reply); /* an empty one is fine */
}

static void a_time_is_of_the_unix_epoch(void **state)
{
    struct pg_reply reply = reply_of("\0\0\0\0\0\0\0\0", 8); /* 2000-01-01 */
    assert_int_equal(pg_reply_unix_ms(&reply, 0, 0), 946684800000);
    pg_reply_done(&reply);
    reply = reply_of("\xff\xfc\xa2\xfe\xc4\xc8\x20\0", 8); /* 1970-01-01 */
    assert_int_equal(pg_reply_unix_ms(&reply, 0, 0), 0);
    pg_reply_done(&reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_big_endian_and_as_wide_as_their_type),
        cmocka_unit_test(numbers_come_back_with_their_sign),
        cmocka_unit_test(null_is_empty_and_zero),
        cmocka_unit_test(a_time_is_of_the_unix_epoch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
