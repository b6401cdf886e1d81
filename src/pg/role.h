#pragma once
/* As whom domicile comes to a cell's nodes, and the options of such a connection: made here and nowhere else. */
#include "config/config.h"
#include "pg/connect.h"

enum pg_role { PG_NOBODY, PG_GATEWAY, PG_ADMIN, PG_MONITOR, PG_SUPERUSER };

const char *pg_role_user(enum pg_role role);
/* Client certificate and key; their paths are NULL where the cell declares none. */
const struct tls_files *pg_role_files(const struct cell *cell, enum pg_role role);

/* E_CONFIG: the cell declares no certificate for the role. */
result pg_role_need(enum pg_role role, const struct cell *cell) MUST_USE;

/* Over TLS, within the cell's pool.connect_within_ms, and without a limit for statements: the caller sets
 * statement_within_ms. Points into the configuration. `role` is not PG_NOBODY. */
struct pg_connect_options pg_role_options(enum pg_role role, const struct cell *cell, const struct node *node,
                                          const char *application_name);
