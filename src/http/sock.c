/* Sockets: listening, accepting, reading into a connection and writing out of it. */
#include "http/internal.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

struct sending {
    uv_write_t request;
    struct conn *conn;
    struct buf bytes;
};

/* ---- in ---- */

static void give_memory(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct conn *conn = handle->data;
    *ret = uv_buf_init(conn->server->wire, sizeof conn->server->wire);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *memory)
{
    struct conn *conn = stream->data;
    if (length == UV_EOF) {
        conn_ended(conn);
    } else if (length < 0) {
        conn_abort(conn);
    } else if (length > 0) {
        /* A full buffer means that there is more: the others first. */
        if ((size_t)length == memory->len) {
            conn->resting = true;
            sock_read(conn, false);
        }
        conn_receive(conn, (struct str){ memory->base, (size_t)length });
    }
}

void sock_read(struct conn *conn, bool on)
{
    if (conn->reading == on)
        return;
    conn->reading = on;
    if (!on)
        uv_read_stop((uv_stream_t *)&conn->tcp);
    else if (uv_read_start((uv_stream_t *)&conn->tcp, give_memory, on_read) != 0)
        conn_abort(conn);
}

/* ---- out ---- */

static void on_sent(uv_write_t *request, int status)
{
    struct sending *sending = request->data;
    struct conn *conn = sending->conn;
    conn->sending = NULL;
    buf_done(&sending->bytes);
    free(sending);
    if (status != 0)
        conn_abort(conn);
    conn_wake_all(conn);
    conn_touch(conn);
}

static void send_rest(struct conn *conn)
{
    struct sending *sending = malloc(sizeof *sending);
    if (sending == NULL) {
        conn_abort(conn);
        return;
    }
    *sending = (struct sending){ .conn = conn, .bytes = conn->out };
    sending->request.data = sending;
    buf_init(&conn->out, conn->out.max);
    uv_buf_t bytes = uv_buf_init(sending->bytes.ptr, (unsigned)sending->bytes.len);
    conn->sending = sending;
    int status = uv_write(&sending->request, (uv_stream_t *)&conn->tcp, &bytes, 1, on_sent);
    if (status != 0) {
        conn->sending = NULL;
        buf_done(&sending->bytes);
        free(sending);
        conn_abort(conn);
    }
}

size_t sock_queued(const struct conn *conn)
{
    return conn->sending == NULL ? 0 : uv_stream_get_write_queue_size((const uv_stream_t *)&conn->tcp);
}

void sock_flush(struct conn *conn)
{
    if (conn->sending != NULL || conn->out.len == 0)
        return;
    uv_buf_t bytes =
        uv_buf_init(conn->out.ptr, (unsigned)(conn->out.len < INT32_MAX ? conn->out.len : INT32_MAX));
    int written = uv_try_write((uv_stream_t *)&conn->tcp, &bytes, 1);
    if (written < 0 && written != UV_EAGAIN) {
        conn_abort(conn);
        return;
    }
    conn->sent += conn->out.len;
    conn->server->stats.bytes_sent += conn->out.len;
    if (written > 0 && (size_t)written == conn->out.len) {
        buf_done(&conn->out);
        conn_wake_all(conn);
        return;
    }
    if (written > 0)
        buf_consume(&conn->out, (size_t)written);
    send_rest(conn);
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
    /* the peer's end or the time limit closes it, whatever came of this */
}

void sock_shutdown(struct conn *conn)
{
    if (uv_shutdown(&conn->shutdown, (uv_stream_t *)&conn->tcp, on_shutdown) != 0)
        conn_abort(conn);
}

static void on_closed(uv_handle_t *handle)
{
    struct conn *conn = handle->data;
    conn->handle_open = false;
    conn_maybe_free(conn);
}

void sock_close(struct conn *conn)
{
    conn->reading = false;
    uv_close((uv_handle_t *)&conn->tcp, on_closed);
}

/* ---- listening ---- */

static void set_peer(struct conn *conn)
{
    struct sockaddr_storage address;
    int length = sizeof address;
    bool known = uv_tcp_getpeername(&conn->tcp, (struct sockaddr *)&address, &length) == 0;
    address_set(conn, known ? (struct sockaddr *)&address : NULL);
    if (!known || uv_ip_name((struct sockaddr *)&address, conn->peer, sizeof conn->peer) != 0)
        memcpy(conn->peer, "unknown", sizeof "unknown");
}

static void on_refused_closed(uv_handle_t *handle)
{
    free(handle);
}

