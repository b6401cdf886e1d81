#include "api/stream.h"

#include "base/clock.h"
#include "base/log.h"
#include "loop/fiber.h"

enum {
    CHECK_EVERY_MS = 300,
    WAITED_MS = 5,
    DIRECTORY_SILENT_MS = 6000, /* the replica takes 5 s to say so where it hangs */
};

static uint64_t ms_since(uint64_t ns)
{
    return (clock_monotonic_ns() - ns) / 1000000;
}

static result admit(struct api_stream *stream)
{
    stream->checked_ns = clock_monotonic_ns();
    return api_admit_shelf(stream->call, stream->action, &stream->shelf);
}

result api_stream_begin(struct api_stream *stream, struct api_call *call, enum action action)
{
    *stream = (struct api_stream){
        .call = call, .action = action, .began_ns = clock_monotonic_ns(), .began_ms = clock_wall_ms()
    };
    return admit(stream);
}

static result check_time(const struct api_stream *stream)
{
    uint32_t within_ms = stream->call->snapshot->region->limits.stream_within_ms;
    if (ms_since(stream->began_ns) >= within_ms)
        return FAIL(E_DEADLINE, "Ask for less at a time.", "the request has taken longer than %u ms",
                    within_ms);
    return OK;
}

/* A request takes the last known word of a lost directory; what goes on for longer does not live on it. */
static result check_directory(const struct api_stream *stream)
{
    struct directory_health health = directory_replica_health(stream->call->gateway->replica);
    int64_t since_ms = health.since_ms > stream->began_ms ? health.since_ms : stream->began_ms;
    if (!health.ok && clock_wall_ms() - since_ms >= DIRECTORY_SILENT_MS)
        return FAIL(E_DIRECTORY, health.error.hint, "it is not known any more where the customer lives: %s",
                    health.error.what);
    return OK;
}

/* From now on by the configuration in use. */
static void use_snapshot(struct api_call *call)
{
    struct snapshot *old = call->snapshot;
    call->snapshot = snapshot_hold(call->gateway->snapshot);
    snapshot_drop(old);
}

result api_stream_check(struct api_stream *stream)
{
    use_snapshot(stream->call);
    TRY(admit(stream));
    TRY(check_time(stream));
    return check_directory(stream);
}

static result check_if_due(struct api_stream *stream)
{
    return ms_since(stream->checked_ns) >= CHECK_EVERY_MS ? api_stream_check(stream) : OK;
}

/* Only a wait for the peer is cut short; then nothing was written or read. */
static bool is_only_a_slice(result r)
{
    return r.error.code == E_DEADLINE && !failed(fiber_check());
}

result api_stream_write(struct api_stream *stream, struct str bytes)
{
    for (;;) {
        struct deadline slice;
        TRY(check_if_due(stream));
        uint64_t before_ns = clock_monotonic_ns();
        deadline_begin(&slice, CHECK_EVERY_MS);
        result r = http_stream_write(stream->call->request, bytes);
        deadline_end(&slice);
        if (!is_only_a_slice(r)) {
            if (ms_since(before_ns) >= WAITED_MS) /* the window has opened */
                stream->checked_ns = 0;
            return r;
        }
    }
}

result api_stream_read(struct api_stream *stream, char *buf, size_t size, size_t *ret_len)
{
    for (;;) {
        struct deadline slice;
        TRY(check_if_due(stream));
        deadline_begin(&slice, CHECK_EVERY_MS);
        result r = http_body_read(stream->call->request, buf, size, ret_len);
        deadline_end(&slice);
        if (!is_only_a_slice(r))
            return r;
    }
}

void api_stream_broken_off(const struct api_stream *stream, const struct error *why)
{
    if (why->code == E_PEER_GONE || why->code == E_CANCELLED)
        return;
    stream->call->gateway->counters.streams_broken_off++;
    api_trace_refusal(stream->call, why->code);
    log_failure(error_http_status(why->code) >= 500 ? LOG_WARNING : LOG_INFO, why,
                "a stream was broken off: request=%s", stream->call->request->id);
}
