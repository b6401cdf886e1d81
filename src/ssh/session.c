/* libssh2's socket, memory and waiting. */
#include "ssh/internal.h"

#include "base/clock.h"
#include "base/secret.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    TURN_BYTES = 256 * 1024, /* moved without a pause: libssh2 continues as long as there are bytes */
    CALL_BYTES = 64,         /* counted at least for each call to the socket */
    EARLY_BYTES_MAX = 256 * 1024,
    MEMORY_BYTES_MAX = 16 << 20, /* of one session: limits what a host can make libssh2 store */
    UNSURE_MS = 20,              /* libssh2 returns EAGAIN without telling what it waits for */
    SILENT_INTERVALS = 3,        /* of keepalive without a byte */
};

/* ---- memory ---- it contains keys, so it is wiped; and libssh2 1.10 leaks some of it when it frees a session during an
 * upload, so all blocks are in a list */

struct block {
    struct block *next, **at; /* at: the pointer that points here */
    size_t bytes;
    max_align_t memory[];
};

static LIBSSH2_ALLOC_FUNC(on_alloc)
{
    struct ssh *ssh = *abstract;
    struct block *block = malloc(sizeof *block + count);
    if (block == NULL)
        return NULL;
    *block = (struct block){ .next = ssh->blocks, .at = &ssh->blocks, .bytes = count };
    if (block->next != NULL)
        block->next->at = &block->next;
    ssh->blocks = block;
    ssh->memory_bytes += count;
    return block->memory;
}

static struct block *block_of(void *memory)
{
    return (struct block *)(void *)((char *)memory - offsetof(struct block, memory));
}

static LIBSSH2_FREE_FUNC(on_free)
{
    struct ssh *ssh = *abstract;
    if (ptr == NULL)
        return;
    struct block *block = block_of(ptr);
    ssh->memory_bytes -= block->bytes;
    *block->at = block->next;
    if (block->next != NULL)
        block->next->at = block->at;
    secret_wipe(block->memory, block->bytes);
    free(block);
}

static LIBSSH2_REALLOC_FUNC(on_realloc)
{
    void *other = on_alloc(count, abstract);
    if (other != NULL && ptr != NULL) {
        size_t bytes = block_of(ptr)->bytes;
        memcpy(other, ptr, bytes < count ? bytes : count);
        on_free(ptr, abstract);
    }
    return other;
}

static void free_forgotten(struct ssh *ssh)
{
    struct block *block, *next;
    for (block = ssh->blocks; block != NULL; block = next) {
        next = block->next;
        secret_wipe(block->memory, block->bytes);
        free(block);
    }
    ssh->blocks = NULL;
}

/* ---- the socket ---- */

static void see(struct ssh *ssh, result why)
{
    if (ssh->seen.code == E_OK)
        ssh->seen = why.error;
}

static bool turn_is_over(struct ssh *ssh)
{
    ssh->turn_is_over = ssh->turn_bytes >= TURN_BYTES;
    return ssh->turn_is_over;
}

static void count(struct ssh *ssh, size_t bytes)
{
    ssh->turn_bytes += bytes + CALL_BYTES;
    if (bytes > 0)
        ssh->moved_ns = clock_monotonic_ns();
}

static result check_limits(struct ssh *ssh, struct str bytes)
{
    if (ssh->hello.state == HELLO_LINES || ssh->hello.state == HELLO_PACKET)
        TRY(hello_feed(&ssh->hello, bytes));
    if (!ssh->logged_in) {
        ssh->early_bytes += bytes.len;
        if (ssh->early_bytes > EARLY_BYTES_MAX)
            return FAIL(E_SSH, "Check which server listens at that address and port.",
                        "the server sent more than %d bytes before the login", EARLY_BYTES_MAX);
    }
    if (ssh->memory_bytes > MEMORY_BYTES_MAX)
        return FAIL(E_LIMIT, "Check which SSH server runs on that host, and what it sends.",
                    "libssh2 needs more than %d bytes of memory for this server", MEMORY_BYTES_MAX);
    return OK;
}

static ssize_t socket_failure(struct ssh *ssh)
{
    ssh->closed_by_host |= errno == ECONNRESET || errno == EPIPE;
    return errno == EINTR ? -EAGAIN : -errno;
}

