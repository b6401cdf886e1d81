#pragma once
/* What the files of http share; nobody else includes it, but for the tests of this folder.
 *
 * Bytes go socket -> conn (TLS) -> h1 or h2 -> exchange -> the handler's fiber, and back the same way. A conn takes
 * bytes in and gives bytes out; only sock.c knows sockets, so that all the rest runs without them.
 *
 * Lifetimes: an exchange is a request and its answer; it goes when its handler has returned and, in HTTP/2, its stream
 * is closed. A conn goes when its handle is closed and it has no exchange. Both only at these two places: nothing is
 * freed in the middle of a callback. */
#include "base/buf.h"
#include "http/server.h"
#include "loop/fiber.h"

#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>

enum {
    PLAIN_BYTES = 16 * 1024,        /* a TLS record */
    READ_BYTES = 64 * 1024,         /* at most so much of a connection in one turn */
    STASH_BYTES = 64 * 1024,        /* received and not yet wanted: beyond it reading pauses */
    OUT_HIGH_BYTES = 256 * 1024,    /* queued to the peer: beyond it nothing new is begun */
    STALL_BYTES = 4096,             /* what a peer must take in stall_ms */
    DISCARD_BYTES = 64 * 1024,      /* of a body that nobody read */
    LINGER_BYTES = 2 * 1024 * 1024, /* read away after the last answer */
    COMPOSE_BYTES = 128 * 1024,     /* an answer's head at most */
    POOLED_EXCHANGES = 256,
    RUNNING_MAX =
        32, /* handlers of a connection at once; what comes on top waits its turn, without a fiber */
    ADDRESS_BUCKETS = 1024
};

#define NEVER UINT64_MAX /* a time that does not come */

/* ---- heads and bodies of HTTP/1.1: pure functions over bytes (h1_head.c, h1_body.c) ---- */

struct h1_scan {
    size_t line_at, seen;
};
enum h1_found { H1_INCOMPLETE, H1_COMPLETE, H1_MALFORMED };
/* Looks for the end of the head in bytes that begin with it. Call again with the same bytes and more. */
enum h1_found h1_find_head(struct h1_scan *scan, struct str bytes, size_t *ret_length);

struct h1_framing {
    uint64_t length; /* HTTP_LENGTH_UNKNOWN: chunked */
    bool expects_continue, close;
};
/* Reads a whole head, which is in the request's arena and is written to (names to lower case). Sets the request's
 * method, target, path, query, authority, headers and body_length. */
result h1_parse_head(struct http_request *request, char *head, size_t length, size_t headers_max,
                     struct h1_framing *ret) MUST_USE;

struct h1_body {
    enum {
        BODY_ENDED,
        BODY_LENGTH,
        CHUNK_SIZE,
        CHUNK_EXTENSION,
        CHUNK_SIZE_LF,
        CHUNK_BYTES,
        CHUNK_CR,
        CHUNK_LF,
        TRAILER_START,
        TRAILER_LINE,
        TRAILER_LF,
        LAST_LF
    } state;
    uint64_t left;
    uint32_t digits, framing_bytes;
};
void h1_body_begin(struct h1_body *body, const struct h1_framing *framing);
/* Decodes of `in` what fits `size` bytes of out (NULL: throws them away). False: malformed. */
bool h1_body_decode(struct h1_body *body, struct str in, char *out, size_t size, size_t *ret_used,
                    size_t *ret_made);

/* ---- what both protocols check (head.c) ---- */
bool head_is_token(struct str s);
bool head_is_value(struct str s); /* no control characters but the tab */
/* Sets target, path and query, and takes the authority of an absolute form. */
result head_set_target(struct http_request *request, struct str target, struct str *ret_authority) MUST_USE;
result head_set_authority(struct http_request *request, struct str authority) MUST_USE;
enum http_method head_method(struct str name);
const char *head_reason(int status);
enum { HEAD_NUMBER_SIZE = 20 };
struct str head_number(char text[HEAD_NUMBER_SIZE], uint64_t number); /* in decimal digits */

/* ---- exchange.c ---- */

/* Exchanges that wait for their peer, the longest first. */
struct peer_waiters {
    struct exchange *first, *last;
};

