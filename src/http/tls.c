/* TLS: the context, and OpenSSL on a connection's bytes instead of a socket's. */
#include "http/internal.h"

#include "base/clock.h"
#include "base/text.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <time.h>

static const char *openssl_reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);
    return reason == NULL ? "unknown" : reason;
}

/* ---- the context ---- */

static int choose_protocol(SSL *ssl, const unsigned char **ret, unsigned char *ret_len,
                           const unsigned char *offered, unsigned int offered_len, void *arg)
{
    static const unsigned char ours[] = "\x02h2\x08http/1.1";
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, ret_len, ours, sizeof ours - 1, offered, offered_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static result set_up(SSL_CTX *context)
{
    const uint64_t off = SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                         SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA;
    SSL_CTX_set_options(context, off);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1 ||
        SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                          "TLS_CHACHA20_POLY1305_SHA256") != 1 ||
        SSL_CTX_set1_groups_list(context, "X25519:P-256") != 1 || SSL_CTX_set_num_tickets(context, 0) != 1)
        return FAIL(E_TLS, "Install OpenSSL 3 with its default provider.", "cannot set up TLS: %s",
                    openssl_reason());
    return OK;
}

static result check_dates(const X509 *certificate, const char *file)
{
    time_t now = (time_t)(clock_wall_ms() / 1000);
    if (X509_cmp_time(X509_get0_notBefore(certificate), &now) > 0)
        return FAIL(E_CERTIFICATE, "Wait until the certificate is valid, or correct the clock.",
                    "the certificate \"%s\" is not yet valid", file);
    if (X509_cmp_time(X509_get0_notAfter(certificate), &now) <= 0)
        return FAIL(E_CERTIFICATE, "Renew the certificate, then start or reload.",
                    "the certificate \"%s\" has expired", file);
    return OK;
}

static result load(SSL_CTX *context, const char *certificate_file, const char *key_file)
{
    if (SSL_CTX_use_certificate_chain_file(context, certificate_file) != 1)
        return FAIL(E_CERTIFICATE, "Give a PEM file with the certificate and its intermediates.",
                    "the certificate \"%s\" cannot be used: %s", certificate_file, openssl_reason());
    TRY(check_dates(SSL_CTX_get0_certificate(context), certificate_file));
    if (SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1)
        return FAIL(E_CERTIFICATE, "Give the PEM file of the private key that belongs to the certificate.",
                    "the key \"%s\" cannot be used with the certificate \"%s\": %s", key_file,
                    certificate_file, openssl_reason());
    return OK;
}

result tls_context_new(SSL_CTX **ret, const char *certificate_file, const char *key_file)
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL)
        return FAIL(E_TLS, NULL, "cannot set up TLS: %s", openssl_reason());
    result r = set_up(context);
    if (!failed(r))
        r = load(context, certificate_file, key_file);
    ERR_clear_error();
    if (failed(r)) {
        SSL_CTX_free(context);
        return r;
    }
    *ret = context;
    return OK;
}

result http_certificate_check(const char *certificate_file, const char *key_file)
{
    SSL_CTX *context;
    TRY(tls_context_new(&context, certificate_file, key_file));
    SSL_CTX_free(context);
    return OK;
}

/* ---- a certificate in words ---- */

static void describe_subject(const X509 *certificate, char *ret, size_t size)
{
    BIO *text = BIO_new(BIO_s_mem());
    must(text != NULL);
    X509_NAME_print_ex(text, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
    char *subject = NULL;
    long length = BIO_get_mem_data(text, &subject);
    text_shorten(ret, size, (struct str){ subject, length > 0 ? (size_t)length : 0 });
    BIO_free(text);
}

static void describe_serial(const X509 *certificate, char *ret, size_t size)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
    char *text = number == NULL ? NULL : BN_bn2hex(number);
    text_fit(ret, size, "%s", text == NULL ? "unknown" : text);
    OPENSSL_free(text);
    BN_free(number);
}

void tls_describe(const X509 *certificate, struct http_certificate *ret)
{
    struct tm end;
    describe_subject(certificate, ret->subject, sizeof ret->subject);
    describe_serial(certificate, ret->serial, sizeof ret->serial);
    must(ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) == 1); /* check_dates has understood it */
    strftime(ret->not_after, sizeof ret->not_after, "%Y-%m-%dT%H:%M:%SZ", &end);
    ERR_clear_error();
}

/* ---- records that are not data ---- */

/* A handshake takes a handful, and so does what may come after it: a key update in gigabytes, an alert at the end. Each
 * costs as much as kilobytes of data (0.7 s of CPU for a megabyte of key updates), and OpenSSL takes any number. */
enum { RECORDS_FREE = 64, BYTES_FOR_A_RECORD = 1024 * 1024 };

