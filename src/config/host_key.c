#include "config/host_key.h"

#include "base/encode.h"

static const uint8_t head[] = { 0,   0,   0,   11,  's', 's', 'h', '-', 'e', 'd',
                                '2', '5', '5', '1', '9', 0,   0,   0,   32 };

static bool is_comment(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return false;
    return true;
}

bool host_key_parse(struct str line, uint8_t blob[HOST_KEY_BLOB_BYTES])
{
    struct str rest = line, type, key;
    uint8_t bytes[HOST_KEY_BLOB_BYTES];
    size_t len = 0;
    if (!str_cut(&rest, ' ', &type) || !str_is(type, "ssh-ed25519") || !str_cut(&rest, ' ', &key) ||
        !decode_base64(key, bytes, sizeof bytes, &len) || len != sizeof bytes ||
        memcmp(bytes, head, sizeof head) != 0 || !is_comment(rest))
        return false;
    memcpy(blob, bytes, sizeof bytes);
    return true;
}
