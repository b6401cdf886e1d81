#include "pg/connect.h"

#include "loop/resolve.h"
#include "pg/internal.h"

#include <stdio.h>
#include <stdlib.h>

enum { CONNECT_WITHIN_MS = 5000, KEYWORDS_MAX = 24, CLIENT_LOOKED_FOR_EVERY_MS = 500 };

/* ---- options ---- */

static result resolve(const struct pg_connect_options *options, char address[ADDRESS_TEXT_SIZE])
{
    if (options->address != NULL && !address_is_numeric(options->address))
        return FAIL(E_CONFIG, "Give a numeric IPv4 or IPv6 address, or leave it out.",
                    "\"%s\" is not a numeric address", options->address);
    return address_resolve(options->address != NULL ? options->address : options->host, address);
}

struct keywords {
    const char *names[KEYWORDS_MAX], *values[KEYWORDS_MAX];
    size_t count;
    char port[8], settings[160], address[ADDRESS_TEXT_SIZE];
};

static void put(struct keywords *keywords, const char *name, const char *value)
{
    must(keywords->count + 1 < KEYWORDS_MAX && value != NULL);
    keywords->names[keywords->count] = name;
    keywords->values[keywords->count++] = value;
    keywords->names[keywords->count] = NULL;
    keywords->values[keywords->count] = NULL;
}

static result put_place(struct keywords *keywords, const struct pg_connect_options *options)
{
    snprintf(keywords->port, sizeof keywords->port, "%u", options->port);
    put(keywords, "host", options->host);
    put(keywords, "port", keywords->port);
    put(keywords, "dbname", options->database);
    put(keywords, "user", options->user);
    if (options->host[0] == '/')
        return OK;
    TRY(resolve(options, keywords->address));
    put(keywords, "hostaddr", keywords->address);
    if (options->ca == NULL || options->certificate == NULL || options->private_key == NULL)
        return FAIL(E_CONFIG, "Name the CA, the certificate and the private key for this database.",
                    "the connection to \"%s\" has no certificates", options->host);
    put(keywords, "sslmode", "verify-full");
    put(keywords, "ssl_min_protocol_version", "TLSv1.2");
    put(keywords, "sslrootcert", options->ca);
    put(keywords, "sslcert", options->certificate);
    put(keywords, "sslkey", options->private_key);
    return OK;
}

/* A server or a network that is silent is noticed even while nothing is asked. passfile: this is not psql.
 *
 * client_connection_check_interval: the server ends the statement of a client that is gone. That, and not a cancel
 * request: it can never reach a later statement, it does not end the wait of a commit for a standby (the row would show
 * though no standby has it), and it needs no connection to a server that may not answer. */
static void put_habits(struct keywords *keywords, const struct pg_connect_options *options)
{
    snprintf(keywords->settings, sizeof keywords->settings,
             "-c jit=off -c client_min_messages=error -c client_connection_check_interval=%d "
             "-c statement_timeout=%llu",
             CLIENT_LOOKED_FOR_EVERY_MS, (unsigned long long)options->statement_within_ms);
    put(keywords, "options", keywords->settings);
    put(keywords, "application_name",
        options->application_name != NULL ? options->application_name : "domicile");
    put(keywords, "client_encoding", "UTF8");
    put(keywords, "gssencmode", "disable");
    put(keywords, "passfile", "/dev/null/none");
    put(keywords, "keepalives_idle", "10");
    put(keywords, "keepalives_interval", "5");
    put(keywords, "keepalives_count", "3");
    put(keywords, "tcp_user_timeout", "25000");
}

/* ---- the connection ---- */

static bool mentions(const char *message, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strstr(message, *words) != NULL)
            return true;
    return false;
}

