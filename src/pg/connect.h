#pragma once
/* One connection to one PostgreSQL server, on a fiber. TLS 1.2 or newer with verify-full and a client
 * certificate; names are resolved off the loop, never by libpq. Options go to libpq as keyword and value: no
 * text is built. */
#include "loop/fiber.h"

#include <libpq-fe.h>

struct pg_connect_options {
    /* The name or address that the server's certificate must carry. A path that begins with '/' is a Unix socket's
     * directory, which goes without TLS (throw-away servers in tests). */
    const char *host;
    const char *address; /* numeric, to connect to; NULL: `host`, resolved off the loop when it is a name */
    uint16_t port;
    const char *database, *user;
    const char *certificate, *private_key, *ca; /* PEM files; the key is not readable by others */
    const char *application_name;               /* "domiciled eu-fr"; NULL: "domicile" */
    uint64_t connect_within_ms;                 /* resolving, TCP, TLS and log-in together; 0: 5,000 */
    uint64_t statement_within_ms;               /* the server's statement_timeout; 0: none (migrations) */
};

struct pg_conn;

/* Waits. The strings are not kept.
 *   E_UNAVAILABLE  nobody answers, or the server is starting or full (try again)
 *   E_TLS          certificates or names do not match
 *   E_CONFIG       the server refuses this user or database */
result pg_connect(const struct pg_connect_options *options, struct pg_conn **ret) MUST_USE;
/* Does not wait. Takes NULL. The server ends what it still runs on it, as after a wait that is cut short (exec.h). */
void pg_close(struct pg_conn *conn);

PGconn *pg_conn_raw(struct pg_conn *conn); /* for pool.c and exec.c */
