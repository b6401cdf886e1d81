/* Networks as PostgreSQL writes them. */
#include "config/config.h"

#include <arpa/inet.h>

enum { ADDRESS_TEXT_SIZE = INET6_ADDRSTRLEN };

static bool parse_address(struct str text, struct config_network *ret)
{
    char copy[ADDRESS_TEXT_SIZE];
    if (text.len >= sizeof copy || memchr(text.ptr, '\0', text.len) != NULL)
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    ret->length = inet_pton(AF_INET, copy, ret->bytes) == 1    ? 4
                  : inet_pton(AF_INET6, copy, ret->bytes) == 1 ? 16
                                                               : 0;
    return ret->length != 0;
}

static bool prefix_equal(const struct config_network *a, const unsigned char *bytes, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(a->bytes, bytes, whole) != 0)
        return false;
    return rest == 0 || ((a->bytes[whole] ^ bytes[whole]) >> (8 - rest)) == 0;
}

static bool rest_is_zero(const struct config_network *network)
{
    for (unsigned bit = network->bits; bit < network->length * 8; bit++)
        if ((network->bytes[bit / 8] >> (7 - bit % 8) & 1) != 0)
            return false;
    return true;
}

bool config_network_parse(struct str text, struct config_network *ret)
{
    struct config_network network = { 0 };
    struct str address;
    uint64_t bits;
    if (!str_cut(&text, '/', &address) || address.len == 0 || !parse_address(address, &network))
        return false;
    network.bits = network.length * 8;
    if (text.ptr != NULL) {
        if (!str_to_u64(text, network.bits, &bits))
            return false;
        network.bits = (unsigned)bits;
    }
    if (!rest_is_zero(&network))
        return false;
    *ret = network;
    return true;
}

bool config_network_has(const struct config_network *network, const struct config_network *address)
{
    return network->length == address->length && address->bits >= network->bits &&
           prefix_equal(network, address->bytes, network->bits);
}