/* libpq 15 tells why a log-in failed in words only. */
static result not_connected(const struct pg_connect_options *options, PGconn *pq)
{
    static const char *const refusals[] = { "pg_hba.conf", "does not exist", "authentication failed",
                                            "permission denied for database", NULL };
    static const char *const tls[] = { "SSL", "certificate", "private key", NULL };
    const char *message = PQerrorMessage(pq);
    struct str words = pg_first_line(message);
    if (strstr(message, "FATAL:") != NULL && mentions(message, refusals))
        return FAIL(E_CONFIG, "Check the role, the database and pg_hba.conf of that server.",
                    "\"%s\" refuses \"%s\": %.*s", options->host, options->user, STR_ARG(words));
    if (strstr(message, "FATAL:") == NULL && mentions(message, tls))
        return FAIL(E_TLS,
                    "Check that the certificates of both sides are valid now, signed by the cell's CA and "
                    "for this host.",
                    "TLS with \"%s\" failed: %.*s", options->host, STR_ARG(words));
    return FAIL(E_UNAVAILABLE, "Check that PostgreSQL is running there and can be reached from this host.",
                "\"%s\" port %u: %.*s", options->host, options->port, STR_ARG(words));
}

/* The socket may be another one after each poll. */
static result poll_until_connected(const struct pg_connect_options *options, PGconn *pq)
{
    int events = WATCH_WRITABLE;
    for (;;) {
        int seen;
        TRY(fiber_await_fd(PQsocket(pq), events, &seen));
        switch (PQconnectPoll(pq)) {
        case PGRES_POLLING_OK:
            return OK;
        case PGRES_POLLING_READING:
            events = WATCH_READABLE;
            break;
        case PGRES_POLLING_WRITING:
            events = WATCH_WRITABLE;
            break;
        default:
            return not_connected(options, pq);
        }
    }
}

static void ignore_notice(void *arg, const PGresult *notice) {}

static result start(const struct pg_connect_options *options, PGconn **ret)
{
    struct keywords keywords = { 0 };
    TRY(put_place(&keywords, options));
    put_habits(&keywords, options);
    PGconn *pq = PQconnectStartParams(keywords.names, keywords.values, 0);
    if (pq == NULL)
        return FAIL(E_MEMORY, NULL, "not enough memory for a connection");
    result r = PQstatus(pq) == CONNECTION_BAD ? not_connected(options, pq) : OK;
    PQsetNoticeReceiver(pq, ignore_notice, NULL);
    if (!failed(r))
        r = poll_until_connected(options, pq);
    if (!failed(r) && PQsetnonblocking(pq, 1) != 0)
        r = FAIL(E_IO, NULL, "cannot set the connection to \"%s\" to non-blocking", options->host);
    if (failed(r)) {
        PQfinish(pq);
        return r;
    }
    *ret = pq;
    return OK;
}

result pg_connect(const struct pg_connect_options *options, struct pg_conn **ret)
{
    must(options->host != NULL && options->database != NULL && options->user != NULL);
    uint64_t within_ms = options->connect_within_ms != 0 ? options->connect_within_ms : CONNECT_WITHIN_MS;
    struct pg_conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL)
        return FAIL(E_MEMORY, NULL, "not enough memory for a connection");
    struct deadline deadline;
    deadline_begin(&deadline, within_ms);
    result r = start(options, &conn->pq);
    deadline_end(&deadline);
    if (failed(r)) {
        free(conn);
        if (r.error.code == E_DEADLINE && !failed(fiber_check()))
            return FAIL(E_UNAVAILABLE,
                        "Check that PostgreSQL is running there and can be reached from this host.",
                        "\"%s\" port %u does not answer within %llu ms", options->host, options->port,
                        (unsigned long long)within_ms);
        return r;
    }
    pg_watch_reads(conn);
    *ret = conn;
    return OK;
}

void pg_close(struct pg_conn *conn)
{
    if (conn == NULL)
        return;
    PQfinish(conn->pq);
    free(conn);
}

PGconn *pg_conn_raw(struct pg_conn *conn)
{
    return conn->pq;
}