struct exchange {
    struct http_request request; /* the first member: the handler's pointer is ours */
    struct conn *conn;
    struct exchange *next, *previous; /* of the connection; next also in the pool */
    struct wait *waiter;              /* the handler, waiting for the body or for room */
    uint64_t began_ns;
    uint64_t body_max, body_taken, body_due_ms, body_within_ms;
    bool expects_continue, close_requested;
    bool admitted;       /* counted as in flight */
    bool pending;        /* it has no fiber yet: its body has to come first, or its turn */
    bool evicted;        /* it waited for its peer, and others needed the room */
    bool waits_for_peer; /* in the lists of its server [0] and address [1] */
    struct {
        struct exchange *next, *previous;
    } waits[2];
    size_t body_first;     /* so many bytes of the body, or its end, before a handler runs */
    uint64_t begin_due_ms; /* of a pending one */
    size_t body_kept;      /* bytes of the body that http_body_read_all has got */
    struct buf body_all;   /* their memory, where the length was not declared */
    size_t held;           /* bytes as they are accounted for */
    bool answered, streaming, stream_ended, close_after;
    bool handled; /* the handler has returned; true from the start where there is none */
    bool gone;    /* the peer, or its stream */
    bool chunked; /* HTTP/1.1's answer */
    /* HTTP/2 */
    int32_t stream_id;
    bool stream_open, body_whole, out_deferred;
    size_t headers_bytes;
    struct error refused; /* found while the headers came in */
    struct buf body_in;
    size_t body_in_at;
    struct buf out; /* of the answer, and not yet in frames from out_at on */
    size_t out_at;
    uint64_t out_since_ms, out_moved; /* bytes since that time; NEVER: nothing waits */
    uint64_t rest_due_ms;             /* when a request that is answered and not whole is reset */
};

struct exchange *exchange_new(struct conn *conn);
void exchange_start(struct exchange *exchange); /* hands it to a fiber, when that can begin */
bool exchange_try(
    struct exchange *exchange); /* hands a pending one to a fiber if it can begin now; false: not yet */
void exchange_try_all(struct conn *conn); /* the pending ones, in the order in which they came */
void exchange_refuse(struct exchange *exchange,
                     const struct error *error); /* answers it without one, and closes */
void exchange_wake(struct exchange *exchange);
void exchange_lost(struct exchange *exchange);   /* its peer or stream is gone: every wait fails */
void exchange_forget(struct exchange *exchange); /* all that only its handler had use for, the head as well */
void exchange_drop_out(struct exchange *exchange); /* the answer that waited to be sent; wiped */
void exchange_release(struct exchange *exchange);
result exchange_wait(struct exchange *exchange) MUST_USE; /* until it is woken */
/* Waits until it is woken, for something that its peer has to do. E_BUSY: others needed the room meanwhile. */
result exchange_wait_for_peer(struct exchange *exchange) MUST_USE;
static inline struct exchange *exchange_of(struct http_request *request)
{
    return (struct exchange *)request;
}

/* ---- who gets in (admit.c) ---- */

/* Of peers: an address of IPv4, or a network of IPv6. */
struct address {
    struct address *next;
    uint64_t key;
    size_t connections, requests, bytes;
    struct peer_waiters waiting;
};
void address_set(struct conn *conn, const struct sockaddr *address); /* NULL: unknown */
void address_leave(struct conn *conn);

/* E_BUSY: a cap is reached, and nobody waits for its peer. */
result exchange_admit(struct exchange *exchange) MUST_USE;
void exchange_leave(struct exchange *exchange); /* no more in flight */
void exchange_waits(struct exchange *exchange, bool waits);
result exchange_evicted(void) MUST_USE;

void conn_hold(struct conn *conn, size_t before, size_t after); /* bytes held for it */
void exchange_account(struct exchange *exchange);               /* after a change of what it holds */
result exchange_room_for(const struct exchange *exchange, size_t bytes) MUST_USE; /* E_BUSY: over a budget */
bool conn_is_over(const struct conn *conn);
uint64_t server_stall_ms(const struct http_server *server); /* shorter while much is held */

/* No request of it is there: it has had some and is idle, or all there is is a handshake or half a head. */
enum quiet { NOT_QUIET, QUIET_HALF, QUIET_IDLE };
struct quiet_conns { /* the one that is so for longest first */
    struct conn *first, *last;
};
void conn_set_quiet(struct conn *conn, enum quiet how);
void conn_head_begun(struct conn *conn);
/* Closes a quiet connection, a half one before an idle one. False: there is none. */
bool server_evict_quiet(struct http_server *server);

/* ---- the head of an HTTP/2 request (h2_head.c) ---- */
void h2_head_begin(struct exchange *exchange);
void h2_head_add(struct exchange *exchange, struct str name, struct str value);
void h2_head_malformed(struct exchange *exchange); /* a header that nghttp2 would leave out, and go on */
/* When it is whole; `whole`: and the request with it. Fails with the first thing that was wrong. */
result h2_head_check(struct exchange *exchange, bool whole) MUST_USE;