static LIBSSH2_RECV_FUNC(on_recv)
{
    struct ssh *ssh = *abstract;
    if (ssh->fd < 0 || ssh->seen.code != E_OK)
        return -ECONNABORTED;
    if (turn_is_over(ssh))
        return -EAGAIN;
    ssize_t got = recv(ssh->fd, buffer, length, flags | MSG_DONTWAIT);
    if (got < 0)
        return socket_failure(ssh);
    count(ssh, (size_t)got);
    ssh->closed_by_host |= got == 0 && length > 0;
    result r = check_limits(ssh, (struct str){ buffer, (size_t)got });
    if (failed(r)) {
        see(ssh, r);
        return -ECONNABORTED;
    }
    return got;
}

static LIBSSH2_SEND_FUNC(on_send)
{
    struct ssh *ssh = *abstract;
    if (ssh->fd < 0 || ssh->seen.code != E_OK)
        return -ECONNABORTED;
    if (turn_is_over(ssh))
        return -EAGAIN;
    ssize_t sent = send(ssh->fd, buffer, length, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0)
        return socket_failure(ssh);
    count(ssh, (size_t)sent);
    return sent;
}

/* ---- the end ---- */

result session_lose(struct ssh *ssh, result why)
{
    if (ssh->lost.code == E_OK)
        ssh->lost = why.error;
    watch_free(ssh->watch);
    ssh->watch = NULL;
    if (ssh->fd >= 0)
        close(ssh->fd);
    ssh->fd = -1;
    return why;
}

bool ssh_serves(const struct ssh *ssh)
{
    return ssh->lost.code == E_OK;
}

result session_failure(struct ssh *ssh, const char *doing)
{
    char *words = NULL;
    int code = libssh2_session_last_error(ssh->session, &words, NULL, 0);
    if (ssh->seen.code != E_OK)
        return FAIL(ssh->seen.code, ssh->seen.hint, "\"%s\": %s", ssh->host, ssh->seen.what);
    if (ssh->closed_by_host)
        return FAIL(E_UNAVAILABLE, "Read the log of sshd on that host at that time.",
                    "\"%s\" closed the connection while %s", ssh->host, doing);
    if (code == LIBSSH2_ERROR_SOCKET_SEND || code == LIBSSH2_ERROR_SOCKET_RECV ||
        code == LIBSSH2_ERROR_SOCKET_DISCONNECT)
        return FAIL(E_UNAVAILABLE, "Check that the host is up and that this host can reach it.",
                    "the connection to \"%s\" was lost while %s: %s", ssh->host, doing, words);
    return FAIL(E_SSH, "Read the log of sshd on that host at that time.", "\"%s\": %s failed: %s", ssh->host,
                doing, words != NULL && words[0] != '\0' ? words : "libssh2 gives no reason");
}

/* ---- waiting ---- */

static bool takes_more(const struct ssh *ssh)
{
    struct pollfd socket = { .fd = ssh->fd, .events = POLLOUT };
    return poll(&socket, 1, 0) == 1 && (socket.revents & POLLOUT) != 0;
}

/* Sends a keepalive, but not in the middle of a packet, and not into a full socket: libssh2 could not send the rest later.
 * The keepalive itself does not count as movement. */
static result ask_for_life(struct ssh *ssh)
{
    uint64_t moved_ns = ssh->moved_ns;
    int next_s, rc = libssh2_keepalive_send(ssh->session, &next_s);
    ssh->moved_ns = moved_ns;
    return rc == 0 ? OK : session_failure(ssh, "waiting");
}

/* libssh2 does not notice a missing answer: silence is measured here. */
static result probe(struct ssh *ssh, int directions)
{
    uint64_t silent_ms = (clock_monotonic_ns() - ssh->moved_ns) / 1000000;
    if (silent_ms >= SILENT_INTERVALS * ssh->keepalive_ms)
        return FAIL(E_UNAVAILABLE, "Check whether that host is overloaded, stopped or disconnected.",
                    "\"%s\" has been silent for %llu ms", ssh->host, (unsigned long long)silent_ms);
    if ((directions & LIBSSH2_SESSION_BLOCK_OUTBOUND) == 0 && takes_more(ssh))
        return ask_for_life(ssh);
    return OK;
}

