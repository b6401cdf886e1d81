#include "records/statement.h"

const struct pg_statement statements[STATEMENT_COUNT] = {
#define X(id, name, idempotent, sql) [id] = { name, sql, idempotent },
#include "records/statements.def"
#undef X
};
