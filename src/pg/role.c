#include "pg/role.h"

const char *pg_role_user(enum pg_role role)
{
    static const char *const users[] = { [PG_GATEWAY] = "domicile_gateway",
                                         [PG_ADMIN] = "domicile_admin",
                                         [PG_MONITOR] = "domicile_monitor",
                                         [PG_SUPERUSER] = "postgres" };
    must(role != PG_NOBODY);
    return users[role];
}

const struct tls_files *pg_role_files(const struct cell *cell, enum pg_role role)
{
    const struct tls_files *const files[] = { [PG_GATEWAY] = &cell->gateway,
                                              [PG_ADMIN] = &cell->admin,
                                              [PG_MONITOR] = &cell->monitor.files,
                                              [PG_SUPERUSER] = &cell->superuser };
    must(role != PG_NOBODY);
    return files[role];
}

result pg_role_need(enum pg_role role, const struct cell *cell)
{
    if (pg_role_files(cell, role)->certificate != NULL)
        return OK;
    return FAIL(E_CONFIG, "Add superuser = { certificate, private_key } to the cell in the region's file.",
                "the cell \"%s\" declares no certificate of %s", cell->name.ptr, pg_role_user(role));
}

struct pg_connect_options pg_role_options(enum pg_role role, const struct cell *cell, const struct node *node,
                                          const char *application_name)
{
    const struct tls_files *files = pg_role_files(cell, role);
    return (struct pg_connect_options){ .host = node->address,
                                        .port = (uint16_t)node->port,
                                        .database = cell->database,
                                        .user = pg_role_user(role),
                                        .certificate = files->certificate,
                                        .private_key = files->private_key,
                                        .ca = cell->ca,
                                        .application_name = application_name,
                                        .connect_within_ms = cell->pool.connect_within_ms };
}
