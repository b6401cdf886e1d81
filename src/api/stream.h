#pragma once
/* What goes on after its head: an export, a bulk request. Who began it was admitted then; here it is admitted again and
 * again, as by a new request: is the token valid and its client not disabled, does the policy in use allow it, is the
 * customer here and active. For the files of api alone.
 *
 * Promises: what was revoked is noticed within a second where cell and directory answer, and within seven where they do
 * not, also while the peer takes or sends nothing; afterwards nothing more is read from the cell or stored in it, and what
 * is queued for the peer is thrown away by breaking off the answer. */
#include "api/call.h"

struct api_stream {
    struct api_call *call;
    enum action action;
    struct record_shelf shelf; /* made anew by each check */
    uint64_t began_ns, checked_ns;
    int64_t began_ms; /* wall clock */
};

/* Admits it for the first time. */
result api_stream_begin(struct api_stream *stream, struct api_call *call, enum action action) MUST_USE;

/* Before a page is read, or lines are stored. May wait. Fails as api_admit_shelf, and with
 *   E_DEADLINE   it has taken longer than the region's stream_within_ms
 *   E_DIRECTORY  the directory has been silent for too long
 * The strings of the shelf, of class and policy may be others afterwards. */
result api_stream_check(struct api_stream *stream) MUST_USE;

/* http_stream_write and http_body_read, which check while they wait. */
result api_stream_write(struct api_stream *stream, struct str bytes) MUST_USE;
result api_stream_read(struct api_stream *stream, char *buf, size_t size, size_t *ret_len) MUST_USE;

/* It failed after its head: logged, and counted. */
void api_stream_broken_off(const struct api_stream *stream, const struct error *why);
