#pragma once
/* Work on bytes that a peer chose, in slices: parsing 1 MB of JSON takes a hundred times as long as anything else that a
 * request does, and all other requests would wait for it. */
#include "base/result.h"

#include <stddef.h>

enum { API_SLICE_BYTES = 16 * 1024 };

struct api_work {
    size_t spent; /* bytes since the others last ran */
};

/* Runs work(arg), which takes time by `bytes`, and lets the others run: more than a slice goes to another thread, and of less
 * at most a slice is done in one turn. work touches nothing that the loop's thread may use meanwhile. Waits. */
result api_work(struct api_work *budget, size_t bytes, void (*work)(void *arg), void *arg) MUST_USE;
