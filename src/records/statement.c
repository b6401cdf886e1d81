#include "records/statement.h"

#define READ .idempotent = true
#define WRITE .idempotent = false
#define ALONE .alone = true

const struct pg_statement statements[STATEMENT_COUNT] = {
#define X(id, statement, how, text) [id] = { .name = statement, .sql = text, how },
#include "records/statements.def"
#undef X
};