result session_wait(struct ssh *ssh)
{
    bool was_over = ssh->turn_is_over;
    ssh->turn_bytes = 0;
    ssh->turn_is_over = false;
    if (was_over)
        return fiber_yield();
    int directions = libssh2_session_block_directions(ssh->session), seen;
    int events = ((directions & LIBSSH2_SESSION_BLOCK_INBOUND) != 0 ? WATCH_READABLE : 0) |
                 ((directions & LIBSSH2_SESSION_BLOCK_OUTBOUND) != 0 ? WATCH_WRITABLE : 0);
    struct deadline tick;
    deadline_begin(&tick, directions == 0 ? UNSURE_MS : ssh->keepalive_ms);
    result r = watch_wait(ssh->watch, events != 0 ? events : WATCH_READABLE, &seen);
    deadline_end(&tick);
    if (r.error.code != E_DEADLINE)
        return r;
    TRY(fiber_check());
    return ssh->logged_in ? probe(ssh, directions) : OK;
}

/* ---- calls ---- */

result session_begin(struct ssh *ssh)
{
    TRY(semaphore_acquire(&ssh->one));
    if (ssh_serves(ssh)) {
        ssh->moved_ns = clock_monotonic_ns();
        return OK;
    }
    semaphore_release(&ssh->one);
    return FAIL(E_UNAVAILABLE, "Open a new session.", "the session with \"%s\" has ended: %s", ssh->host,
                ssh->lost.what);
}

void session_end(struct ssh *ssh)
{
    semaphore_release(&ssh->one);
}

/* ---- birth and death ---- */

/* libssh2 takes functions as pointers to objects, which POSIX allows and ISO C does not. */
typedef union callback {
    LIBSSH2_RECV_FUNC((*recv));
    LIBSSH2_SEND_FUNC((*send));
    void *pointer;
} callback;

static void set_callback(struct ssh *ssh, int which, const callback *function)
{
    libssh2_session_callback_set(ssh->session, which, function->pointer);
}

result session_new(const struct ssh_options *options, struct ssh **ret)
{
    enum { KEEPALIVE_MS = 5000, KEEPALIVE_MIN_MS = 1000 };
    struct ssh *ssh = calloc(1, sizeof *ssh);
    if (ssh == NULL)
        return FAIL(E_MEMORY, NULL, "not enough memory for an SSH session");
    ssh->fd = -1;
    ssh->keepalive_ms = options->keepalive_ms == 0                 ? KEEPALIVE_MS
                        : options->keepalive_ms < KEEPALIVE_MIN_MS ? KEEPALIVE_MIN_MS
                                                                   : options->keepalive_ms;
    ssh->record = options->record;
    ssh->record_context = options->record_context;
    semaphore_init(&ssh->one, 1);
    hello_init(&ssh->hello);
    arena_init(&ssh->arena);
    ssh->host = arena_cstr(&ssh->arena, str_from(options->host));
    ssh->session = libssh2_session_init_ex(on_alloc, on_free, on_realloc, ssh);
    if (ssh->session == NULL) {
        session_free(ssh);
        return FAIL(E_MEMORY, NULL, "not enough memory for an SSH session");
    }
    libssh2_session_set_blocking(ssh->session, 0);
    set_callback(ssh, LIBSSH2_CALLBACK_RECV, &(callback){ .recv = on_recv });
    set_callback(ssh, LIBSSH2_CALLBACK_SEND, &(callback){ .send = on_send });
    *ret = ssh;
    return OK;
}

/* Without its socket libssh2 waits for nothing: what it still sends fails at once. */
void session_free(struct ssh *ssh)
{
    session_lose(ssh, FAIL(E_UNAVAILABLE, NULL, "it was closed"));
    if (ssh->session != NULL)
        must(libssh2_session_free(ssh->session) == 0);
    free_forgotten(ssh);
    hello_done(&ssh->hello);
    arena_done(&ssh->arena);
    free(ssh);
}

void ssh_close(struct ssh *ssh)
{
    if (ssh == NULL)
        return;
    must(ssh->one.permits == 1);
    if (ssh_serves(ssh))
        libssh2_session_disconnect(ssh->session, "closed"); /* sent only if that needs no waiting */
    session_free(ssh);
}
