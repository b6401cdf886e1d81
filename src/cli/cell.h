#pragma once
/* Cells for the operator's commands: directly through PostgreSQL, with the certificate of domicile_admin. */
#include "cli/cli.h"
#include "schema/migrate.h"

/* "REGION/CELL". E_REGION_UNKNOWN, E_NOT_FOUND. */
result cell_parse(struct cli *cli, const char *text, const struct cell **ret) MUST_USE;

/* On a fiber. To the cell's primary as configured. */
result cell_connect(const struct cell *cell, struct pg_conn **ret) MUST_USE;

struct cell_facts {
    char stamp[160]; /* "REGION/CELL"; empty: none yet */
    int64_t epoch;
    int schema_version;
};
result cell_ask(const struct cell *cell, struct cell_facts *ret) MUST_USE; /* on a fiber */
