/* How much may arrive on a connection. */
#include "pg/internal.h"
#include "pg/shape.h"

#include <errno.h>
#include <openssl/ssl.h>

void pg_allow(struct pg_conn *conn, size_t bytes)
{
    conn->allowed = bytes + bytes / 32; /* records of TLS carry 8 KiB each, or little altogether */
}

/* libpq takes the failure of a read for the end of the connection. */
static long on_read(BIO *bio, int operation, const char *bytes, size_t len, int number, long more,
                    int outcome, size_t *processed)
{
    struct pg_conn *conn = (struct pg_conn *)BIO_get_callback_arg(bio);
    if (operation == BIO_CB_READ && conn->allowed == 0) {
        conn->overflowed = true;
        BIO_clear_retry_flags(bio);
        errno = ECONNRESET; /* whatever else it is, libpq may try again */
        return -1;
    }
    if (operation == (BIO_CB_READ | BIO_CB_RETURN) && outcome > 0)
        conn->allowed -= *processed < conn->allowed ? *processed : conn->allowed;
    return outcome;
}

bool pg_consume(struct pg_conn *conn)
{
    return PQconsumeInput(conn->pq) == 1 && !conn->overflowed;
}

void pg_watch_reads(struct pg_conn *conn)
{
    SSL *ssl = PQsslStruct(conn->pq, "OpenSSL");
    pg_allow(conn, PG_ANSWER_BYTES_MAX);
    if (ssl == NULL)
        return;
    BIO *bio = SSL_get_rbio(ssl);
    BIO_set_callback_arg(bio, (char *)conn);
    BIO_set_callback_ex(bio, on_read);
}
