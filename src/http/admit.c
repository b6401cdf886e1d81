/* Who gets in, and who goes for it. Requests in flight and the bytes held for peers have caps: for the process, for a
 * peer's address and for a connection. Where a cap on requests is reached, the request that has waited longest for its
 * peer makes room; one that came whole and is being worked on never does. So half requests, however many, keep nobody
 * out. */
#include "http/internal.h"

#include "base/secret.h"

#include <netinet/in.h>
#include <stdlib.h>

/* ---- addresses ---- */

/* A host has an address of IPv4, but a whole network of IPv6. */
static uint64_t key_of(const struct sockaddr *address)
{
    uint64_t key = 0;
    if (address == NULL)
        return key;
    if (address->sa_family == AF_INET)
        return (uint64_t)1 << 32 | ((const struct sockaddr_in *)address)->sin_addr.s_addr;
    const struct in6_addr *six = &((const struct sockaddr_in6 *)address)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(six)) {
        uint32_t four;
        memcpy(&four, six->s6_addr + 12, sizeof four);
        return (uint64_t)1 << 32 | four;
    }
    memcpy(&key, six->s6_addr, sizeof key);
    return key;
}

static struct address **bucket_of(struct http_server *server, uint64_t key)
{
    if (server->address_mix == 0) {
        random_bytes(&server->address_mix, sizeof server->address_mix);
        server->address_mix |= 1; /* nobody can choose addresses for one bucket */
    }
    return &server->addresses[(key * server->address_mix) >> 54];
}

static struct address *address_hold(struct http_server *server, uint64_t key)
{
    struct address **bucket = bucket_of(server, key), *address = *bucket;
    while (address != NULL && address->key != key)
        address = address->next;
    if (address == NULL) {
        address = calloc(1, sizeof *address);
        must(address != NULL);
        address->key = key;
        address->next = *bucket;
        *bucket = address;
    }
    address->connections++;
    return address;
}

void address_leave(struct conn *conn)
{
    struct address *address = conn->address;
    conn->address = NULL;
    if (--address->connections > 0)
        return;
    must(address->requests == 0 && address->bytes == 0 && address->waiting.first == NULL);
    struct address **at = bucket_of(conn->server, address->key);
    while (*at != address)
        at = &(*at)->next;
    *at = address->next;
    free(address);
}

void address_set(struct conn *conn, const struct sockaddr *address)
{
    if (conn->address != NULL)
        address_leave(conn); /* before it has held anything */
    conn->address = address_hold(conn->server, key_of(address));
}

/* ---- who waits for its peer ---- */

static void list_add(struct peer_waiters *list, struct exchange *exchange, int of)
{
    exchange->waits[of].next = NULL;
    exchange->waits[of].previous = list->last;
    if (list->last != NULL)
        list->last->waits[of].next = exchange;
    else
        list->first = exchange;
    list->last = exchange;
}

static void list_remove(struct peer_waiters *list, struct exchange *exchange, int of)
{
    struct exchange *next = exchange->waits[of].next, *previous = exchange->waits[of].previous;
    if (next != NULL)
        next->waits[of].previous = previous;
    else
        list->last = previous;
    if (previous != NULL)
        previous->waits[of].next = next;
    else
        list->first = next;
}

void exchange_waits(struct exchange *exchange, bool waits)
{
    struct peer_waiters *of_server = &exchange->conn->server->waiting,
                        *of_address = &exchange->conn->address->waiting;
    if (exchange->waits_for_peer == waits)
        return;
    exchange->waits_for_peer = waits;
    if (waits) {
        list_add(of_server, exchange, 0);
        list_add(of_address, exchange, 1);
    } else {
        list_remove(of_server, exchange, 0);
        list_remove(of_address, exchange, 1);
    }
}

/* ---- requests ---- */

result exchange_evicted(void)
{
    return FAIL(E_BUSY, "Send requests whole and read their answers, or try again shortly.",
                "the request waited for its client while others needed the room");
}

/* The one that has waited longest goes. False: none waits for its peer. */
static bool evict(struct peer_waiters *waiting)
{
    struct exchange *exchange = waiting->first;
    if (exchange == NULL)
        return false;
    exchange_waits(exchange, false);
    exchange->conn->server->stats.requests_evicted++;
    exchange->evicted = true;
    if (exchange->pending) {
        result r = exchange_evicted();
        exchange_refuse(exchange, &r.error);
    } else {
        exchange_wake(exchange);
    }
    return true;
}

