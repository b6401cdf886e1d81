/* Until when certificates are valid. */
#include "health/health_ask.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <time.h>

static struct health_number valid_until(X509 *certificate)
{
    struct tm tm;
    if (certificate == NULL || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &tm) != 1)
        return (struct health_number){ 0 };
    return (struct health_number){ true, (int64_t)timegm(&tm) * 1000 };
}

struct health_number health_peer_certificate(struct pg_conn *conn)
{
    SSL *ssl = PQsslStruct(pg_conn_raw(conn), "OpenSSL");
    return ssl == NULL ? (struct health_number){ 0 } : valid_until(SSL_get0_peer_certificate(ssl));
}

struct health_number health_file_certificate(const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return (struct health_number){ 0 };
    X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    struct health_number until = valid_until(certificate);
    X509_free(certificate);
    ERR_clear_error();
    return until;
}
