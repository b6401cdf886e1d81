#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>

void buf_init(struct buf *buf, size_t max)
{
    *buf = (struct buf){ .max = max };
}

void buf_done(struct buf *buf)
{
    free(buf->ptr);
    *buf = (struct buf){ .max = buf->max };
}

void buf_clear(struct buf *buf)
{
    buf->len = 0;
}

bool buf_reserve(struct buf *buf, size_t more)
{
    if (more > buf->max || buf->len > buf->max - more)
        return false;
    size_t needed = buf->len + more;
    if (needed <= buf->capacity)
        return true;
    size_t capacity = buf->capacity < 256 ? 256 : buf->capacity;
    while (capacity < needed)
        capacity = capacity > buf->max / 2 ? buf->max : capacity * 2;
    if (capacity < needed)
        capacity = needed;
    char *grown = realloc(buf->ptr, capacity + 1); /* for the NUL of buf_printf */
    if (grown == NULL)
        return false;
    buf->ptr = grown;
    buf->capacity = capacity;
    return true;
}

bool buf_append(struct buf *buf, struct str s)
{
    if (!buf_reserve(buf, s.len))
        return false;
    if (s.len > 0)
        memcpy(buf->ptr + buf->len, s.ptr, s.len);
    buf->len += s.len;
    return true;
}

bool buf_vprintf(struct buf *buf, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    bool fits = length >= 0 && buf_reserve(buf, (size_t)length);
    if (fits && length > 0) {
        vsnprintf(buf->ptr + buf->len, (size_t)length + 1, format, again);
        buf->len += (size_t)length;
    }
    va_end(again);
    return fits;
}

bool buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    bool fits = buf_vprintf(buf, format, args);
    va_end(args);
    return fits;
}

void buf_consume(struct buf *buf, size_t bytes)
{
    must(bytes <= buf->len);
    buf->len -= bytes;
    if (buf->len > 0 && bytes > 0)
        memmove(buf->ptr, buf->ptr + bytes, buf->len);
}
