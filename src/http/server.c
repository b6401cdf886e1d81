/* The server: its options, its turn, its clock, its end. */
#include "http/internal.h"

#include "base/clock.h"
#include "base/secret.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TICK_MAX_MS = 250 };

/* ---- making one ---- */

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value == 0 ? otherwise : value;
}

static struct http_limits complete(const struct http_limits *given)
{
    return (struct http_limits){
        .head_bytes = or_default(given->head_bytes, 16 * 1024),
        .headers = or_default(given->headers, 100),
        .body_bytes = given->body_bytes == 0 ? 1024 * 1024 : given->body_bytes,
        .connections = or_default(given->connections, 20000),
        .requests = or_default(given->requests, 8000),
        .requests_per_address = or_default(given->requests_per_address, 2000),
        .bytes = given->bytes == 0 ? (uint64_t)512 << 20 : given->bytes,
        .bytes_per_address = given->bytes_per_address == 0 ? (uint64_t)128 << 20 : given->bytes_per_address,
        .bytes_per_connection =
            given->bytes_per_connection == 0 ? (uint64_t)4 << 20 : given->bytes_per_connection,
        .streams_per_connection = or_default(given->streams_per_connection, 100),
        .requests_per_connection = or_default(given->requests_per_connection, 10000),
        .handshake_within_ms = or_default(given->handshake_within_ms, 10000),
        .head_within_ms = or_default(given->head_within_ms, 10000),
        .body_within_ms = or_default(given->body_within_ms, 30000),
        .idle_ms = or_default(given->idle_ms, 60000),
        .stall_ms = or_default(given->stall_ms, 20000),
        .linger_ms = or_default(given->linger_ms, 2000),
    };
}

static void on_turn_end(struct turn_hook *hook)
{
    struct http_server *server =
        (struct http_server *)((char *)hook - offsetof(struct http_server, turn_end));
    struct conn *list = server->dirty; /* who is touched from here on is for the next turn */
    server->dirty = NULL;
    if (list != NULL)
        list->dirty_at = &list;
    while (list != NULL) {
        struct conn *conn = list;
        list = conn->dirty_next;
        if (list != NULL)
            list->dirty_at = &list;
        conn->dirty_at = NULL;
        conn_step(conn);
    }
}

/* A new prefix once the numbers are used up: no id comes twice, whatever the process, the gateway or the region. */
void server_make_id(struct http_server *server, char id[HTTP_ID_SIZE])
{
    if (server->id_next > UINT32_MAX) {
        uint64_t random;
        random_bytes(&random, sizeof random);
        snprintf(server->id_prefix, sizeof server->id_prefix, "%016llx", (unsigned long long)random);
        server->id_next = 0;
    }
    static const char digits[] = "0123456789abcdef";
    uint64_t number = server->id_next++;
    memcpy(id, server->id_prefix, 16);
    for (int i = 0; i < 8; i++)
        id[16 + i] = digits[(number >> (28 - 4 * i)) & 15];
    id[HTTP_ID_SIZE - 1] = '\0';
}

result server_new_bare(struct http_server **ret, const struct http_server_options *options)
{
    struct http_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return FAIL(E_MEMORY, NULL, "not enough memory for the server");
    must(options->on_request != NULL);
    server->limits = complete(&options->limits);
    server->on_request = options->on_request;
    server->body_first = options->body_first;
    server->context = options->context;
    server->turn_end.run = on_turn_end;
    buf_init(&server->compose, COMPOSE_BYTES);
    server->id_next = (uint64_t)UINT32_MAX + 1;
    must(uv_timer_init(loop_uv(), &server->tick) == 0);
    server->tick.data = server;
    server->open_handles = 1;
    *ret = server;
    return OK;
}

static result open_all(struct http_server *server, const struct http_server_options *options)
{
    bool tls = false;
    for (size_t i = 0; i < options->listener_count; i++)
        tls = tls || !options->listeners[i].cleartext;
    if (tls) {
        if (options->certificate_file == NULL || options->key_file == NULL)
            return FAIL(E_CERTIFICATE, "Configure a certificate file and a key file.",
                        "TLS has no certificate");
        TRY(tls_context_new(&server->tls, options->certificate_file, options->key_file));
    }
    for (size_t i = 0; i < options->listener_count; i++)
        TRY(sock_listen(server, &options->listeners[i], options->reuse_port));
    return OK;
}

result http_server_new(struct http_server **ret, const struct http_server_options *options)
{
    must(options->listener_count <= HTTP_LISTENERS_MAX);
    struct http_server *server;
    TRY(server_new_bare(&server, options));
    signal(SIGPIPE, SIG_IGN); /* libuv writes without MSG_NOSIGNAL */
    result r = open_all(server, options);
    if (failed(r)) {
        http_server_free(server);
        return r;
    }
    *ret = server;
    return OK;
}

uint16_t http_server_port(const struct http_server *server, size_t listener)
{
    must(listener < server->listener_count);
    return server->listeners[listener].port;
}

const struct http_stats *http_server_stats(const struct http_server *server)
{
    return &server->stats;
}

/* ---- reloading ---- */

result http_server_reload_tls(struct http_server *server, const char *certificate_file, const char *key_file)
{
    if (server->tls == NULL)
        return OK;
    SSL_CTX *context;
    TRY(tls_context_new(&context, certificate_file, key_file));
    SSL_CTX_free(server->tls); /* its connections hold it */
    server->tls = context;
    return OK;
}