static bool is_flood(const struct conn *conn)
{
    return conn->tls_records > RECORDS_FREE + (conn->received + conn->sent) / BYTES_FOR_A_RECORD;
}

/* Of TLS 1.3 the type that counts is inside; the outer one says "data" once there are keys. */
static void count_record(int written, int version, int what, const void *bytes, size_t length, SSL *ssl,
                         void *context)
{
    struct conn *conn = context;
    if (!written && length > 0 && (what == SSL3_RT_HEADER || what == SSL3_RT_INNER_CONTENT_TYPE))
        conn->tls_records += *(const uint8_t *)bytes != SSL3_RT_APPLICATION_DATA;
}

/* ---- a connection's bytes as OpenSSL's input and output ---- */

static int wire_read(BIO *bio, char *buf, size_t size, size_t *ret_len)
{
    struct conn *conn = BIO_get_data(bio);
    *ret_len =
        is_flood(conn) ? 0 : conn_take_input(conn, buf, size); /* OpenSSL would go on to the last byte */
    BIO_clear_retry_flags(bio);
    if (*ret_len > 0)
        return 1;
    BIO_set_retry_read(bio);
    return 0;
}

static int wire_write(BIO *bio, const char *buf, size_t size, size_t *ret_len)
{
    BIO_clear_retry_flags(bio);
    conn_add_output(BIO_get_data(bio), (struct str){ buf, size });
    *ret_len = size;
    return 1;
}

static long wire_control(BIO *bio, int command, long number, void *pointer)
{
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *wire_method(void)
{
    static BIO_METHOD *method; /* for the life of the process */
    if (method != NULL)
        return method;
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "domicile wire");
    must(method != NULL);
    BIO_meth_set_read_ex(method, wire_read);
    BIO_meth_set_write_ex(method, wire_write);
    BIO_meth_set_ctrl(method, wire_control);
    return method;
}

SSL *tls_new(SSL_CTX *context)
{
    ERR_clear_error();
    SSL *ssl = SSL_new(context);
    BIO *bio = ssl == NULL ? NULL : BIO_new(wire_method());
    if (bio == NULL) {
        SSL_free(ssl);
        ERR_clear_error();
        return NULL;
    }
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_accept_state(ssl);
    return ssl;
}

void tls_attach(SSL *ssl, struct conn *conn)
{
    BIO_set_data(SSL_get_rbio(ssl), conn);
    SSL_set_msg_callback(ssl, count_record);
    SSL_set_msg_callback_arg(ssl, conn);
}

bool tls_is_h2(const SSL *ssl)
{
    const unsigned char *name;
    unsigned int length;
    SSL_get0_alpn_selected(ssl, &name, &length);
    return length == 2 && memcmp(name, "h2", 2) == 0;
}

bool tls_handshake(struct conn *conn, bool *ret_done)
{
    ERR_clear_error();
    int status = SSL_do_handshake(conn->ssl);
    *ret_done = status == 1;
    if (is_flood(conn)) {
        conn->server->stats.floods_cut++;
        return false;
    }
    if (status == 1 || SSL_get_error(conn->ssl, status) == SSL_ERROR_WANT_READ)
        return true;
    ERR_clear_error();
    return false;
}

/* Errors that others left would be taken for this connection's. Asking is cheaper than clearing. */
static void forget_errors(void)
{
    if (ERR_peek_error() != 0)
        ERR_clear_error();
}

size_t tls_read(struct conn *conn, char *buf, size_t size)
{
    size_t length = 0;
    if (conn->input.len == 0 && conn->stash.len == 0 && SSL_has_pending(conn->ssl) == 0)
        return 0;
    forget_errors();
    if (SSL_read_ex(conn->ssl, buf, size, &length) == 1)
        return length;
    int error = SSL_get_error(conn->ssl, 0);
    if (error == SSL_ERROR_ZERO_RETURN) {
        conn->peer_ended = true;
    } else if (is_flood(conn)) {
        conn->server->stats.floods_cut++;
        conn_finish(conn);
    } else if (error != SSL_ERROR_WANT_READ) { /* the alert, if any, is in conn->out */
        ERR_clear_error();
        conn->peer_ended = true;
        conn_finish(conn);
    }
    return 0;
}

void tls_write(struct conn *conn, struct str plain)
{
    while (plain.len > 0) {
        size_t written;
        forget_errors();
        if (SSL_write_ex(conn->ssl, plain.ptr, plain.len, &written) != 1) {
            ERR_clear_error();
            conn_abort(conn);
            return;
        }
        plain.ptr += written;
        plain.len -= written;
    }
}

void tls_end(struct conn *conn)
{
    ERR_clear_error();
    if (SSL_is_init_finished(conn->ssl))
        SSL_shutdown(
            conn->ssl); /* its answer is not waited for, ignoring a failure: the socket ends anyway */
    ERR_clear_error();
}
