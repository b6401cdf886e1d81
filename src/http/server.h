#pragma once
/* The HTTPS server: HTTP/1.1 and HTTP/2 (RFC 9112, 9113) over TLS 1.2 and 1.3 on the loop. Strict: a request that
 * another party could read differently is refused (RFC 9112, section 11.2). Every size and every wait that a peer
 * chooses has a limit.
 *
 * TLS: ECDHE with AEAD ciphers only, X25519 or P-256, no renegotiation, no compression, no session resumption (nothing
 * is kept that opens recorded traffic), ALPN h2 or http/1.1; without ALPN HTTP/1.1, with another ALPN refused. */
#include "http/request.h"

enum { HTTP_LISTENERS_MAX = 8 };

struct http_listener {
    const char *address; /* numeric, IPv4 or IPv6 */
    uint16_t port;       /* 0: any; see http_server_port */
    bool cleartext;      /* HTTP/1.1 without TLS; loopback addresses only, E_CONFIG otherwise */
};

/* A limit of 0 takes the default. Where requests or requests_per_address is reached, the request that has waited longest
 * for its peer (for its body, or for room for its answer) is ended with 503, else the new one is. */
struct http_limits {
    uint32_t head_bytes;           /* 16 KiB; more: 431 */
    uint32_t headers;              /* 100; more: 431 */
    uint64_t body_bytes;           /* 1 MiB, for http_body_read; see http_body_allow */
    uint32_t connections;          /* 20,000; beyond it the one without a request for longest is closed */
    uint32_t requests;             /* 8,000 in flight; see below */
    uint32_t requests_per_address; /* 2,000 of them of one peer address (IPv6: of one /64 network) */
    uint64_t bytes; /* 512 MiB held for peers: bodies that come in, answers that go out; more: 503 */
    uint64_t bytes_per_address;       /* 128 MiB of them */
    uint64_t bytes_per_connection;    /* 4 MiB of them; beyond it no handler begins */
    uint32_t streams_per_connection;  /* 100 */
    uint32_t requests_per_connection; /* 10,000; then it is closed politely */
    uint32_t handshake_within_ms;     /* 10,000; from accept to the end of the TLS handshake */
    uint32_t head_within_ms;          /* 10,000; from the first byte of a head to its last */
    uint32_t body_within_ms;          /* 30,000; from the handler's first read to the last byte */
    uint32_t idle_ms;                 /* 60,000; without a request */
    uint32_t stall_ms;  /* 20,000; the time in which a peer takes at least 4 KiB of what is queued */
    uint32_t linger_ms; /* 2,000; for a peer to close after our end */
};

struct http_server_options {
    struct http_listener listeners[HTTP_LISTENERS_MAX];
    size_t listener_count;
    bool reuse_port;              /* several processes share the ports (SO_REUSEPORT) */
    const char *certificate_file; /* PEM: the server's, then its intermediates; NULL when all is cleartext */
    const char *key_file;         /* PEM */
    struct http_limits limits;
    /* Runs on a fiber for each request; see request.h. */
    void (*on_request)(struct http_request *request, void *context);
    /* For requests that are nothing without their body: how many bytes of it, or its end, have to be there before
     * on_request runs. It need not: it may run before, as it does for all without this function, or if that says 0. At
     * most 32 KiB. */
    size_t (*body_first)(const struct http_request *request, void *context);
    void *context;
};

struct http_server;

/* Listens when it returns. Inside loop_run. From then on the process ignores SIGPIPE. The options' strings need not
 * outlive the call.
 * E_CERTIFICATE: unreadable, expired, not yet valid, or not the key's. E_IO: cannot listen on an address. */
result http_server_new(struct http_server **ret, const struct http_server_options *options) MUST_USE;
uint16_t http_server_port(const struct http_server *server, size_t listener);

/* Whether a server could use these files. Blocks on the disk. E_CERTIFICATE, as http_server_new. */
result http_certificate_check(const char *certificate_file, const char *key_file) MUST_USE;

/* Reads certificate and key, from these files: new connections get them, or, if it fails, nothing has changed. A server
 * that listens in cleartext only has no use for them. Blocks on the disk. E_CERTIFICATE, as http_server_new. */
result http_server_reload_tls(struct http_server *server, const char *certificate_file, const char *key_file)
    MUST_USE;

/* What new connections get, in words; one that is longer is cut. False: the server listens in cleartext only. */
struct http_certificate {
    char subject[256];  /* RFC 2253: "CN=gateway.eu-fr,O=..." */
    char serial[44];    /* hexadecimal */
    char not_after[24]; /* "2028-03-31T12:00:00Z" */
};
bool http_server_certificate(const struct http_server *server, struct http_certificate *ret);

/* http_limits.body_bytes and body_within_ms, for requests that begin from now on. */
void http_server_limit_bodies(struct http_server *server, uint64_t bytes, uint32_t within_ms);

/* Stops accepting, closes idle connections, waits at most within_ms for requests in flight (HTTP/1.1 "Connection:
 * close", HTTP/2 GOAWAY), and cuts off the rest. Waits. E_DEADLINE: something was cut. */
result http_server_drain(struct http_server *server, uint64_t within_ms) MUST_USE;

/* Cuts all connections, cancels the handlers and waits until they have returned. Takes NULL. On a fiber. */
void http_server_free(struct http_server *server);

/* How long answers took: the upper bounds of the histogram's buckets, in microseconds; what is above the last is only
 * in the count. */
#define HTTP_DURATION_BOUNDS_US                                                                              \
    {                                                                                                        \
        250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 10000000  \
    }
enum { HTTP_DURATION_BOUNDS = 14 };

/* Counted since the start, but for the gauges. */
struct http_stats {
    uint64_t requests[2][6]; /* [enum http_protocol][status / 100]; answered, by status class */
    uint64_t durations[HTTP_DURATION_BOUNDS + 1]; /* from the head to the begin of the answer, by bucket */
    uint64_t durations_us;                        /* their sum */
    uint64_t connections_accepted, connections_refused; /* refused: over the limit */
    uint64_t connections_evicted;                /* closed without a request to make room for another */
    uint64_t requests_refused, requests_evicted; /* over a cap; ended to make room for another */
    uint64_t handshakes_failed;
    uint64_t heads_refused;      /* malformed, too large, or too slow */
    uint64_t floods_cut;         /* connections that sent more of what costs us than of what they asked */
    uint64_t answers_broken_off; /* the peer left or stalled before its answer was whole */
    uint64_t bytes_received, bytes_sent;                /* on the wire */
    size_t connections, requests_in_flight, held_bytes; /* gauges */
};
const struct http_stats *http_server_stats(const struct http_server *server);