/* ---- the answer on a stream of HTTP/2 (h2_answer.c): what struct protocol says ---- */
void h2_reset(struct exchange *exchange, uint32_t why);
size_t h2_out_left(const struct exchange *exchange); /* bytes of the answer that have not gone into frames */
void h2_go_ahead(struct exchange *exchange);
void h2_answer(struct exchange *exchange, int status, const struct http_header *headers, size_t count,
               struct str body);
void h2_stream_begin(struct exchange *exchange, int status, const struct http_header *headers, size_t count);
void h2_stream_write(struct exchange *exchange, struct str bytes);
void h2_stream_end(struct exchange *exchange);

/* ---- conn.c ---- */

enum conn_state {
    CONN_HANDSHAKE,
    CONN_OPEN,
    CONN_FINISHING, /* the last bytes are on their way; input is thrown away */
    CONN_LINGERING, /* our end is closed; waiting for theirs */
    CONN_CLOSED     /* its handle is closing or closed */
};

struct conn {
    struct conn *next, *previous;     /* of the server */
    uint64_t in_due_ms, out_since_ms; /* since when something is queued; NEVER: nothing is */
    enum conn_state state;
    bool peer_ended, reading, resting, has_socket, handle_open;
    struct http_server *server;
    struct conn *dirty_next, **dirty_at; /* on the list of those to be looked after at the end of the turn */
    SSL *ssl;                            /* NULL: cleartext */
    const struct protocol *protocol;     /* HTTP/1.1 before the handshake has named one */
    struct str input;                    /* what the socket hands over now */
    struct buf stash;                    /* from the wire, not yet used; before `input` */
    size_t stash_at;
    struct buf plain; /* HTTP/1.1: decrypted, not yet used */
    size_t plain_at;
    struct buf out; /* for the wire */
    struct sending *sending;
    uint64_t received, sent, sent_mark; /* bytes; the mark is where the stall limit began */
    uint64_t tls_records;               /* that carried no data */
    uint64_t lingered_bytes;
    struct exchange *exchanges;
    uint32_t exchange_count, requests;
    uint32_t pending, running; /* exchanges without a fiber yet; with one, and not waiting for their peer */
    struct address *address;
    size_t held, held_queue; /* bytes held for the peer; of them queued for the wire */
    struct conn *quiet_next, *quiet_previous;
    struct quiet_conns *quiet; /* the list it is on */
    /* HTTP/1.1 */
    bool h1_discarding;
    struct h1_scan h1_scan;
    struct h1_body h1_body;
    uint64_t h1_discarded_bytes;
    /* HTTP/2 */
    nghttp2_session *h2;
    bool h2_leaving;
    int32_t h2_head_stream;  /* whose head is half here; 0: none. Nothing else can come in meanwhile */
    uint64_t h2_head_due_ms; /* of that head, whatever the other streams do */
    int32_t h2_budget;       /* frames that carry no request and no body */
    uint64_t h2_budget_at_ms;
    uint64_t h2_earned_bytes; /* moved, and not yet spent on such frames */
    uv_tcp_t tcp;
    uv_shutdown_t shutdown;
    char peer[48];
};

struct conn *conn_new(struct http_server *server, SSL *ssl); /* NULL: no memory; takes ssl over */
void conn_maybe_free(struct conn *conn);
/* After the handshake; at once for cleartext. */
void conn_open(struct conn *conn, const struct protocol *protocol);
void conn_receive(struct conn *conn, struct str bytes);
void conn_ended(struct conn *conn); /* the peer closed its end */
void conn_touch(struct conn *conn); /* look after it at the end of this turn */
void conn_step(struct conn *conn);
void conn_finish(struct conn *conn); /* no more input; what is queued goes out; then it closes */
void conn_abort(struct conn *conn);  /* at once */
void conn_drain(struct conn *conn);
void conn_check_due(struct conn *conn, uint64_t now_ms);
void conn_send(struct conn *conn, struct str plain);
void conn_send_composed(struct conn *conn); /* what server->compose holds; wipes it */
/* Decrypts up to `size` bytes of what has come in; 0: nothing there now. */
size_t conn_read_plain(struct conn *conn, char *buf, size_t size);
size_t conn_queued(const struct conn *conn);
bool conn_has_room(const struct conn *conn);                       /* for output: OUT_HIGH_BYTES */
size_t conn_take_input(struct conn *conn, char *buf, size_t size); /* from the wire */
void conn_add_output(struct conn *conn, struct str wire);
void conn_wake_all(struct conn *conn);
uint64_t conn_now_ms(void);

/* ---- sock.c ---- */
void sock_close(struct conn *conn);
void sock_read(struct conn *conn, bool on);
void sock_flush(struct conn *conn);    /* writes of conn->out what goes */
void sock_shutdown(struct conn *conn); /* our end */
size_t sock_queued(const struct conn *conn);
result sock_listen(struct http_server *server, const struct http_listener *listener, bool reuse_port)
    MUST_USE;
