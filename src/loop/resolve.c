#include "loop/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>

struct lookup {
    const char *host;
    char address[ADDRESS_TEXT_SIZE];
    int status;
};

static void look_up(void *arg)
{
    struct lookup *lookup = arg;
    const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found;
    lookup->status = getaddrinfo(lookup->host, NULL, &hints, &found);
    if (lookup->status != 0)
        return;
    lookup->status = getnameinfo(found->ai_addr, found->ai_addrlen, lookup->address, ADDRESS_TEXT_SIZE, NULL,
                                 0, NI_NUMERICHOST);
    freeaddrinfo(found);
}

bool address_is_numeric(const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

result address_resolve(const char *host, char ret[ADDRESS_TEXT_SIZE])
{
    if (address_is_numeric(host)) {
        snprintf(ret, ADDRESS_TEXT_SIZE, "%s", host);
        return OK;
    }
    struct lookup lookup = { .host = host };
    TRY(fiber_offload(look_up, &lookup));
    if (lookup.status != 0)
        return FAIL(E_UNAVAILABLE, "Check the host's name and the resolver of this machine.",
                    "the name of \"%s\" does not resolve: %s", host, gai_strerror(lookup.status));
    snprintf(ret, ADDRESS_TEXT_SIZE, "%s", lookup.address);
    return OK;
}
