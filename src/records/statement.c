#include "records/statement.h"

#include "config/config.h"

enum {
    ID_BYTES = 63,
    KEY_BYTES = 512,
    SECRET_HASH_BYTES = 512,
    PROOF_BYTES = 32,
    SUBJECT_BYTES = 200,
    WRAPPED_BYTES = 1024,
    PAYLOAD_BYTES = CONFIG_BODY_BYTES_MAX + 512,
    PAGE_BYTES = PAYLOAD_BYTES + 8 * 1024 * 1024, /* one that is largest, behind as many as a page may have */
};

#define READ .idempotent = true
#define WRITE .idempotent = false
#define ALONE .alone = true

#define ONE_ROW .rows_min = 1, .rows_max = 1
#define ROWS(most) .rows_max = (most)
#define ROWS_OF_BYTES(most) .rows_max = (most), .bytes_max = PAGE_BYTES

#define COLUMNS(...) .columns = { __VA_ARGS__ }
#define COLUMN(type, most, outcomes)                                                                         \
    {                                                                                                        \
        type, most, outcomes                                                                                 \
    }
#define BOOL COLUMN(PG_BOOL, 0, NULL)
#define INT4 COLUMN(PG_INT4, 0, NULL)
#define INT8 COLUMN(PG_INT8, 0, NULL)
#define TIME COLUMN(PG_TIME, 0, NULL)
#define TEXT(most) COLUMN(PG_TEXT, most, NULL)
#define BYTES(most) COLUMN(PG_BYTES, most, NULL)
#define INT4_FOR(outcomes) COLUMN(PG_INT4, 0, outcomes)
#define INT8_FOR(outcomes) COLUMN(PG_INT8, 0, outcomes)
#define TIME_FOR(outcomes) COLUMN(PG_TIME, 0, outcomes)
#define TEXT_FOR(outcomes, most) COLUMN(PG_TEXT, most, outcomes)
#define BYTES_FOR(outcomes, most) COLUMN(PG_BYTES, most, outcomes)

const struct pg_statement statements[STATEMENT_COUNT] = {
#define X(id, statement, how, rows, columns, text)                                                           \
    [id] = { .name = statement, .sql = text, how, .shape = { rows, columns } },
#include "records/statements.def"
#undef X
};
