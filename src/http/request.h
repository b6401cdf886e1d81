#pragma once
/* A request, and its answer. The handler of a request runs on a fiber of its own, after the head is complete and
 * checked and before any of the body is read; it answers exactly once and returns. The part of the body that it does
 * not read is dropped, or the connection is closed after the answer. The request lives until the handler returns, also
 * when the peer is gone: the handler may finish what it has begun.
 *
 * Functions that wait are called by the handler's fiber only. */
#include "base/arena.h"

enum http_method {
    METHOD_GET,
    METHOD_HEAD,
    METHOD_PUT,
    METHOD_POST,
    METHOD_DELETE,
    METHOD_PATCH,
    METHOD_OPTIONS,
    METHOD_OTHER, /* the router answers 404 or 405 */
    METHOD_COUNT = METHOD_OTHER
};
const char *http_method_name(enum http_method method);

enum http_protocol { HTTP_PROTOCOL_1_1, HTTP_PROTOCOL_2 };

struct http_header {
    struct str name; /* in lower case in a request; any case in an answer */
    struct str value;
};

enum { HTTP_ID_SIZE = 25 };

/* Read-only to the handler, but for the arena, which it may use, and `user`. All of it lives as long as the request. */
struct http_request {
    enum http_method method;
    enum http_protocol protocol;
    struct str target;    /* as it was sent, without scheme and authority */
    struct str path;      /* begins with "/"; still percent-encoded */
    struct str query;     /* behind "?", still encoded; ptr is NULL without one */
    struct str authority; /* Host or :authority, checked */
    const struct http_header *headers;
    size_t header_count;
    uint64_t body_length;  /* bytes; HTTP_LENGTH_UNKNOWN when chunked or not declared; 0 without a body */
    const char *peer;      /* the peer's address in text, without the port */
    char id[HTTP_ID_SIZE]; /* X-Request-Id of the answer; the server's own, never the client's */
    struct arena arena;
    void *user; /* for who handles it */
};
#define HTTP_LENGTH_UNKNOWN UINT64_MAX

/* The value of the first header of that name (given in lower case); ptr is NULL when there is none. */
struct str http_header(const struct http_request *request, const char *name);
size_t http_header_count(const struct http_request *request, const char *name);

/* A query parameter, decoded ("+" stays "+"): ptr is NULL when it is absent. E_ARGUMENT: given twice, a broken escape,
 * invalid UTF-8 or a NUL. */
result http_query(struct http_request *request, const char *name, struct str *ret) MUST_USE;

/* ---- the body ----
 * E_BODY_SIZE  413 declared or counted to be more than is allowed
 * E_SLOW       408 not complete within the time limit, which starts at the first read
 * E_BODY       400 the chunks are malformed, or bytes are missing
 * E_PEER_GONE  the peer has left or has reset the stream
 * E_BUSY       503 it waited for the peer, and others needed the room; or too many bytes are held for clients
 * Where the client asked for "100 Continue", it gets it at the first read that has to wait, and not before. */

/* The whole body, at most `max` bytes, in the request's arena. Waits. */
result http_body_read_all(struct http_request *request, size_t max, struct str *ret) MUST_USE;

/* What is there, at least one byte, at most `size`; *ret_len is 0 at the end. Waits. */
result http_body_read(struct http_request *request, char *buf, size_t size, size_t *ret_len) MUST_USE;

/* For http_body_read of a body that may be larger or take longer than the server's limits, before the first read. */
void http_body_allow(struct http_request *request, uint64_t max, uint64_t within_ms);

/* ---- the answer ----
 * The server adds Content-Length, Date, X-Request-Id, Transfer-Encoding and Connection. Everything is copied. For HEAD the body is
 * left out. Does not wait. A name or value that may not stand in a header is a bug. */
void http_respond(struct http_request *request, int status, const struct http_header *headers, size_t count,
                  struct str body);
/* Where more bytes are held for clients than the server's limits allow, a large body for GET is not taken: the answer is
 * 503 (E_BUSY) instead. */

/* The same, and the connection ends after it: HTTP/1.1 "Connection: close", HTTP/2 GOAWAY once its other streams are
 * served. Nothing more of the body is used; what the client has on its way is read away for a bounded while, so that it
 * sees this answer and not a reset. */
void http_respond_and_close(struct http_request *request, int status, const struct http_header *headers,
                            size_t count, struct str body);

bool http_answered(const struct http_request *request); /* also once a stream has begun */

/* An answer of unknown length: begin, write as often as it takes, end. A handler that returns without the end breaks
 * the answer off in a way that the client can tell. A write goes out at the end of the loop's turn; it waits while more
 * than HTTP_STREAM_QUEUE bytes are queued, and fails with
 *   E_PEER_GONE  the peer has left, or took less than it must in the time it has (the server's stall_ms)
 *   E_BUSY       it waited for the peer, and others needed the room. */
enum { HTTP_STREAM_QUEUE = 256 * 1024 };
void http_stream_begin(struct http_request *request, int status, const struct http_header *headers,
                       size_t count);
result http_stream_write(struct http_request *request, struct str bytes) MUST_USE;
void http_stream_end(struct http_request *request);
