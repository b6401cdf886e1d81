#pragma once
/* Builds a gateway out of a configuration, and takes it down. */
#include "gateway/gateway.h"
#include "loop/fiber.h"

/* All of it outlives the process. */
struct gateway_options {
    const char *config_dir, *region;
    /* what is served: http_server_options */
    void (*on_request)(struct http_request *request, void *context);
    void (*on_status)(struct http_request *request, void *context); /* of region.status */
    size_t (*body_first)(const struct http_request *request, void *context);
    void *context;
};

/* Everything that is of one process: made by gateway_start, in order; undone by gateway_stop, in the reverse order. */
struct gateway_process {
    struct gateway gateway;
    struct gateway_options options;
    struct snapshot *first; /* the one it started with: the cells' names and files stay those */
    struct root_key root;
    struct record_cell *cells;
    struct scope follower;   /* the directory's replica */
    struct scope background; /* re-sealing, sweeping */
};

/* Waits. Listens when it returns; the cells connect behind. On failure everything is undone. */
result gateway_start(struct gateway_process *process, const struct gateway_options *options) MUST_USE;

/* Reads the configuration, the certificate and the token keys again: all of it is used from now on, or none. Says what
 * changed in the log. Waits. */
result gateway_reload(struct gateway_process *process) MUST_USE;

/* Has the directory keep the snapshot's list of services, and holds the snapshot to what it kept before: customers
 * acknowledged a list by its version. E_CONFIG: the directory knows another list by that version, or a greater version.
 * E_DIRECTORY: it does not answer, and the list is not the one in use. Waits. */
result services_promise(struct gateway *gateway, const struct snapshot *snapshot) MUST_USE;

/* Takes no more requests, and lets those in flight end within the region's drain_ms. Waits. */
void gateway_drain(struct gateway_process *process);
void gateway_stop(struct gateway_process *process); /* after gateway_drain; waits */
