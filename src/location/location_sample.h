#pragma once
/* What a vantage measured of a node: a line of JSON, in a file that can be carried to another vantage. Reading and writing
 * texts is pure; the store blocks on the disk. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"

enum {
    LOCATION_LINE_MAX = 2048,
    LOCATION_STORE_MAX = 16 << 20, /* bytes; then the operator removes old lines */
    LOCATION_WORD_MAX = 300,
    LOCATION_COUNT_MAX = 1000, /* questions of one measurement */
};

struct location_point {
    double latitude, longitude; /* degrees, north and east */
};

struct location_sample {
    const char *vantage, *country; /* and its declared place at the time of the measurement */
    struct location_point at;
    const char *cell, *node, *host; /* "eu-fr/eu-fr-1", "eu1", "203.0.113.5:5432" */
    int64_t at_ms;
    const char *method;
    uint32_t count, rows;       /* questions, and rows of the cell in each answer */
    uint64_t min_us, median_us; /* round trips; min_us > 0 */
    const char *verified;       /* the node that gave the same answers; NULL: there was none */
};

struct location_samples {
    struct location_sample *items;
    size_t count;
    size_t unread; /* lines that are not samples */
};

/* A line without its newline. E_JSON, E_FORMAT, E_LIMIT: why it is not a sample. */
result location_sample_read(struct str line, struct arena *arena, struct location_sample *ret) MUST_USE;
/* With its newline. E_LIMIT: a word is too long. */
result location_sample_write(const struct location_sample *sample, struct buf *ret) MUST_USE;
bool location_sample_equal(const struct location_sample *a, const struct location_sample *b);

/* All lines of a text. strict: fails at the first line that is not a sample, with its number; otherwise such lines are
 * counted in `unread`. */
result location_samples_read(struct str text, bool strict, struct arena *arena, struct location_samples *ret)
    MUST_USE;

/* ---- the store ---- STATE/location.jsonl, which only grows; lines count after fsync. A line that a crash left incomplete
 * stays, and is ignored. */
const char *location_store_path(const char *state_path, struct arena *arena);
/* No file: no samples. E_IO, E_LIMIT. */
result location_store_read(const char *state_path, struct arena *arena, struct location_samples *ret)
    MUST_USE;
/* Creates the directory (0700) and the file (0600) if needed. Adds all samples or none. */
result location_store_append(const char *state_path, const struct location_sample *samples, size_t count)
    MUST_USE;