bool http_server_certificate(const struct http_server *server, struct http_certificate *ret)
{
    if (server->tls == NULL)
        return false;
    tls_describe(SSL_CTX_get0_certificate(server->tls), ret);
    return true;
}

void http_server_limit_bodies(struct http_server *server, uint64_t bytes, uint32_t within_ms)
{
    struct http_limits limits = server->limits;
    limits.body_bytes = bytes;
    limits.body_within_ms = within_ms;
    server->limits = complete(&limits);
}

/* ---- time ---- */

struct str server_date(struct http_server *server)
{
    int64_t now_s = clock_wall_ms() / 1000;
    if (now_s != server->date_s) {
        time_t seconds = (time_t)now_s;
        struct tm utc;
        gmtime_r(&seconds, &utc);
        strftime(server->date, sizeof server->date, "%a, %d %b %Y %H:%M:%S GMT", &utc);
        server->date_s = now_s;
    }
    return (struct str){ server->date, 29 };
}

/* After much was held the heap keeps its pages. Giving them back takes milliseconds: once, when it is over. */
static void give_back(struct http_server *server)
{
    enum { MUCH_BYTES = 16 << 20, QUIET_PART = 4, CONN_BYTES = 40 * 1024, EXCHANGE_BYTES = 10 * 1024 };
    const struct http_stats *stats = &server->stats;
    size_t held =
        stats->held_bytes + stats->connections * CONN_BYTES + stats->requests_in_flight * EXCHANGE_BYTES;
    if (held > server->held_most)
        server->held_most = held;
    if (server->held_most < MUCH_BYTES || held > server->held_most / QUIET_PART)
        return;
    malloc_trim(0);
    server->held_most = held;
}

static void on_tick(uv_timer_t *tick)
{
    struct http_server *server = tick->data;
    uint64_t now = conn_now_ms();
    for (struct conn *conn = server->conns; conn != NULL; conn = conn->next)
        conn_check_due(conn, now); /* may close it; it is freed later */
    give_back(server);
    if (server->conns == NULL) {
        uv_timer_stop(tick);
        server->ticking = false;
    }
}

static uint64_t tick_ms(const struct http_limits *limits)
{
    const uint32_t all[] = { limits->handshake_within_ms,
                             limits->head_within_ms,
                             limits->body_within_ms,
                             limits->idle_ms,
                             limits->stall_ms,
                             limits->linger_ms };
    uint64_t ms = TICK_MAX_MS;
    for (size_t i = 0; i < COUNT(all); i++)
        if (all[i] / 4 < ms)
            ms = all[i] / 4;
    return ms == 0 ? 1 : ms;
}

void server_tick_needed(struct http_server *server)
{
    if (server->ticking)
        return;
    server->ticking = true;
    uint64_t ms = tick_ms(&server->limits);
    must(uv_timer_start(&server->tick, on_tick, ms, ms) == 0);
}

/* ---- the end ---- */

static result wait_for_end(struct http_server *server, bool handles_too)
{
    result r = OK;
    struct wait wait;
    must(server->waiter == NULL);
    while (!failed(r) && (server->conns != NULL || (handles_too && server->open_handles > 0))) {
        wait_init(&wait);
        server->waiter = &wait;
        r = wait_for(&wait);
    }
    server->waiter = NULL;
    return r;
}

result http_server_drain(struct http_server *server, uint64_t within_ms)
{
    server->draining = true;
    sock_close_listeners(server);
    for (struct conn *conn = server->conns; conn != NULL; conn = conn->next)
        conn_drain(conn);
    struct deadline deadline;
    deadline_begin(&deadline, within_ms);
    result r = wait_for_end(server, false);
    deadline_end(&deadline);
    if (!failed(r))
        return OK;
    size_t cut = server->stats.requests_in_flight;
    for (struct conn *conn = server->conns; conn != NULL; conn = conn->next)
        conn_abort(conn);
    TRY(fiber_check());
    if (cut == 0)
        return OK; /* only peers that would not close */
    return FAIL(E_DEADLINE, "Increase drain_ms, or look for slow clients.",
                "%zu requests did not end within %llu ms and were cut off", cut,
                (unsigned long long)within_ms);
}

static void on_tick_closed(uv_handle_t *handle)
{
    struct http_server *server = handle->data;
    if (--server->open_handles == 0 && server->waiter != NULL)
        wait_wake(server->waiter);
}

static void free_memory(struct http_server *server)
{
    must(server->stats.held_bytes == 0 && server->admitted == 0);
    turn_hook_forget(&server->turn_end);
    while (server->pool != NULL) {
        struct exchange *exchange = server->pool;
        server->pool = exchange->next;
        arena_done(&exchange->request.arena);
        free(exchange);
    }
    SSL_CTX_free(server->tls);
    nghttp2_session_callbacks_del(server->h2_callbacks);
    nghttp2_option_del(server->h2_option);
    buf_done(&server->compose);
    free(server);
}

void http_server_free(struct http_server *server)
{
    if (server == NULL)
        return;
    sock_close_listeners(server);
    uv_close((uv_handle_t *)&server->tick, on_tick_closed);
    for (struct conn *conn = server->conns, *next; conn != NULL; conn = next) {
        next = conn->next;
        conn_abort(conn);
        conn_maybe_free(conn);
    }
    scope_end(&server->handlers);
    struct shield shield;
    fiber_shield(&shield);
    result r = wait_for_end(server, true);
    fiber_unshield(&shield);
    must(!failed(r));
    free_memory(server);
}
