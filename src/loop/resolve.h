#pragma once
/* Names of hosts, resolved off the loop. */
#include "loop/fiber.h"

#include <netinet/in.h>

enum { ADDRESS_TEXT_SIZE = INET6_ADDRSTRLEN };

bool address_is_numeric(const char *host); /* IPv4 or IPv6 in digits */

/* Waits, unless `host` is numeric already. The first address of the resolver, in digits. E_UNAVAILABLE. */
result address_resolve(const char *host, char ret[ADDRESS_TEXT_SIZE]) MUST_USE;