static void refuse(struct listener *listener)
{
    uv_tcp_t *tcp = malloc(sizeof *tcp);
    if (tcp == NULL)
        return;
    must(uv_tcp_init(loop_uv(), tcp) == 0);
    (void)uv_accept((uv_stream_t *)&listener->tcp, (uv_stream_t *)tcp); /* closed below either way */
    uv_close((uv_handle_t *)tcp, on_refused_closed);
    listener->server->stats.connections_refused++;
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct listener *listener = stream->data;
    struct http_server *server = listener->server;
    if (status != 0)
        return; /* libuv has closed it, for want of descriptors */
    SSL *ssl = NULL;
    bool full = server->stats.connections >= server->limits.connections && !server_evict_quiet(server);
    if (!full && !listener->cleartext)
        ssl = tls_new(server->tls);
    struct conn *conn = full || (ssl == NULL && !listener->cleartext) ? NULL : conn_new(server, ssl);
    if (conn == NULL) {
        refuse(listener);
        return;
    }
    must(uv_tcp_init(loop_uv(), &conn->tcp) == 0);
    conn->tcp.data = conn;
    conn->has_socket = conn->handle_open = true;
    if (uv_accept(stream, (uv_stream_t *)&conn->tcp) != 0) {
        conn_abort(conn);
        return;
    }
    server->stats.connections_accepted++;
    set_peer(conn);
    if (listener->cleartext)
        conn_open(conn, &h1_protocol);
    if (conn->state != CONN_CLOSED)
        sock_read(conn, true);
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
    const struct in6_addr *six = &((const struct sockaddr_in6 *)address)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(six);
}

static result parse_address(const struct http_listener *listener, struct sockaddr_storage *ret)
{
    if (uv_ip4_addr(listener->address, listener->port, (struct sockaddr_in *)ret) != 0 &&
        uv_ip6_addr(listener->address, listener->port, (struct sockaddr_in6 *)ret) != 0)
        return FAIL(E_CONFIG, "Give a numeric IPv4 or IPv6 address.", "\"%s\" is not an address",
                    listener->address);
    if (listener->cleartext && !is_loopback((struct sockaddr *)ret))
        return FAIL(E_CONFIG, "Listen with TLS, or on a loopback address.",
                    "cleartext is refused on the address \"%s\"", listener->address);
    return OK;
}

static result bound_socket(const struct http_listener *listener, bool reuse_port, int *ret)
{
    static const int on = 1;
    struct sockaddr_storage address = { 0 };
    TRY(parse_address(listener, &address));
    socklen_t length =
        address.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return FAIL(E_IO, NULL, "cannot create a socket for \"%s\": %s", listener->address, strerror(errno));
    /* Accepted sockets inherit TCP_NODELAY. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        (reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        bind(fd, (struct sockaddr *)&address, length) != 0) {
        result r =
            FAIL(E_IO, "Check what listens there, and that the address belongs to this host.",
                 "cannot listen on \"%s\" port %u: %s", listener->address, listener->port, strerror(errno));
        close(fd);
        return r;
    }
    *ret = fd;
    return OK;
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct listener *listener = handle->data;
    struct http_server *server = listener->server;
    if (--server->open_handles == 0 && server->waiter != NULL)
        wait_wake(server->waiter);
}

result sock_listen(struct http_server *server, const struct http_listener *options, bool reuse_port)
{
    int fd = -1;
    TRY(bound_socket(options, reuse_port, &fd));
    struct listener *listener = &server->listeners[server->listener_count++];
    *listener = (struct listener){ .server = server, .cleartext = options->cleartext, .open = true };
    must(uv_tcp_init(loop_uv(), &listener->tcp) == 0);
    listener->tcp.data = listener;
    server->open_handles++;
    int status = uv_tcp_open(&listener->tcp, fd);
    if (status != 0)
        close(fd);
    else
        status = uv_listen((uv_stream_t *)&listener->tcp, BACKLOG, on_connection);
    if (status != 0)
        return FAIL(E_IO, "Check what listens there.", "cannot listen on \"%s\" port %u: %s",
                    options->address, options->port, uv_strerror(status));
    struct sockaddr_storage bound;
    int length = sizeof bound;
    must(uv_tcp_getsockname(&listener->tcp, (struct sockaddr *)&bound, &length) == 0);
    listener->port = ntohs(bound.ss_family == AF_INET ? ((struct sockaddr_in *)&bound)->sin_port
                                                      : ((struct sockaddr_in6 *)&bound)->sin6_port);
    return OK;
}

void sock_close_listeners(struct http_server *server)
{
    for (size_t i = 0; i < server->listener_count; i++) {
        struct listener *listener = &server->listeners[i];
        if (listener->open)
            uv_close((uv_handle_t *)&listener->tcp, on_listener_closed);
        listener->open = false;
    }
}