void sock_close_listeners(struct http_server *server);

/* ---- what a protocol does (h1.c, h2.c) ---- */
enum taken { TAKEN_BYTES, TAKEN_END, TAKEN_NOTHING, TAKEN_BROKEN };

/* None is NULL. */
struct protocol {
    enum http_protocol id;
    bool refusal_closes; /* else the end of its stream is enough */

    /* Of a connection. All but drop and close are called only while it is CONN_OPEN. */
    result (*open)(struct conn *conn);
    void (*advance)(struct conn *conn);  /* takes in what is there, as far as it is wanted and has room */
    void (*received)(struct conn *conn); /* bytes came in, and what was not wanted is kept */
    void (*ended)(struct conn *conn);    /* by the peer; called until the connection is not open */
    void (*flush)(struct conn *conn);    /* frames that are ready, into conn->out */
    void (*drain)(struct conn *conn);    /* closes when what was asked for is served */
    void (*check_due)(struct conn *conn, uint64_t now_ms);
    void (*drop)(struct conn *conn);  /* it is lost, and the exchanges have been told */
    void (*close)(struct conn *conn); /* it is freed */

    bool (*may_begin)(const struct exchange *exchange); /* what has to come first is there */

    /* Of an exchange. All but handled and body_take are called only while the connection is CONN_OPEN and the
     * peer and the stream are there. */
    void (*handled)(struct exchange *exchange); /* its handler has returned; may release it */
    enum taken (*body_take)(struct exchange *exchange, char *buf, size_t size, size_t *ret_len);
    void (*go_ahead)(struct exchange *exchange); /* 100 Continue */
    void (*answer)(struct exchange *exchange, int status, const struct http_header *headers, size_t count,
                   struct str body);
    void (*stream_begin)(struct exchange *exchange, int status, const struct http_header *headers,
                         size_t count);
    void (*stream_write)(struct exchange *exchange, struct str bytes);
    void (*stream_end)(struct exchange *exchange);
    size_t (*stream_queued)(const struct exchange *exchange); /* bytes that the peer has not taken */
};
extern const struct protocol h1_protocol, h2_protocol;

/* ---- tls.c ---- */
result tls_context_new(SSL_CTX **ret, const char *certificate_file, const char *key_file) MUST_USE;
void tls_describe(const X509 *certificate, struct http_certificate *ret);
SSL *tls_new(SSL_CTX *context);
void tls_attach(SSL *ssl, struct conn *conn);
/* Goes on with the handshake. False: it failed, and the alert is queued. */
bool tls_handshake(struct conn *conn, bool *ret_done);
bool tls_is_h2(const SSL *ssl);
size_t tls_read(struct conn *conn, char *buf, size_t size);
void tls_write(struct conn *conn, struct str plain);
void tls_end(struct conn *conn); /* queues close_notify */

/* ---- server.c ---- */
struct listener {
    uv_tcp_t tcp;
    struct http_server *server;
    bool cleartext, open;
    uint16_t port;
};

struct http_server {
    struct http_limits limits;
    void (*on_request)(struct http_request *request, void *context);
    size_t (*body_first)(const struct http_request *request, void *context);
    void *context;
    SSL_CTX *tls; /* NULL: cleartext only */
    nghttp2_session_callbacks *h2_callbacks;
    nghttp2_option *h2_option;
    struct scope handlers;
    struct listener listeners[HTTP_LISTENERS_MAX];
    size_t listener_count, open_handles;
    bool draining;
    uv_timer_t tick;
    bool ticking;
    struct turn_hook turn_end;
    struct conn *conns, *dirty;
    struct exchange *pool;
    size_t pooled;
    struct address *addresses[ADDRESS_BUCKETS];
    uint64_t address_mix;
    struct peer_waiters waiting;
    size_t admitted;  /* requests in flight, as the caps count them */
    size_t held_most; /* bytes, roughly, since memory was given back */
    struct quiet_conns half, idle;
    struct wait *waiter; /* who drains or frees */
    struct http_stats stats;
    char id_prefix[17];
    uint64_t id_next; /* above UINT32_MAX: a prefix has to be made first */
    char date[32];    /* of the Date header, and its second */
    int64_t date_s;
    struct buf compose;
    char plain[PLAIN_BYTES];
    char wire[READ_BYTES];
};
struct str server_date(struct http_server *server);
void server_make_id(struct http_server *server, char id[HTTP_ID_SIZE]);
void server_tick_needed(struct http_server *server);
/* Without listeners, for tests of what lies above the sockets. */
result server_new_bare(struct http_server **ret, const struct http_server_options *options) MUST_USE;
