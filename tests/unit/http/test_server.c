/* The whole server: sockets, TLS and clients on other threads. */
#include "certificate.h"
#include "memory.h"

#include "base/json.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static char certificate[] = "/tmp/domicile-http-cert-XXXXXX", key[] = "/tmp/domicile-http-key-XXXXXX";
static char other_key[] = "/tmp/domicile-http-other-XXXXXX", other[] = "/tmp/domicile-http-crt-XXXXXX";

static struct http_server *server;
static enum error_code stream_code;
static size_t streamed;
static struct semaphore gate;
static size_t stack_used; /* the most that a handler's fiber has used, in bytes */

enum { LARGE = 16 * 1024 * 1024 }; /* more than the kernel keeps */

static void stream(struct http_request *request)
{
    static char block[16 * 1024];
    stream_code = E_OK;
    http_stream_begin(request, 200, NULL, 0);
    for (streamed = 0; stream_code == E_OK && streamed < 64 * 1024 * 1024; streamed += sizeof block)
        stream_code = http_stream_write(request, (struct str){ block, sizeof block }).error.code;
    if (stream_code == E_OK)
        http_stream_end(request);
}

static void parse(struct http_request *request)
{
    struct str text;
    json_t *value = NULL;
    result r = http_body_read_all(request, 64 * 1024, &text);
    if (!failed(r))
        r = json_parse(text, JSON_DEPTH_MAX, &value);
    if (failed(r)) {
        http_problem(request, &r.error, NULL);
        return;
    }
    char *again = json_dumps(value, JSON_COMPACT);
    json_decref(value);
    http_respond(request, 200, NULL, 0, str_from(again));
    free(again);
}

static void serve(struct http_request *request)
{
    struct str body = STR("hello");
    if (str_eq(request->path, STR("/stream"))) {
        stream(request);
    } else if (str_eq(request->path, STR("/large"))) {
        static char large[LARGE];
        http_respond(request, 200, NULL, 0, (struct str){ large, sizeof large });
    } else if (str_eq(request->path, STR("/wait"))) {
        result r = semaphore_acquire(&gate);
        if (!failed(r))
            http_respond(request, 200, NULL, 0, STR("late"));
    } else if (str_eq(request->path, STR("/json"))) {
        parse(request);
    } else if (str_eq(request->path, STR("/home"))) {
        result r = FAIL(E_WRONG_REGION, NULL, "the customer \"acme\" lives in \"us\"");
        http_problem(request, &r.error, NULL);
    } else {
        result r = request->body_length == 0 ? OK : http_body_read_all(request, 1024 * 1024, &body);
        if (failed(r))
            http_problem(request, &r.error, NULL);
        else
            http_respond(request, 200, NULL, 0, body);
    }
}

static void on_request(struct http_request *request, void *context)
{
    serve(request);
    size_t used = fiber_stack_used();
    stack_used = used > stack_used ? used : stack_used;
}

static struct http_server_options with(const struct http_limits *limits)
{
    struct http_server_options options = { .listeners = { { "127.0.0.1", 0, false },
                                                          { "127.0.0.1", 0, true } },
                                           .listener_count = 2,
                                           .certificate_file = certificate,
                                           .key_file = key,
                                           .on_request = on_request };
    if (limits != NULL)
        options.limits = *limits;
    return options;
}

static void start(const struct http_limits *limits)
{
    struct http_server_options options = with(limits);
    must(!failed(http_server_new(&server, &options)));
    semaphore_init(&gate, 0);
}

/* ---- a client that blocks, for a thread of its own ---- */

struct client {
    int fd;
    SSL_CTX *context;
    SSL *ssl;
    char text[8192];
    size_t length;
    char alpn[16];
    char common_name[64];
};

struct wish {
    uint16_t port;
    bool tls;
    int version;         /* 0: any */
    const char *ciphers; /* of TLS 1.2 */
    const char *alpn;    /* as it is sent */
};

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(port),
                                   .sin_addr = { htonl(INADDR_LOOPBACK) } };
    struct timeval patience = { 10, 0 };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool client_open(struct client *client, const struct wish *wish)
{
    memset(client, 0, sizeof *client);
    client->fd = connect_to(wish->port);
    if (client->fd < 0 || !wish->tls)
        return client->fd >= 0;
    client->context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(client->context, 0);
    if (wish->version != 0) {
        SSL_CTX_set_min_proto_version(client->context, wish->version);
        SSL_CTX_set_max_proto_version(client->context, wish->version);
    }
    if (wish->ciphers != NULL)
        SSL_CTX_set_cipher_list(client->context, wish->ciphers);
    client->ssl = SSL_new(client->context);
    if (wish->alpn != NULL)
        SSL_set_alpn_protos(client->ssl, (const unsigned char *)wish->alpn, (unsigned)strlen(wish->alpn));
    SSL_set_fd(client->ssl, client->fd);
    if (SSL_connect(client->ssl) != 1)
        return false;
    const unsigned char *name;
    unsigned int length;
    SSL_get0_alpn_selected(client->ssl, &name, &length);
    memcpy(client->alpn, name == NULL ? (const unsigned char *)"" : name, length);
    X509 *peer = SSL_get1_peer_certificate(client->ssl);
    X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, client->common_name,
                              sizeof client->common_name);
    X509_free(peer);
    return true;
}

