/* Waiting for what is outside the process: descriptors, threads, signals. */
#include "loop/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- descriptors ---- */

struct watch {
    uv_poll_t poll;
    struct wait *waiter;
    int watched; /* events that libuv polls for; kept after a wait, since the next one is mostly for the same
                  */
    int seen;
    int status;
};

result watch_new(struct watch **ret, int fd)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return FAIL(E_MEMORY, NULL, "no memory for a watch");
    int status = uv_poll_init(loop_uv(), &watch->poll, fd);
    if (status != 0) {
        free(watch);
        return FAIL(E_RESOURCE, NULL, "descriptor %d cannot be watched: %s", fd, uv_strerror(status));
    }
    watch->poll.data = watch;
    *ret = watch;
    return OK;
}

static void on_watch_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void watch_free(struct watch *watch)
{
    if (watch == NULL)
        return;
    must(watch->waiter == NULL);
    uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
}

static void on_watch(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    if (watch->waiter == NULL) {
        uv_poll_stop(poll);
        watch->watched = 0;
        return;
    }
    watch->seen = status < 0 ? watch->watched : events;
    if (status < 0) /* libuv has stopped polling */
        watch->watched = 0;
    wait_wake(watch->waiter);
}

static int to_uv(int events)
{
    return ((events & WATCH_READABLE) != 0 ? UV_READABLE : 0) |
           ((events & WATCH_WRITABLE) != 0 ? UV_WRITABLE : 0);
}

result watch_wait(struct watch *watch, int events, int *ret_events)
{
    must(watch->waiter == NULL && events != 0);
    TRY(fiber_check());
    if (watch->watched != to_uv(events)) {
        int status = uv_poll_start(&watch->poll, to_uv(events), on_watch);
        if (status != 0)
            return FAIL(E_RESOURCE, NULL, "a descriptor cannot be polled: %s", uv_strerror(status));
        watch->watched = to_uv(events);
    }
    struct wait wait;
    wait_init(&wait);
    watch->waiter = &wait;
    watch->seen = 0;
    result r = wait_for(&wait);
    watch->waiter = NULL;
    TRY(r);
    *ret_events = ((watch->seen & UV_READABLE) != 0 ? WATCH_READABLE : 0) |
                  ((watch->seen & UV_WRITABLE) != 0 ? WATCH_WRITABLE : 0);
    return OK;
}

result fiber_await_fd(int fd, int events, int *ret_events)
{
    struct watch *watch;
    TRY(watch_new(&watch, fd));
    result r = watch_wait(watch, events, ret_events);
    watch_free(watch);
    return r;
}

/* ---- threads ---- */

struct offload {
    uv_work_t request;
    struct wait wait;
    void (*work)(void *arg);
    void *arg;
    bool ran;
};

static void run_offload(uv_work_t *request)
{
    struct offload *offload = request->data;
    offload->work(offload->arg);
}

static void on_offloaded(uv_work_t *request, int status)
{
    struct offload *offload = request->data;
    offload->ran = status == 0;
    loop_current->offloads--;
    wait_wake(&offload->wait);
}

result fiber_offload(void (*work)(void *arg), void *arg)
{
    TRY(fiber_check());
    struct offload offload = { .work = work, .arg = arg };
    offload.request.data = &offload;
    wait_init(&offload.wait);
    must(uv_queue_work(loop_uv(), &offload.request, run_offload, on_offloaded) == 0);
    loop_current->offloads++;
    result r = wait_for(&offload.wait);
    if (failed(r)) {
        uv_cancel(
            (uv_req_t *)&offload.request); /* works only while it is queued; if not, it runs to its end */
        struct shield shield;
        fiber_shield(&shield);
        result waited = wait_for(&offload.wait);
        fiber_unshield(&shield);
        must(!failed(waited));
    }
    return offload.ran ? OK : r;
}

/* ---- signals ---- */

enum { SIGNALS_MAX = 8 };

struct signal_watch {
    uv_signal_t handles[SIGNALS_MAX];
    size_t count, open;
    uint64_t caught; /* bits by number */
    struct wait *waiter;
};

static void on_signal(uv_signal_t *handle, int number)
{
    struct signal_watch *watch = handle->data;
    watch->caught |= UINT64_C(1) << number;
    if (watch->waiter != NULL)
        wait_wake(watch->waiter);
}

result signal_watch_new(const int *signals, size_t count, struct signal_watch **ret)
{
    must(count > 0 && count <= SIGNALS_MAX);
    struct signal_watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return FAIL(E_MEMORY, NULL, "no memory for a watch of signals");
    watch->count = watch->open = count;
    for (size_t i = 0; i < count; i++) {
        must(signals[i] > 0 && signals[i] < 64);
        must(uv_signal_init(loop_uv(), &watch->handles[i]) == 0);
        watch->handles[i].data = watch;
        must(uv_signal_start(&watch->handles[i], on_signal, signals[i]) == 0);
    }
    *ret = watch;
    return OK;
}

static void on_signal_closed(uv_handle_t *handle)
{
    struct signal_watch *watch = handle->data;
    if (--watch->open == 0)
        free(watch);
}

void signal_watch_free(struct signal_watch *watch)
{
    if (watch == NULL)
        return;
    must(watch->waiter == NULL);
    for (size_t i = 0; i < watch->count; i++)
        uv_close((uv_handle_t *)&watch->handles[i], on_signal_closed);
}

result signal_watch_wait(struct signal_watch *watch, int *ret_signal)
{
    must(watch->waiter == NULL);
    TRY(fiber_check());
    if (watch->caught == 0) {
        struct wait wait;
        wait_init(&wait);
        watch->waiter = &wait;
        result r = wait_for(&wait);
        watch->waiter = NULL;
        TRY(r);
    }
    int number = __builtin_ctzll(watch->caught);
    watch->caught &= ~(UINT64_C(1) << number);
    *ret_signal = number;
    return OK;
}
