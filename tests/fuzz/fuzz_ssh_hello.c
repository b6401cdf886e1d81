/* What an SSH server says first: whole and byte by byte it is judged alike, and an offer lies within the bytes. */
#include "ssh/algorithms.h"
#include "ssh/hello.h"

static void check_within(struct str part, struct str whole)
{
    must(part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len));
}

static void check_payload(struct str bytes)
{
    struct kexinit offer;
    if (!kexinit_parse(bytes, &offer))
        return;
    for (size_t i = 0; i < KEXINIT_LISTS; i++)
        check_within(offer.lists[i], bytes);
    result r = algorithms_check_offer(&offer);
    must(!failed(r) || r.error.code == E_SSH);
}

/* They may differ about a first packet with more behind it than is kept. */
static void check_alike(const struct hello *whole, const struct hello *pieces, size_t size)
{
    must(whole->state == pieces->state || size > HELLO_PACKET_BYTES_MAX);
    must(strcmp(whole->first, pieces->first) == 0 && whole->lines == pieces->lines);
    if (whole->state != HELLO_LINES)
        must(strcmp(whole->line, pieces->line) == 0 && strncmp(whole->line, "SSH-2.0-", 8) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = { (const char *)data, size };
    struct hello whole, pieces;
    if (data == NULL)
        return 0;
    check_payload(bytes);
    hello_init(&whole);
    hello_init(&pieces);
    result a = hello_feed(&whole, bytes), b = OK;
    for (size_t i = 0; i < size && !failed(b); i++)
        b = hello_feed(&pieces, (struct str){ bytes.ptr + i, 1 });
    must(a.error.code == b.error.code);
    if (!failed(a))
        check_alike(&whole, &pieces, size);
    if (whole.state == HELLO_KNOWN)
        for (size_t i = 0; i < KEXINIT_LISTS; i++)
            check_within(whole.offer.lists[i], buf_str(&whole.packet));
    hello_done(&whole);
    hello_done(&pieces);
    return 0;
}