static void client_close(struct client *client)
{
    SSL_free(client->ssl);
    SSL_CTX_free(client->context);
    if (client->fd >= 0)
        close(client->fd);
}

static bool client_send(struct client *client, const char *bytes, size_t length)
{
    if (client->ssl != NULL)
        return SSL_write(client->ssl, bytes, (int)length) == (int)length;
    return send(client->fd, bytes, length, MSG_NOSIGNAL) == (ssize_t)length;
}

static bool client_say(struct client *client, const char *text)
{
    return client_send(client, text, strlen(text));
}

/* Reads until `mark` has come (NULL: until the end). */
static bool client_read(struct client *client, const char *mark)
{
    while (mark == NULL || strstr(client->text, mark) == NULL) {
        size_t room = sizeof client->text - 1 - client->length;
        ssize_t length = client->ssl != NULL ? SSL_read(client->ssl, client->text + client->length, (int)room)
                                             : recv(client->fd, client->text + client->length, room, 0);
        if (length <= 0)
            return mark == NULL && (length == 0 || client->ssl != NULL);
        client->length += (size_t)length;
        client->text[client->length] = '\0';
    }
    return true;
}

/* Runs on libuv's pool, beside the loop. */
static void beside(void (*work)(void *arg), void *arg)
{
    check_ok(fiber_offload(work, arg));
}

/* ---- TLS ---- */

static struct wish tls_wish(void)
{
    return (struct wish){ .port = http_server_port(server, 0), .tls = true };
}

struct handshake {
    struct wish wish;
    bool works;
    char alpn[16], common_name[64];
};

