/* The head of an HTTP/2 request, header by header. What is wrong with it is found on the way and answered when it is
 * whole. */
#include "http/internal.h"

static void refuse(struct exchange *exchange, result why)
{
    if (exchange->refused.code == E_OK)
        exchange->refused = why.error;
}

void h2_head_begin(struct exchange *exchange)
{
    exchange->request.headers = arena_alloc(&exchange->request.arena, exchange->conn->server->limits.headers *
                                                                          sizeof(struct http_header));
}

void h2_head_malformed(struct exchange *exchange)
{
    refuse(exchange, FAIL(E_HEAD, "Send header names and values as RFC 9113 8.2.1 describes them.",
                          "the request has a malformed header"));
}

static void take_pseudo(struct exchange *exchange, struct str name, struct str value)
{
    struct http_request *request = &exchange->request;
    if (str_eq(name, STR(":method")))
        request->method = head_method(value);
    else if (str_eq(name, STR(":path")))
        request->target = value;
    else if (str_eq(name, STR(":authority")))
        request->authority = value;
}

void h2_head_add(struct exchange *exchange, struct str name, struct str value)
{
    const struct http_limits *limits = &exchange->conn->server->limits;
    struct http_request *request = &exchange->request;
    exchange->headers_bytes += name.len + value.len + 32;
    if (exchange->headers_bytes > limits->head_bytes + 32 * (size_t)limits->headers ||
        request->header_count == limits->headers) {
        refuse(exchange,
               FAIL(E_HEAD_SIZE, "Send fewer or shorter headers.", "the request head is too large"));
        return;
    }
    struct str own_name = arena_str(&request->arena, name);
    struct str own_value = arena_str(&request->arena, value);
    if (name.len > 0 && name.ptr[0] == ':') {
        take_pseudo(exchange, own_name, own_value);
        return;
    }
    struct http_header *headers = (struct http_header *)(uintptr_t)request->headers;
    headers[request->header_count++] = (struct http_header){ own_name, own_value };
}

static result check_framing(struct exchange *exchange, bool whole)
{
    struct http_request *request = &exchange->request;
    struct str length = http_header(request, "content-length"), expect = http_header(request, "expect");
    request->body_length = whole ? 0 : HTTP_LENGTH_UNKNOWN;
    if (length.ptr != NULL && !str_to_u64(length, INT64_MAX, &request->body_length))
        return FAIL(E_HEAD, "Send the length in decimal digits.", "the Content-Length is not a number");
    if (expect.ptr != NULL && !str_eq_nocase(expect, STR("100-continue")))
        return FAIL(E_EXPECT, "Leave the Expect header out.", "only \"100-continue\" is supported in Expect");
    exchange->expects_continue = expect.ptr != NULL && !whole;
    return OK;
}

result h2_head_check(struct exchange *exchange, bool whole)
{
    struct http_request *request = &exchange->request;
    if (exchange->refused.code != E_OK)
        return (result){ exchange->refused };
    struct str authority, host = http_header(request, "host");
    TRY(head_set_target(request, request->target, &authority));
    if (authority.ptr != NULL)
        return FAIL(E_TARGET, "Send a path that begins with a slash.", "the request target is not a path");
    if (http_header_count(request, "host") > 1 ||
        (host.ptr != NULL && request->authority.ptr != NULL && !str_eq_nocase(host, request->authority)))
        return FAIL(E_HEAD, "Send one :authority and no other Host.", "the request names two hosts");
    TRY(head_set_authority(request, request->authority.ptr != NULL ? request->authority : host));
    return check_framing(exchange, whole);
}
