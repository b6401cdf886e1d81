#pragma once
/* A growing byte buffer on the heap, with a cap that the owner sets: an append beyond it is refused, nothing
 * is appended, and the buffer stays usable. */
#include "base/str.h"

struct buf {
    char *ptr;
    size_t len, capacity;
    size_t max; /* bytes */
};

void buf_init(struct buf *buf, size_t max);
void buf_done(struct buf *buf);
void buf_clear(struct buf *buf); /* keeps the memory */

bool buf_reserve(struct buf *buf, size_t more) MUST_USE; /* room for `more` bytes behind len */
bool buf_append(struct buf *buf, struct str s) MUST_USE;
bool buf_vprintf(struct buf *buf, const char *format, va_list args) PRINTF(2, 0)
MUST_USE;
bool buf_printf(struct buf *buf, const char *format, ...) PRINTF(2, 3)
MUST_USE;
void buf_consume(struct buf *buf, size_t bytes); /* drops bytes from the front */

static inline struct str buf_str(const struct buf *buf)
{
    return (struct str){ buf->ptr, buf->len };
}