static void shake(void *arg)
{
    struct handshake *handshake = arg;
    struct client client;
    handshake->works = client_open(&client, &handshake->wish) &&
                       client_say(&client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n") &&
                       (strcmp(client.alpn, "h2") == 0 || client_read(&client, "hello"));
    memcpy(handshake->alpn, client.alpn, sizeof client.alpn);
    memcpy(handshake->common_name, client.common_name, sizeof client.common_name);
    client_close(&client);
}

static void shake_hands(void *arg)
{
    static const struct {
        const char *title;
        struct wish wish;
        bool works;
        const char *alpn;
    } cases[] = {
        { "TLS 1.3", { .version = TLS1_3_VERSION }, true, "" },
        { "TLS 1.2", { .version = TLS1_2_VERSION }, true, "" },
        { "TLS 1.1", { .version = TLS1_1_VERSION }, false, "" },
        { "TLS 1.0", { .version = TLS1_VERSION }, false, "" },
        { "CBC", { .version = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-AES128-SHA256" }, false, "" },
        { "GCM", { .version = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256" }, true, "" },
        { "no cipher at all", { .version = TLS1_2_VERSION, .ciphers = "eNULL" }, false, "" },
        { "HTTP/1.1", { .alpn = "\x08http/1.1" }, true, "http/1.1" },
        { "HTTP/2 first", { .alpn = "\x08http/1.1\x02h2" }, true, "h2" },
        { "another protocol",
          { .alpn = "\x03"
                    "foo" },
          false,
          "" },
    };
    start(NULL);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct handshake handshake = { .wish = cases[i].wish };
        handshake.wish.port = http_server_port(server, 0);
        handshake.wish.tls = true;
        beside(shake, &handshake);
        check_row(cases[i].title, handshake.works == cases[i].works);
        check_row(cases[i].title, strcmp(handshake.alpn, cases[i].alpn) == 0);
    }
    assert_true(http_server_stats(server)->handshakes_failed == 5);
    http_server_free(server);
}

static void only_modern_tls_is_spoken(void **state)
{
    on_loop(shake_hands, NULL);
}

static void certificates(void *arg)
{
    static const struct {
        long from_s, to_s;
        const char *key;
        enum error_code code;
    } cases[] = {
        { -60, 3600, key, E_OK },
        { -7200, -3600, key, E_CERTIFICATE },
        { 3600, 7200, key, E_CERTIFICATE },
        { -60, 3600, other_key, E_CERTIFICATE },
        { -60, 3600, "/nonexistent", E_CERTIFICATE },
    };
    struct http_server_options options = with(NULL);
    make_certificate(other, other_key, "other", -60, 3600);
    for (size_t i = 0; i < COUNT(cases); i++) {
        make_certificate(certificate, key, "localhost", cases[i].from_s, cases[i].to_s);
        options.key_file = cases[i].key;
        result r = http_server_new(&server, &options);
        assert_true(r.error.code == cases[i].code && (r.error.code == E_OK || r.error.hint != NULL));
        if (!failed(r))
            http_server_free(server);
    }
    options.key_file = NULL;
    check_fails(E_CERTIFICATE, http_server_new(&server, &options));
    make_certificate(certificate, key, "localhost", -60, 3600);
}

static void a_bad_certificate_is_a_clear_error(void **state)
{
    on_loop(certificates, NULL);
}

static void reload(void *arg)
{
    struct handshake handshake;
    start(NULL);
    handshake.wish = tls_wish();
    make_certificate(certificate, key, "second", -60, 3600);
    beside(shake, &handshake);
    assert_true(strcmp(handshake.common_name, "localhost") == 0);
    check_ok(http_server_reload_tls(server, certificate, key));
    beside(shake, &handshake);
    assert_true(strcmp(handshake.common_name, "second") == 0);
    make_certificate(certificate, key, "third", -7200, -3600);
    check_fails(E_CERTIFICATE, http_certificate_check(certificate, key));
    check_fails(E_CERTIFICATE, http_server_reload_tls(server, certificate, key));
    beside(shake, &handshake);
    assert_true(handshake.works && strcmp(handshake.common_name, "second") == 0);
    make_certificate(certificate, key, "localhost", -60, 3600);
    http_server_free(server);
}

static void reload_elsewhere(void *arg)
{
    struct handshake handshake;
    struct http_certificate before = { 0 }, after = { 0 };
    start(NULL);
    handshake.wish = tls_wish();
    assert_true(http_server_certificate(server, &before));
    make_certificate(other, other_key, "elsewhere", -60, 7200);
    unlink(certificate);
    unlink(key);
    check_ok(http_certificate_check(other, other_key));
    check_ok(http_server_reload_tls(server, other, other_key));
    beside(shake, &handshake);
    assert_true(handshake.works && strcmp(handshake.common_name, "elsewhere") == 0);
    assert_true(http_server_certificate(server, &after));
    assert_true(strcmp(before.subject, "CN=localhost") == 0 && strcmp(after.subject, "CN=elsewhere") == 0);
    assert_true(strcmp(after.serial, "01") == 0);
    assert_true(strlen(after.not_after) == 20 && strcmp(before.not_after, after.not_after) < 0);
    make_certificate(certificate, key, "localhost", -60, 3600);
    http_server_free(server);
}

static void reload_takes_the_files_that_it_is_given(void **state)
{
    on_loop(reload_elsewhere, NULL);
}

static void reload_of_cleartext(void *arg)
{
    struct http_server_options options = with(NULL);
    struct http_certificate none;
    options.listeners[0] = options.listeners[1];
    options.listener_count = 1;
    options.certificate_file = options.key_file = NULL;
    must(!failed(http_server_new(&server, &options)));
    check_ok(http_server_reload_tls(server, "/nonexistent", "/nonexistent"));
    assert_true(!http_server_certificate(server, &none));
    http_server_free(server);
}

static void a_cleartext_server_has_no_certificate(void **state)
{
    on_loop(reload_of_cleartext, NULL);
}

static void reload_is_all_or_nothing(void **state)
{
    on_loop(reload, NULL);
}

/* ---- the stack of a handler ---- */

struct deep {
    struct wish wish;
    int levels;
    bool seen;
    const char *status;
};

static void send_deep(void *arg)
{
    struct deep *deep = arg;
    struct client client;
    char body[128] = "", text[256];
    memset(body, '[', (size_t)deep->levels);
    memset(body + deep->levels, ']', (size_t)deep->levels);
    snprintf(text, sizeof text, "POST /json HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s",
             deep->levels * 2, body);
    deep->seen = client_open(&client, &deep->wish) && client_say(&client, text) &&
                 client_read(&client, "\r\n\r\n") && strstr(client.text, deep->status) != NULL;
    client_close(&client);
}

static void half_a_stack(void *arg)
{
    struct deep deepest = { .levels = JSON_DEPTH_MAX, .status = "200" },
                too_deep = { .levels = JSON_DEPTH_MAX + 1, .status = "400" };
    start(NULL);
    deepest.wish = too_deep.wish = tls_wish();
    stack_used = 0;
    beside(send_deep, &deepest);
    beside(send_deep, &too_deep);
    assert_true(deepest.seen && too_deep.seen);
    print_message("requests over TLS: %zu KiB of stack\n", stack_used / 1024);
    assert_true(stack_used > 0);
#ifndef __SANITIZE_ADDRESS__
    assert_true(stack_used < FIBER_STACK_BYTES / 2);
#endif
    http_server_free(server);
}

static void a_request_leaves_half_of_its_stack(void **state)
{
    on_loop(half_a_stack, NULL);
}

/* ---- the last answer is seen ---- */

struct upload {
    struct wish wish;
    const char *head;
    size_t bytes;
    char status[32];
    bool sent, seen;
};

/* Sends all of the body before it reads, as many clients do; the kernel keeps little of it. */
static void upload(void *arg)
{
    static char block[50 * 1000];
    struct upload *upload = arg;
    struct client client;
    const int little = 16 * 1024;
    upload->seen = upload->sent = false;
    if (client_open(&client, &upload->wish) && client_say(&client, upload->head)) {
        upload->sent = setsockopt(client.fd, SOL_SOCKET, SO_SNDBUF, &little, sizeof little) == 0;
        for (size_t sent = 0; sent < upload->bytes && upload->sent; sent += sizeof block)
            upload->sent = client_send(&client, block, sizeof block);
        upload->seen = client_read(&client, "\r\n\r\n");
        memcpy(upload->status, client.text, sizeof upload->status - 1);
    }
    client_close(&client);
}

static void early_answers(void *arg)
{
    static const struct {
        const char *head;
        size_t bytes;
        const char *status;
    } cases[] = {
        { "PUT /home HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n", 1000 * 1000, "HTTP/1.1 421 " },
        { "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1500000\r\n\r\n", 1500 * 1000, "HTTP/1.1 413 " },
        { "PUT / HTTP/1.1\r\nHost: a\r\nHost: a\r\nContent-Length: 500000\r\n\r\n", 500 * 1000,
          "HTTP/1.1 400 " },
        { "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n", 1000 * 1000, "HTTP/1.1 200 " },
    };
    start(NULL);
    for (int tls = 0; tls < 2; tls++) {
        for (size_t i = 0; i < COUNT(cases); i++) {
            struct upload one = { .head = cases[i].head, .bytes = cases[i].bytes };
            one.wish = (struct wish){ .port = http_server_port(server, !tls), .tls = tls };
            beside(upload, &one);
            check_row(cases[i].status, one.sent); /* without a reset on the way */
            check_row(cases[i].status, one.seen && strncmp(one.status, cases[i].status, 13) == 0);
        }
    }
    http_server_free(server);
}

static void an_early_answer_is_seen_by_who_still_sends(void **state)
{
    on_loop(early_answers, NULL);
}

/* Two requests at once, and a first answer that fills the queue and still fits the kernel's buffers. */
static void ask_twice(void *arg)
{
    enum { LENGTH = 300 * 1000 };
    struct upload *upload = arg;
    struct client client;
    char *text = malloc(LENGTH + 200);
    int head = snprintf(text, 100, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", LENGTH);
    memset(text + head, 'x', LENGTH);
    int rest = snprintf(text + head + LENGTH, 100, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    size_t total = 0;
    if (client_open(&client, &upload->wish) && client_send(&client, text, (size_t)(head + LENGTH + rest))) {
        usleep(100 * 1000);
        for (ssize_t got = 1; got > 0; total += (size_t)(got > 0 ? got : 0))
            got = recv(client.fd, text, LENGTH, 0);
    }
    upload->seen = total > LENGTH + 100; /* both heads */
    client_close(&client);
    free(text);
}

/* A large answer that is the last one, to a client that says early that it will ask no more. */
static void end_early(void *arg)
{
    struct upload *upload = arg;
    struct client client;
    char block[64 * 1024];
    size_t total = 0;
    if (client_open(&client, &upload->wish) &&
        client_say(&client, "GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")) {
        while (total < 100 && recv(client.fd, block, 1, 0) == 1)
            total++;
        shutdown(client.fd, SHUT_WR);
        usleep(100 * 1000);
        for (ssize_t got = 1; got > 0; total += (size_t)(got > 0 ? got : 0))
            got = recv(client.fd, block, sizeof block, 0);
    }
    upload->seen = total > LARGE;
    client_close(&client);
}

/* TLS has an end of its own, which comes before that of the connection, or without it. */
static void say_goodbye(void *arg)
{
    struct upload *upload = arg;
    struct client client;
    char rest[256];
    ssize_t got = -1;
    if (client_open(&client, &upload->wish)) {
        SSL_shutdown(client.ssl);
        do
            got = recv(client.fd, rest, sizeof rest, 0);
        while (got > 0);
    }
    upload->seen = got == 0; /* and not -1, when the patience is over */
    client_close(&client);
}

static void goodbye(void *arg)
{
    start(NULL);
    struct upload one = { .wish = tls_wish() };
    beside(say_goodbye, &one);
    assert_true(one.seen);
    http_server_free(server);
}

static void who_ends_its_tls_is_let_go(void **state)
{
    on_loop(goodbye, NULL);
}

static void early_end(void *arg)
{
    start(NULL);
    struct upload one = { .wish = { .port = http_server_port(server, 1) } };
    beside(end_early, &one);
    assert_true(one.seen);
    http_server_free(server);
}

static void who_ends_early_gets_its_whole_answer(void **state)
{
    on_loop(early_end, NULL);
}

static void full_queue(void *arg)
{
    start(NULL);
    struct upload two = { .wish = { .port = http_server_port(server, 1) } };
    beside(ask_twice, &two);
    assert_true(two.seen && http_server_stats(server)->requests[0][2] == 2);
    http_server_free(server);
}

static void a_full_queue_is_taken_up_again(void **state)
{
    on_loop(full_queue, NULL);
}

/* ---- peers that are slow, silent or rude ---- */

struct silent {
    struct wish wish;
    const char *text; /* NULL: not even a handshake */
    bool ended;
};

static void be_silent(void *arg)
{
    struct silent *silent = arg;
    struct client client;
    if (client_open(&client, &silent->wish)) {
        if (silent->text != NULL)
            client_say(&client, silent->text);
        silent->ended = client_read(&client, NULL);
    }
    client_close(&client);
}

static void silence(void *arg)
{
    const struct http_limits quick = {
        .handshake_within_ms = 100, .head_within_ms = 100, .idle_ms = 100, .linger_ms = 100
    };
    start(&quick);
    struct silent cases[] = {
        { .wish = { .port = http_server_port(server, 0),
                    .tls = false } }, /* cleartext silence where TLS is awaited */
        { .wish = tls_wish(), .text = "" },
        { .wish = tls_wish(), .text = "GET / HTT" },
        { .wish = tls_wish(), .text = "GET / HTTP/1.1\r\nHost: a\r\n\r\n" },
        { .wish = { .port = http_server_port(server, 1), .tls = false },
          .text = "GET / HTTP/1.1\r\nHost: a\r\n\r\n" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint64_t begun = clock_monotonic_ns();
        beside(be_silent, &cases[i]);
        assert_true(cases[i].ended);
        assert_true(clock_monotonic_ns() - begun < SEC(2) * 1000000);
    }
    http_server_free(server);
}

static void p8_the_silent_are_cut_in_bounded_time(void **state)
{
    on_loop(silence, NULL);
}

static bool may_leave;

static void read_nothing(void *arg)
{
    struct silent *silent = arg;
    struct client client;
    if (client_open(&client, &silent->wish) && client_say(&client, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n"))
        while (!__atomic_load_n(&may_leave, __ATOMIC_RELAXED))
            usleep(1000);
    client_close(&client);
}

static void read_nothing_fiber(void *arg)
{
    beside(read_nothing, arg);
}

static void back_pressure(void *arg)
{
    const struct http_limits quick = { .stall_ms = 200 };
    start(&quick);
    struct silent reader = { .wish = tls_wish() };
    struct scope scope = SCOPE_INIT;
    stream_code = E_OK;
    check_ok(fiber_spawn(&scope, "reader", read_nothing_fiber, &reader));
    for (int i = 0; i < 100 && stream_code == E_OK; i++)
        check_ok(fiber_sleep(20));
    assert_true(stream_code == E_PEER_GONE);                  /* though the peer is there still */
    assert_true(streamed > 0 && streamed < 16 * 1024 * 1024); /* the kernel's buffers and ours */
    assert_true(http_server_stats(server)->answers_broken_off == 1);
    __atomic_store_n(&may_leave, true, __ATOMIC_RELAXED);
    check_ok(scope_join(&scope));
    http_server_free(server);
}

static void p8_a_reader_that_takes_nothing_is_cut_and_costs_little(void **state)
{
    on_loop(back_pressure, NULL);
}

/* Asks for a large answer and takes none of it. */
static void take_nothing(void *arg)
{
    struct silent *silent = arg;
    struct client client;
    if (client_open(&client, &silent->wish) &&
        client_say(&client, "GET /large HTTP/1.1\r\nHost: a\r\n\r\n")) {
        while (!__atomic_load_n(&may_leave, __ATOMIC_RELAXED))
            usleep(1000);
    }
    client_close(&client);
}

static void take_nothing_fiber(void *arg)
{
    beside(take_nothing, arg);
}

static void full_and_asleep(void *arg)
{
    start(NULL);
    struct silent reader = { .wish = tls_wish() };
    struct scope scope = SCOPE_INIT;
    may_leave = false;
    check_ok(fiber_spawn(&scope, "reader", take_nothing_fiber, &reader));
    for (int i = 0; i < 200 && http_server_stats(server)->requests[0][2] == 0; i++)
        check_ok(fiber_sleep(20));
    check_ok(fiber_sleep(50));
    uint64_t turns = loop_stats().turns;
    check_ok(fiber_sleep(200));
    assert_true(server->conns != NULL && conn_queued(server->conns) > OUT_HIGH_BYTES);
    assert_true(loop_stats().turns - turns < 50);
    __atomic_store_n(&may_leave, true, __ATOMIC_RELAXED);
    check_ok(scope_join(&scope));
    http_server_free(server);
}

static void p8_a_reader_that_takes_nothing_leaves_the_loop_asleep(void **state)
{
    on_loop(full_and_asleep, NULL);
}

static void abort_in_all_ways(void *arg)
{
    static const char *texts[] = {
        "",
        "GET",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /stream HTTP/1.1\r\nHost: a\r\n\r\nGET /",
        "PUT /home HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\nabc"
    };
    const struct wish *wish = arg;
    const struct linger reset = { 1, 0 };
    for (unsigned i = 0; i < 150; i++) {
        struct client client;
        struct wish this = *wish;
        this.tls = i % 3 != 0;
        this.alpn = i % 5 == 0 ? "\x02h2" : NULL;
        if (client_open(&client, &this)) {
            client_say(&client, texts[i % (COUNT(texts))]);
            if (i % 2 == 0)
                setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
            if (i % 4 == 0)
                usleep(i * 20);
        }
        client_close(&client);
    }
}

static void abort_fiber(void *arg)
{
    beside(abort_in_all_ways, arg);
}

static void rudeness(void *arg)
{
    start(NULL);
    struct wish wish = { .port = http_server_port(server, 0) };
    struct scope scope = SCOPE_INIT;
    for (int i = 0; i < 3; i++)
        check_ok(fiber_spawn(&scope, "rude", abort_fiber, &wish));
    check_ok(scope_join(&scope));
    struct handshake handshake = { .wish = tls_wish() };
    beside(shake, &handshake);
    assert_true(handshake.works);
    for (int i = 0; i < 100 && http_server_stats(server)->connections > 0; i++)
        check_ok(fiber_sleep(50));
    assert_true(http_server_stats(server)->connections == 0 &&
                http_server_stats(server)->requests_in_flight == 0);
    http_server_free(server);
}

static void p8_clients_that_abort_harm_nobody(void **state)
{
    on_loop(rudeness, NULL);
}

/* ---- records that carry no data ---- */

struct updates {
    struct wish wish;
    int count, every; /* a request after so many */
    int answered;
    bool all_sent;
};

static void update_keys(void *arg)
{
    struct updates *updates = arg;
    struct client client;
    updates->answered = 0;
    updates->all_sent = client_open(&client, &updates->wish);
    for (int i = 1; i <= updates->count && updates->all_sent; i++) {
        updates->all_sent = SSL_key_update(client.ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 &&
                            SSL_do_handshake(client.ssl) == 1;
        if (!updates->all_sent || i % updates->every != 0)
            continue;
        client.length = 0;
        client.text[0] = '\0';
        updates->answered +=
            client_say(&client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n") && client_read(&client, "hello");
    }
    client_close(&client);
}

static void key_updates(void *arg)
{
    start(NULL);
    struct updates few = { .wish = tls_wish(), .count = 50, .every = 1 };
    beside(update_keys, &few);
    assert_true(few.all_sent && few.answered == 50 && http_server_stats(server)->floods_cut == 0);
    struct updates slow = { .wish = tls_wish(), .count = 1000, .every = 50 };
    beside(update_keys, &slow);
    assert_true(slow.answered <= 2 && http_server_stats(server)->floods_cut == 1);
    struct updates flood = { .wish = tls_wish(), .count = 20 * 1000, .every = INT32_MAX };
    beside(update_keys, &flood);
    assert_true(http_server_stats(server)->floods_cut == 2);
    assert_true(http_server_stats(server)->handshakes_failed == 0);
    struct handshake handshake = { .wish = tls_wish() };
    beside(shake, &handshake);
    assert_true(handshake.works);
    http_server_free(server);
}

static void p8_a_flood_of_key_updates_is_cut(void **state)
{
    on_loop(key_updates, NULL);
}

static void crowd(void *arg)
{
    const struct http_limits few = { .connections = 2 };
    start(&few);
    int fds[3];
    for (int i = 0; i < 3; i++)
        fds[i] = connect_to(http_server_port(server, 0));
    UNTIL(http_server_stats(server)->connections_evicted == 1);
    assert_true(http_server_stats(server)->connections == 2);
    char byte;
    ssize_t length = recv(fds[0], &byte, 1, MSG_DONTWAIT); /* it was quiet for longest */
    assert_true(length == 0 && recv(fds[2], &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    UNTIL(http_server_stats(server)->connections == 0);
    struct handshake handshake = { .wish = tls_wish() };
    beside(shake, &handshake);
    assert_true(handshake.works);
    http_server_free(server);
}

/* Where every connection has a request, the new one is closed. */
static void busy_crowd(void *arg)
{
    static const char wait[] = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";
    const struct http_limits few = { .connections = 2 };
    start(&few);
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = connect_to(http_server_port(server, 1));
        assert_true(send(fds[i], wait, sizeof wait - 1, MSG_NOSIGNAL) > 0);
        UNTIL(http_server_stats(server)->requests_in_flight == (i < 2 ? (unsigned)i + 1 : 2) &&
              http_server_stats(server)->connections_refused == (i < 2 ? 0 : 1));
    }
    assert_true(http_server_stats(server)->connections == 2 &&
                http_server_stats(server)->connections_evicted == 0);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    http_server_free(server);
}

static void p8_connections_with_requests_are_not_given_up(void **state)
{
    on_loop(busy_crowd, NULL);
}

static void p8_connections_beyond_the_limit_are_closed(void **state)
{
    on_loop(crowd, NULL);
}

/* ---- the end ---- */

struct waiting {
    struct wish wish;
    bool answered, closing;
};

static void wait_for_answer(void *arg)
{
    struct waiting *waiting = arg;
    struct client client;
    waiting->answered = client_open(&client, &waiting->wish) &&
                        client_say(&client, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n") &&
                        client_read(&client, NULL) && strstr(client.text, "late") != NULL;
    waiting->closing = strstr(client.text, "Connection: close") != NULL;
    client_close(&client);
}

static void waiting_fiber(void *arg)
{
    beside(wait_for_answer, arg);
}

static void release_soon(void *arg)
{
    check_ok(fiber_sleep(100));
    semaphore_release(&gate);
}

static void drain(void *arg)
{
    const struct http_limits quick = { .linger_ms = 100 };
    start(&quick);
    struct waiting waiting = { .wish = tls_wish() };
    struct scope scope = SCOPE_INIT;
    int idle = connect_to(http_server_port(server, 1));
    check_ok(fiber_spawn(&scope, "client", waiting_fiber, &waiting));
    while (http_server_stats(server)->requests_in_flight == 0)
        check_ok(fiber_sleep(5));
    check_ok(fiber_spawn(&scope, "release", release_soon, NULL));
    uint64_t begun = clock_monotonic_ns();
    uint16_t port = http_server_port(server, 1);
    check_ok(http_server_drain(server, SEC(5)));
    assert_true(clock_monotonic_ns() - begun < SEC(3) * 1000000);
    check_ok(scope_join(&scope));
    assert_true(waiting.answered && waiting.closing);
    char byte;
    assert_true(recv(idle, &byte, 1, 0) == 0);
    close(idle);
    assert_true(connect_to(port) < 0);
    http_server_free(server);
}

static void a_drain_answers_what_is_in_flight(void **state)
{
    on_loop(drain, NULL);
}

static void cut(void *arg)
{
    start(NULL);
    struct waiting waiting = { .wish = tls_wish() };
    struct scope scope = SCOPE_INIT;
    check_ok(fiber_spawn(&scope, "client", waiting_fiber, &waiting));
    while (http_server_stats(server)->requests_in_flight == 0)
        check_ok(fiber_sleep(5));
    check_fails(E_DEADLINE, http_server_drain(server, 100));
    check_ok(scope_join(&scope));
    assert_true(!waiting.answered);
    http_server_free(server); /* cancels the handler, which still waits */
}

static result drained;

static void drain_for_long(void *arg)
{
    drained = http_server_drain(server, SEC(60));
}

static void cancel_a_drain(void *arg)
{
    start(NULL);
    struct waiting waiting = { .wish = tls_wish() };
    struct scope scope = SCOPE_INIT, drains = SCOPE_INIT;
    check_ok(fiber_spawn(&scope, "client", waiting_fiber, &waiting));
    while (http_server_stats(server)->requests_in_flight == 0)
        check_ok(fiber_sleep(5));
    check_ok(fiber_spawn(&drains, "drain", drain_for_long, NULL));
    check_ok(fiber_yield());
    scope_cancel(&drains);
    check_ok(scope_join(&drains));
    check_fails(E_CANCELLED, drained);
    check_ok(scope_join(&scope)); /* the client was cut off */
    assert_true(!waiting.answered);
    http_server_free(server);
}

static void a_drain_that_is_cancelled_says_so(void **state)
{
    on_loop(cancel_a_drain, NULL);
}

static void a_drain_cuts_what_does_not_end(void **state)
{
    on_loop(cut, NULL);
}

static void listeners(void *arg)
{
    struct http_server_options options = with(NULL);
    options.listeners[0] = (struct http_listener){ "0.0.0.0", 0, true };
    check_fails(E_CONFIG, http_server_new(&server, &options));
    options.listeners[0] = (struct http_listener){ "localhost", 0, false };
    check_fails(E_CONFIG, http_server_new(&server, &options));
    options.listeners[0] = (struct http_listener){ "192.0.2.1", 0, false };
    check_fails(E_IO, http_server_new(&server, &options));

    struct http_server *second;
    options = with(NULL);
    options.reuse_port = true;
    must(!failed(http_server_new(&server, &options)));
    options.listeners[0].port = http_server_port(server, 0);
    options.listeners[1].port = http_server_port(server, 1);
    check_ok(http_server_new(&second, &options));
    http_server_free(second);
    options.reuse_port = false;
    check_fails(E_IO, http_server_new(&second, &options));
    http_server_free(server);
}

static void listeners_are_checked_and_ports_can_be_shared(void **state)
{
    on_loop(listeners, NULL);
}

static int set_up(void **state)
{
    if (mkstemp(certificate) < 0 || mkstemp(key) < 0 || mkstemp(other_key) < 0 || mkstemp(other) < 0)
        return -1;
    make_certificate(certificate, key, "localhost", -60, 3600);
    return 0;
}

static int tear_down(void **state)
{
    unlink(certificate);
    unlink(key);
    unlink(other_key);
    unlink(other);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_modern_tls_is_spoken),
        cmocka_unit_test(a_bad_certificate_is_a_clear_error),
        cmocka_unit_test(reload_is_all_or_nothing),
        cmocka_unit_test(reload_takes_the_files_that_it_is_given),
        cmocka_unit_test(a_cleartext_server_has_no_certificate),
        cmocka_unit_test(an_early_answer_is_seen_by_who_still_sends),
        cmocka_unit_test(who_ends_early_gets_its_whole_answer),
        cmocka_unit_test(who_ends_its_tls_is_let_go),
        cmocka_unit_test(a_full_queue_is_taken_up_again),
        cmocka_unit_test(a_request_leaves_half_of_its_stack),
        cmocka_unit_test(p8_the_silent_are_cut_in_bounded_time),
        cmocka_unit_test(p8_a_reader_that_takes_nothing_is_cut_and_costs_little),
        cmocka_unit_test(p8_a_reader_that_takes_nothing_leaves_the_loop_asleep),
        cmocka_unit_test(p8_clients_that_abort_harm_nobody),
        cmocka_unit_test(p8_a_flood_of_key_updates_is_cut),
        cmocka_unit_test(p8_connections_beyond_the_limit_are_closed),
        cmocka_unit_test(p8_connections_with_requests_are_not_given_up),
        cmocka_unit_test(a_drain_answers_what_is_in_flight),
        cmocka_unit_test(a_drain_that_is_cancelled_says_so),
        cmocka_unit_test(a_drain_cuts_what_does_not_end),
        cmocka_unit_test(listeners_are_checked_and_ports_can_be_shared),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