result exchange_admit(struct exchange *exchange)
{
    struct http_server *server = exchange->conn->server;
    struct address *address = exchange->conn->address;
    TRY(exchange_room_for(exchange, 0));
    if (address->requests >= server->limits.requests_per_address && !evict(&address->waiting))
        return FAIL(E_BUSY, "Try again shortly, or raise max_requests_per_address.",
                    "the client's address has %zu requests in flight", address->requests);
    if (server->admitted >= server->limits.requests && !evict(&server->waiting))
        return FAIL(E_BUSY, "Try again shortly, or raise max_requests.", "%zu requests are in flight",
                    server->admitted);
    exchange->admitted = true;
    address->requests++;
    server->admitted++;
    return OK;
}

void exchange_leave(struct exchange *exchange)
{
    struct conn *conn = exchange->conn;
    exchange_waits(exchange, false);
    if (exchange->pending)
        conn->pending--;
    exchange->pending = false;
    if (!exchange->admitted)
        return;
    exchange->admitted = false;
    conn->address->requests--;
    conn->server->admitted--;
}

/* ---- bytes ---- */

void conn_hold(struct conn *conn, size_t before, size_t after)
{
    struct http_server *server = conn->server;
    conn->held += after - before;
    conn->address->bytes += after - before;
    server->stats.held_bytes += after - before;
}

void exchange_account(struct exchange *exchange)
{
    size_t body = exchange->body_in.len - exchange->body_in_at + exchange->body_kept;
    size_t holds = body + exchange->out.len - exchange->out_at;
    conn_hold(exchange->conn, exchange->held, holds);
    exchange->held = holds;
}

result exchange_room_for(const struct exchange *exchange, size_t bytes)
{
    const struct http_server *server = exchange->conn->server;
    const struct address *address = exchange->conn->address;
    static const char hint[] = "Read the answers sooner, or try again shortly.";
    if (server->stats.held_bytes + bytes > server->limits.bytes)
        return FAIL(E_BUSY, hint, "%zu bytes are held for clients", server->stats.held_bytes);
    if (address->bytes + bytes > server->limits.bytes_per_address)
        return FAIL(E_BUSY, hint, "%zu bytes are held for the client's address", address->bytes);
    return OK;
}

bool conn_is_over(const struct conn *conn)
{
    return conn->held > conn->server->limits.bytes_per_connection ||
           conn->address->bytes > conn->server->limits.bytes_per_address ||
           conn->server->stats.held_bytes > conn->server->limits.bytes;
}

uint64_t server_stall_ms(const struct http_server *server)
{
    enum { UNDER_PRESSURE = 10 };
    bool pressed = server->stats.held_bytes > server->limits.bytes / 2;
    return pressed ? server->limits.stall_ms / UNDER_PRESSURE : server->limits.stall_ms;
}

/* ---- connections ---- */

static void quiet_remove(struct conn *conn)
{
    struct quiet_conns *list = conn->quiet;
    *(conn->quiet_next == NULL ? &list->last : &conn->quiet_next->quiet_previous) = conn->quiet_previous;
    *(conn->quiet_previous == NULL ? &list->first : &conn->quiet_previous->quiet_next) = conn->quiet_next;
    conn->quiet = NULL;
}

static void quiet_add(struct conn *conn, struct quiet_conns *list)
{
    conn->quiet = list;
    conn->quiet_next = NULL;
    conn->quiet_previous = list->last;
    *(list->last == NULL ? &list->first : &list->last->quiet_next) = conn;
    list->last = conn;
}

void conn_set_quiet(struct conn *conn, enum quiet how)
{
    struct http_server *server = conn->server;
    struct quiet_conns *list = how == NOT_QUIET ? NULL : how == QUIET_HALF ? &server->half : &server->idle;
    if (conn->quiet == list)
        return;
    if (conn->quiet != NULL)
        quiet_remove(conn);
    if (list != NULL)
        quiet_add(conn, list);
}

void conn_head_begun(struct conn *conn)
{
    if (conn->quiet != NULL)
        conn_set_quiet(conn, QUIET_HALF);
}

static bool evict_of(struct quiet_conns *list)
{
    enum { LOOKS_MAX = 64 };
    struct conn *conn = list->first;
    for (int i = 0; conn != NULL && i < LOOKS_MAX; i++, conn = conn->quiet_next) {
        if (conn_queued(conn) > 0)
            continue; /* the last answer is on its way */
        conn->server->stats.connections_evicted++;
        conn_abort(conn);
        return true;
    }
    return false;
}

bool server_evict_quiet(struct http_server *server)
{
    return evict_of(&server->half) || evict_of(&server->idle);
}
