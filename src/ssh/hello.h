#pragma once
/* The first bytes of an SSH server, which are not encrypted: its identification (RFC 4253 4.2) and its offer of algorithms
 * (7.1, SSH_MSG_KEXINIT). libssh2 accepts any version and any number of lines, and does not tell why it cannot agree; so the
 * same bytes are also checked here. Pure: bytes in, a verdict out. */
#include "base/buf.h"

enum {
    HELLO_LINE_BYTES_MAX = 255, /* as the RFC has it */
    HELLO_LINES_MAX = 32,       /* before the identification */
    HELLO_PACKET_BYTES_MAX = 16 * 1024,
};

enum kexinit_list {
    KEXINIT_KEX,
    KEXINIT_HOST_KEY,
    KEXINIT_CIPHER_CS, /* client to server */
    KEXINIT_CIPHER_SC,
    KEXINIT_MAC_CS,
    KEXINIT_MAC_SC,
    KEXINIT_COMPRESSION_CS,
    KEXINIT_COMPRESSION_SC,
    KEXINIT_LANGUAGE_CS,
    KEXINIT_LANGUAGE_SC,
    KEXINIT_LISTS
};

struct kexinit {
    struct str lists[KEXINIT_LISTS]; /* names with commas between them, as the server wrote them */
};

enum hello_state {
    HELLO_LINES,  /* before the end of the identification */
    HELLO_PACKET, /* in the first packet */
    HELLO_KNOWN,  /* the offer is there */
    HELLO_OTHER,  /* the first packet is not an offer: libssh2 judges it */
};

struct hello {
    enum hello_state state;
    size_t lines;
    char line[HELLO_LINE_BYTES_MAX + 1]; /* the line that is being read; then the identification */
    size_t line_len;
    char first[HELLO_LINE_BYTES_MAX + 1]; /* the first line that was not the identification; printable */
    struct buf packet;
    struct kexinit offer; /* with HELLO_KNOWN; points into packet */
};

void hello_init(struct hello *hello);
void hello_done(struct hello *hello);

/* Takes the next bytes. E_SSH: this is not an SSH server, or it has an old version. */
result hello_feed(struct hello *hello, struct str bytes) MUST_USE;

/* The payload of a KEXINIT packet, with its type. False: it is malformed. */
bool kexinit_parse(struct str payload, struct kexinit *ret) MUST_USE;

bool hello_offers(const struct hello *hello, enum kexinit_list list, struct str name);
bool name_is_listed(struct str name, struct str list); /* names with commas between them */
