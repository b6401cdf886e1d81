/* The places that nodes are measured from, and sockets as the configuration writes them. */
#include "config/internal.h"

void config_check_vantages(struct loader *loader)
{
    struct config *config = loader->config;
    for (size_t i = 0; i < config->vantage_count; i++) {
        const struct vantage *vantage = &config->vantages[i];
        if (config_find_vantage(config, vantage->name) != vantage)
            COMPLAIN_AT(loader, vantage, "Give each vantage a name of its own.",
                        "the vantage \"%s\" is declared twice", vantage->name.ptr);
    }
    if (config->vantage_name.len == 0)
        return;
    config->vantage = config_find_vantage(config, config->vantage_name);
    if (config->vantage == NULL)
        config_complain(loader, "domicile.cfg", 0,
                        "Declare it in vantages, with its country and coordinates.",
                        "this host is the vantage \"%s\", which is not declared", config->vantage_name.ptr);
}

/* ADDRESS of "ADDRESS:PORT": a v6 address is in brackets, and no other. */
static bool parse_socket_address(struct str text, struct config_network *ret)
{
    *ret = (struct config_network){ 0 };
    if (str_is(text, "*"))
        return true;
    bool bracketed = text.len > 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']';
    if (bracketed)
        text = (struct str){ text.ptr + 1, text.len - 2 };
    return text.len > 0 && memchr(text.ptr, '/', text.len) == NULL && config_network_parse(text, ret) &&
           bracketed == (ret->length == 16);
}

bool config_socket_parse(struct str text, struct config_socket *ret)
{
    struct config_socket socket = { 0 };
    uint64_t port = 0;
    if (text.len > 4 && memcmp(text.ptr + text.len - 4, "/udp", 4) == 0) {
        socket.udp = true;
        text.len -= 4;
    }
    const char *colon = text.len == 0 ? NULL : memrchr(text.ptr, ':', text.len);
    if (colon == NULL)
        return false;
    struct str address = { text.ptr, (size_t)(colon - text.ptr) };
    struct str digits = { colon + 1, text.len - address.len - 1 };
    if (!str_to_u64(digits, 65535, &port) || port == 0 || !parse_socket_address(address, &socket.address))
        return false;
    socket.port = (uint16_t)port;
    *ret = socket;
    return true;
}
