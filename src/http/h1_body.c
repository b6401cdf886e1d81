/* The body of an HTTP/1.1 request: a length, or chunks (RFC 9112 7.1). Chunks are decoded here and not by llhttp,
 * which, as hosts build it, takes a bare CR or any two bytes for a line's end. Extensions and trailers are bounded and
 * dropped. */
#include "http/internal.h"

enum { SIZE_DIGITS_MAX = 15, FRAMING_BYTES_MAX = 8 * 1024 };

void h1_body_begin(struct h1_body *body, const struct h1_framing *framing)
{
    *body = (struct h1_body){ .left = framing->length };
    if (framing->length == HTTP_LENGTH_UNKNOWN)
        *body = (struct h1_body){ .state = CHUNK_SIZE };
    else
        body->state = framing->length == 0 ? BODY_ENDED : BODY_LENGTH;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool size_char(struct h1_body *body, char c)
{
    int digit = hex(c);
    if (digit >= 0) {
        body->left = body->left * 16 + (uint64_t)digit;
        return ++body->digits <= SIZE_DIGITS_MAX;
    }
    if (body->digits == 0)
        return false;
    body->state = c == ';' ? CHUNK_EXTENSION : CHUNK_SIZE_LF;
    return c == ';' || c == '\r';
}

/* One byte of all that is not body. */
static bool framing_char(struct h1_body *body, char c)
{
    bool is_text = (unsigned char)c >= 0x20 && c != 0x7f;
    switch (body->state) {
    case CHUNK_SIZE:
        return size_char(body, c);
    case CHUNK_EXTENSION:
        body->framing_bytes++;
        if (c == '\r')
            body->state = CHUNK_SIZE_LF;
        return (is_text || c == '\t' || c == '\r') && body->framing_bytes <= FRAMING_BYTES_MAX;
    case CHUNK_SIZE_LF:
        body->state = body->left == 0 ? TRAILER_START : CHUNK_BYTES;
        body->digits = 0;
        return c == '\n';
    case CHUNK_CR:
        body->state = CHUNK_LF;
        return c == '\r';
    case CHUNK_LF:
        body->state = CHUNK_SIZE;
        return c == '\n';
    case TRAILER_START:
        body->state = c == '\r' ? LAST_LF : TRAILER_LINE;
        return c == '\r' || (is_text && c != ' ' && c != ':');
    case TRAILER_LINE:
        body->framing_bytes++;
        if (c == '\r')
            body->state = TRAILER_LF;
        return (is_text || c == '\t' || c == '\r') && body->framing_bytes <= FRAMING_BYTES_MAX;
    case TRAILER_LF:
        body->state = TRAILER_START;
        return c == '\n';
    case LAST_LF:
        body->state = BODY_ENDED;
        return c == '\n';
    default:
        return false;
    }
}

static size_t copy_body(struct h1_body *body, struct str in, char *out, size_t size)
{
    size_t length = in.len < size ? in.len : size;
    if (length > body->left)
        length = (size_t)body->left;
    if (out != NULL)
        memcpy(out, in.ptr, length);
    body->left -= length;
    if (body->left == 0)
        body->state = body->state == BODY_LENGTH ? BODY_ENDED : CHUNK_CR;
    return length;
}

bool h1_body_decode(struct h1_body *body, struct str in, char *out, size_t size, size_t *ret_used,
                    size_t *ret_made)
{
    size_t used = 0, made = 0;
    while (used < in.len && body->state != BODY_ENDED) {
        if (body->state == BODY_LENGTH || body->state == CHUNK_BYTES) {
            if (made == size)
                break;
            struct str rest = { in.ptr + used, in.len - used };
            size_t length = copy_body(body, rest, out == NULL ? NULL : out + made, size - made);
            used += length;
            made += length;
        } else if (!framing_char(body, in.ptr[used++])) {
            return false;
        }
    }
    *ret_used = used;
    *ret_made = made;
    return true;
}
