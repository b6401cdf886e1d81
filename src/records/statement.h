#pragma once
/* The prepared statements of a cell's pool: one list for the gateway, declared in statements.def. */
#include "pg/pool.h"

enum statement {
#define X(id, name, how, rows, columns, sql) id,
#include "records/statements.def"
#undef X
    STATEMENT_COUNT
};

extern const struct pg_statement statements[STATEMENT_COUNT];
