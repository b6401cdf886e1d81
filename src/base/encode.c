#include "base/encode.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char alphabet_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

char *encode_hex(struct arena *arena, struct str bytes)
{
    static const char digits[] = "0123456789abcdef";
    char *text = arena_alloc(arena, bytes.len * 2 + 1);
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.ptr[i];
        text[2 * i] = digits[c >> 4];
        text[2 * i + 1] = digits[c & 15];
    }
    text[bytes.len * 2] = '\0';
    return text;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool decode_hex(struct str text, void *buf, size_t size, size_t *ret_len)
{
    if (text.len % 2 != 0 || text.len / 2 > size)
        return false;
    for (size_t i = 0; i < text.len; i += 2) {
        int high = hex_value(text.ptr[i]), low = hex_value(text.ptr[i + 1]);
        if (high < 0 || low < 0)
            return false;
        ((unsigned char *)buf)[i / 2] = (unsigned char)(high * 16 + low);
    }
    *ret_len = text.len / 2;
    return true;
}

static struct str encode(struct arena *arena, struct str bytes, const char *letters, bool padded)
{
    char *text = arena_alloc(arena, (bytes.len + 2) / 3 * 4 + 1);
    size_t used = 0;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t here = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t group = (uint32_t)(unsigned char)bytes.ptr[i] << 16;
        if (here > 1)
            group |= (uint32_t)(unsigned char)bytes.ptr[i + 1] << 8;
        if (here > 2)
            group |= (uint32_t)(unsigned char)bytes.ptr[i + 2];
        for (size_t j = 0; j < 4; j++) {
            if (j <= here)
                text[used++] = letters[group >> (18 - 6 * j) & 63];
            else if (padded)
                text[used++] = '=';
        }
    }
    text[used] = '\0';
    return (struct str){ text, used };
}

struct str encode_base64url(struct arena *arena, struct str bytes)
{
    return encode(arena, bytes, alphabet_url, false);
}

struct str encode_base64(struct arena *arena, struct str bytes)
{
    return encode(arena, bytes, alphabet, true);
}

static int letter_value(char c, const char *letters)
{
    const char *at = c == '\0' ? NULL : memchr(letters, c, 64);
    return at == NULL ? -1 : (int)(at - letters);
}

static bool decode(struct str text, const char *letters, void *buf, size_t size, size_t *ret_len)
{
    size_t tail = text.len % 4, bytes = text.len / 4 * 3 + (tail == 0 ? 0 : tail - 1), used = 0;
    if (tail == 1 || bytes > size)
        return false;
    uint32_t bits = 0;
    int held = 0;
    for (size_t i = 0; i < text.len; i++) {
        int value = letter_value(text.ptr[i], letters);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            ((unsigned char *)buf)[used++] = (unsigned char)(bits >> held);
        }
    }
    if ((bits & ((1U << held) - 1)) != 0)
        return false; /* the unused bits of the last letter are zero in the one canonical form */
    *ret_len = used;
    return true;
}

bool decode_base64url(struct str text, void *buf, size_t size, size_t *ret_len)
{
    return decode(text, alphabet_url, buf, size, ret_len);
}

bool decode_base64(struct str text, void *buf, size_t size, size_t *ret_len)
{
    if (text.len % 4 != 0)
        return false;
    for (int padding = 0; padding < 2 && text.len > 0 && text.ptr[text.len - 1] == '='; padding++)
        text.len--;
    return decode(text, alphabet, buf, size, ret_len);
}
