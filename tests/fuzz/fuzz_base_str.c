/* The text forms of foreign bytes: UTF-8 against glibc's own decoder, and every encoding there and back. */
#include "base/encode.h"

#include <iconv.h>
#include <stdlib.h>

/* UTF-16 has no surrogates of its own and ends at U+10FFFF, so what converts to it is well-formed UTF-8. */
static bool is_utf8(struct str bytes)
{
    static iconv_t converter;
    if (converter == NULL)
        must((converter = iconv_open("UTF-16LE", "UTF-8")) != (iconv_t)-1);
    size_t in_left = bytes.len, out_left = bytes.len * 2;
    char *in = (char *)(uintptr_t)bytes.ptr, *room = malloc(out_left + 1), *out = room;
    must(room != NULL);
    iconv(converter, NULL, NULL, NULL, NULL);
    bool converted = bytes.len == 0 || iconv(converter, &in, &in_left, &out, &out_left) != (size_t)-1;
    free(room);
    return converted && in_left == 0;
}

static void check_there_and_back(struct arena *arena, struct str bytes)
{
    char *back = arena_alloc(arena, bytes.len), *text = arena_alloc(arena, bytes.len * 3 + 1);
    size_t len = 0;
    must(decode_hex(str_from(encode_hex(arena, bytes)), back, bytes.len, &len));
    must(str_eq(bytes, (struct str){ back, len }));
    must(decode_base64(encode_base64(arena, bytes), back, bytes.len, &len));
    must(str_eq(bytes, (struct str){ back, len }));
    must(decode_base64url(encode_base64url(arena, bytes), back, bytes.len, &len));
    must(str_eq(bytes, (struct str){ back, len }));
    must(str_percent_encode(bytes, text, bytes.len * 3 + 1));
    must(str_percent_decode(str_from(text), back, bytes.len, &len));
    must(str_eq(bytes, (struct str){ back, len }));
}

/* What decodes is the one text of its bytes; percent-encoding has many, all of which come out the same. */
static void check_decoded(struct arena *arena, struct str text)
{
    char *bytes = arena_alloc(arena, text.len), *again = arena_alloc(arena, text.len * 3 + 1);
    size_t len = 0, again_len = 0;
    if (decode_base64(text, bytes, text.len, &len))
        must(str_eq(text, encode_base64(arena, (struct str){ bytes, len })));
    if (decode_base64url(text, bytes, text.len, &len))
        must(str_eq(text, encode_base64url(arena, (struct str){ bytes, len })));
    if (decode_hex(text, bytes, text.len, &len))
        must(str_eq_nocase(text, str_from(encode_hex(arena, (struct str){ bytes, len }))));
    if (str_percent_decode(text, bytes, text.len, &len)) {
        must(len <= text.len);
        char *plain = arena_alloc(arena, len);
        must(str_percent_encode((struct str){ bytes, len }, again, text.len * 3 + 1));
        must(str_percent_decode(str_from(again), plain, len, &again_len));
        must(str_eq((struct str){ bytes, len }, (struct str){ plain, again_len }));
    }
}

static void check_cut(struct str text)
{
    struct str rest = text, part;
    size_t bytes = 0, parts = 0;
    while (str_cut(&rest, ',', &part)) {
        must(part.len == 0 || memchr(part.ptr, ',', part.len) == NULL);
        bytes += part.len;
        parts++;
    }
    must(parts > 0 && bytes + parts - 1 == text.len);
    uint64_t number;
    if (str_to_u64(text, UINT64_MAX, &number)) {
        char plain[32];
        must(text.len < sizeof plain);
        memcpy(plain, text.ptr, text.len);
        plain[text.len] = '\0';
        must(strtoull(plain, NULL, 10) == number);
    }
    if (str_is_id(text))
        must(str_is_utf8(text) && str_eq(text, str_trim(text)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = { (const char *)data, size };
    if (data == NULL)
        return 0;
    struct arena arena;
    arena_init(&arena);
    must(str_is_utf8(bytes) == is_utf8(bytes));
    check_there_and_back(&arena, bytes);
    check_decoded(&arena, bytes);
    check_cut(bytes);
    arena_done(&arena);
    return 0;
}
