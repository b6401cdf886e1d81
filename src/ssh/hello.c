#include "ssh/hello.h"

enum {
    PACKET_HEAD_BYTES = 5, /* length, padding length */
    MSG_KEXINIT = 20,
    COOKIE_BYTES = 16,
};

void hello_init(struct hello *hello)
{
    *hello = (struct hello){ .state = HELLO_LINES };
    buf_init(&hello->packet, HELLO_PACKET_BYTES_MAX);
}

void hello_done(struct hello *hello)
{
    buf_done(&hello->packet);
}

/* ---- lines ---- */

static const char no_ssh[] = "Check which server listens at that address and port.";

static void make_printable(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || (unsigned char)*text > 0x7e)
            *text = '?';
}

static result end_of_line(struct hello *hello)
{
    size_t len = hello->line_len;
    if (len > 0 && hello->line[len - 1] == '\r')
        len--;
    hello->line[len] = '\0';
    hello->line_len = 0;
    bool is_identification = strncmp(hello->line, "SSH-", 4) == 0;
    make_printable(hello->line);
    if (is_identification && strncmp(hello->line, "SSH-2.0-", 8) != 0)
        return FAIL(E_SSH, "Update the SSH server of that host, and configure it for version 2 only.",
                    "the server speaks \"%s\"; domicile accepts only version 2.0", hello->line);
    if (is_identification) {
        hello->state = HELLO_PACKET;
        return OK;
    }
    if (hello->lines == 0)
        memcpy(hello->first, hello->line, len + 1);
    if (++hello->lines > HELLO_LINES_MAX)
        return FAIL(E_SSH, no_ssh,
                    "the server sent more than %d lines without an SSH version; the first is \"%s\"",
                    HELLO_LINES_MAX, hello->first);
    return OK;
}

static result take_of_line(struct hello *hello, char c)
{
    if (c == '\n')
        return end_of_line(hello);
    if (c == '\0' || hello->line_len == HELLO_LINE_BYTES_MAX) {
        hello->line[hello->line_len] = '\0';
        make_printable(hello->line);
        return FAIL(E_SSH, no_ssh, "the server does not speak SSH: it sent \"%.60s\"", hello->line);
    }
    hello->line[hello->line_len++] = c;
    return OK;
}

/* ---- the offer ---- */

static bool cut_u32(struct str *rest, uint32_t *ret)
{
    if (rest->len < 4)
        return false;
    const unsigned char *at = (const unsigned char *)rest->ptr;
    *ret = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    *rest = (struct str){ rest->ptr + 4, rest->len - 4 };
    return true;
}

static bool is_name_list(struct str list)
{
    for (size_t i = 0; i < list.len; i++)
        if ((unsigned char)list.ptr[i] <= 0x20 || (unsigned char)list.ptr[i] > 0x7e)
            return false;
    return true;
}

bool kexinit_parse(struct str payload, struct kexinit *ret)
{
    struct kexinit offer;
    if (payload.len < 1 + COOKIE_BYTES || payload.ptr[0] != MSG_KEXINIT)
        return false;
    struct str rest = { payload.ptr + 1 + COOKIE_BYTES, payload.len - 1 - COOKIE_BYTES };
    for (size_t i = 0; i < KEXINIT_LISTS; i++) {
        uint32_t len;
        if (!cut_u32(&rest, &len) || len > rest.len)
            return false;
        offer.lists[i] = (struct str){ rest.ptr, len };
        if (!is_name_list(offer.lists[i]))
            return false;
        rest = (struct str){ rest.ptr + len, rest.len - len };
    }
    *ret = offer;
    return true;
}

static void take_of_packet(struct hello *hello, struct str bytes)
{
    struct buf *packet = &hello->packet;
    uint32_t length;
    if (!buf_append(packet, bytes)) {
        hello->state = HELLO_OTHER;
        return;
    }
    struct str rest = buf_str(packet);
    if (packet->len < PACKET_HEAD_BYTES || !cut_u32(&rest, &length))
        return;
    size_t padding = (unsigned char)rest.ptr[0];
    if (length > HELLO_PACKET_BYTES_MAX - 4 || length < 1 + padding) {
        hello->state = HELLO_OTHER;
        return;
    }
    if (rest.len < length)
        return;
    struct str payload = { rest.ptr + 1, length - 1 - padding };
    hello->state = kexinit_parse(payload, &hello->offer) ? HELLO_KNOWN : HELLO_OTHER;
}

result hello_feed(struct hello *hello, struct str bytes)
{
    size_t i = 0;
    while (hello->state == HELLO_LINES && i < bytes.len)
        TRY(take_of_line(hello, bytes.ptr[i++]));
    if (hello->state == HELLO_PACKET && i < bytes.len)
        take_of_packet(hello, (struct str){ bytes.ptr + i, bytes.len - i });
    return OK;
}

bool name_is_listed(struct str name, struct str list)
{
    struct str each;
    while (str_cut(&list, ',', &each))
        if (str_eq(each, name))
            return true;
    return false;
}

bool hello_offers(const struct hello *hello, enum kexinit_list list, struct str name)
{
    return hello->state == HELLO_KNOWN && name_is_listed(name, hello->offer.lists[list]);
}
