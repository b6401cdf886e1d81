#include "pg/reply.h"

static uint64_t from_big_endian(const char *bytes, int len)
{
    uint64_t number = 0;
    for (int i = 0; i < len; i++)
        number = number << 8 | (uint8_t)bytes[i];
    return number;
}

static struct pg_value number_value(uint64_t number, int len)
{
    struct pg_value value = { .len = len };
    for (int i = len; i-- > 0; number >>= 8)
        value.number[i] = (char)(number & 0xff);
    return value;
}

struct pg_value pg_null(void)
{
    return (struct pg_value){ 0 };
}

struct pg_value pg_text(struct str s)
{
    must(s.len <= INT32_MAX);
    return (struct pg_value){ .ptr = s.ptr != NULL ? s.ptr : "", .len = (int)s.len };
}

struct pg_value pg_bytes(struct str s)
{
    return pg_text(s);
}

struct pg_value pg_int4(int32_t number)
{
    return number_value((uint32_t)number, 4);
}

struct pg_value pg_int8(int64_t number)
{
    return number_value((uint64_t)number, 8);
}

struct pg_value pg_bool(bool value)
{
    return number_value(value, 1);
}

void pg_reply_done(struct pg_reply *reply)
{
    PQclear(reply->result);
    *reply = PG_REPLY_INIT;
}

size_t pg_reply_rows(const struct pg_reply *reply)
{
    return reply->result == NULL ? 0 : (size_t)PQntuples(reply->result);
}

bool pg_reply_is_null(const struct pg_reply *reply, size_t row, int column)
{
    return row >= pg_reply_rows(reply) || column < 0 || column >= PQnfields(reply->result) ||
           PQgetisnull(reply->result, (int)row, column) == 1;
}

struct str pg_reply_str(const struct pg_reply *reply, size_t row, int column)
{
    if (pg_reply_is_null(reply, row, column))
        return (struct str){ "", 0 };
    return (struct str){ PQgetvalue(reply->result, (int)row, column),
                         (size_t)PQgetlength(reply->result, (int)row, column) };
}

int64_t pg_reply_number(const struct pg_reply *reply, size_t row, int column)
{
    struct str s = pg_reply_str(reply, row, column);
    switch (s.len) {
    case 1:
        return (uint8_t)s.ptr[0];
    case 2:
        return (int16_t)from_big_endian(s.ptr, 2);
    case 4:
        return (int32_t)from_big_endian(s.ptr, 4);
    case 8:
        return (int64_t)from_big_endian(s.ptr, 8);
    default:
        return 0;
    }
}

int64_t pg_reply_unix_ms(const struct pg_reply *reply, size_t row, int column)
{
    static const int64_t between_epochs_us = INT64_C(946684800000000); /* 1970-01-01 and 2000-01-01 */
    int64_t us = pg_reply_number(reply, row, column);
    return us > INT64_MAX - between_epochs_us ? INT64_MAX / 1000 : (us + between_epochs_us) / 1000;
}
