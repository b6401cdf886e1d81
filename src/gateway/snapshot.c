#include "gateway/snapshot.h"

#include "base/log.h"
#include "http/server.h"
#include "loop/fiber.h"

#include <stdlib.h>

struct snapshot *snapshot_hold(struct snapshot *snapshot)
{
    snapshot->users++;
    return snapshot;
}

void snapshot_drop(struct snapshot *snapshot)
{
    if (snapshot == NULL || --snapshot->users > 0)
        return;
    token_keys_free(snapshot->token_keys);
    token_signer_free(snapshot->signer);
    config_free(snapshot->config);
    free(snapshot);
}

/* ---- loading ---- */

struct load {
    const char *dir, *region_name;
    struct snapshot *snapshot;
    result outcome;
};

static void log_config_errors(const struct config_errors *errors)
{
    for (size_t i = 0; i < errors->count; i++)
        log_event(LOG_ERROR, "%s:%d: %s: %s", errors->items[i].file, errors->items[i].line,
                  errors->items[i].what, errors->items[i].hint == NULL ? "" : errors->items[i].hint);
    if (errors->dropped > 0)
        log_event(LOG_ERROR, "and %zu more", errors->dropped);
}

static result load_token_keys(const struct config *config, struct token_keys *keys)
{
    for (size_t i = 0; i < config->region_count; i++) {
        const struct region *region = &config->regions[i];
        TRY(token_keys_add_file(keys, region->name, region->token.public_key));
        for (size_t j = 0; j < region->token.accepted.count; j++)
            TRY(token_keys_add_file(keys, region->name, region->token.accepted.items[j].text.ptr));
    }
    return OK;
}

static result check_certificate(const struct region *region)
{
    for (size_t i = 0; i < region->listen_count; i++)
        if (region->listen[i].tls)
            return http_certificate_check(region->tls.certificate, region->tls.private_key);
    return OK;
}

static result load_into(struct load *load, struct snapshot *snapshot, struct config_errors *errors)
{
    TRY(config_load(load->dir, &snapshot->config, errors));
    snapshot->region = config_find_region(snapshot->config, str_from(load->region_name));
    if (snapshot->region == NULL)
        return FAIL(E_REGION_UNKNOWN, "Name one of the regions of DIR/regions/ with --region.",
                    "the region \"%s\" is not configured", load->region_name);
    TRY(config_check_files(snapshot->config, snapshot->region, errors));
    TRY(check_certificate(snapshot->region));
    TRY(token_signer_new(&snapshot->signer, snapshot->region->name, snapshot->region->token.private_key));
    TRY(token_keys_new(&snapshot->token_keys));
    return load_token_keys(snapshot->config, snapshot->token_keys);
}

static void load_run(void *arg)
{
    struct load *load = arg;
    struct config_errors errors;
    config_errors_init(&errors);
    struct snapshot *snapshot = calloc(1, sizeof *snapshot);
    must(snapshot != NULL);
    snapshot->users = 1;
    load->outcome = load_into(load, snapshot, &errors);
    if (failed(load->outcome)) {
        log_config_errors(&errors);
        snapshot_drop(snapshot);
    } else {
        load->snapshot = snapshot;
    }
    config_errors_done(&errors);
}

result snapshot_load(const char *dir, const char *region_name, struct snapshot **ret)
{
    struct load load = { .dir = dir, .region_name = region_name };
    TRY(fiber_offload(load_run, &load));
    TRY(load.outcome);
    *ret = load.snapshot;
    return OK;
}

void snapshot_use_log_level(const struct snapshot *snapshot)
{
    static const char *const levels[] = { "debug", "info", "warning", "error" };
    for (size_t i = 0; i < COUNT(levels); i++)
        if (strcmp(snapshot->config->log_level, levels[i]) == 0)
            log_set_level((enum log_level)i);
}
