/* SIGHUP: reads the configuration, the certificate and the token keys again, all or nothing, and logs what changed. */
#include "gateway/wire.h"

#include "base/log.h"

/* What is in use, or would be. */
struct side {
    const struct snapshot *snapshot;
    bool certified; /* there is a certificate */
    struct http_certificate certificate;
};

static struct side side_of(const struct gateway *gateway)
{
    struct side side = { .snapshot = gateway->snapshot };
    side.certified = http_server_certificate(gateway->server, &side.certificate);
    return side;
}

/* ---- what changed: each returns how many lines it said ---- */

static size_t log_config(const struct side *from, const struct side *to)
{
    struct arena arena;
    struct config_changes changes;
    arena_init(&arena);
    config_compare(from->snapshot->config, to->snapshot->config, &arena, &changes);
    for (size_t i = 0; i < changes.count; i++)
        log_event(changes.items[i].restart ? LOG_WARNING : LOG_INFO, "%s%s", changes.items[i].what,
                  changes.items[i].restart ? " (when the gateway is started again)" : "");
    arena_done(&arena);
    return changes.count;
}

static size_t log_certificate(const struct side *from, const struct side *to)
{
    const struct http_certificate *old = &from->certificate, *new = &to->certificate;
    if (!to->certified || (strcmp(old->subject, new->subject) == 0 && strcmp(old->serial, new->serial) == 0 &&
                           strcmp(old->not_after, new->not_after) == 0))
        return 0;
    log_event(LOG_INFO, "the certificate was \"%s\", serial %s, until %s, is \"%s\", serial %s, until %s",
              old->subject, old->serial, old->not_after, new->subject, new->serial, new->not_after);
    return 1;
}

/* The keys of `keys` that `others` has not. */
static size_t log_token_keys(const struct token_keys *keys, const struct token_keys *others,
                             const char *which)
{
    size_t said = 0;
    struct token_key_name name;
    for (size_t i = 0; token_keys_at(keys, i, &name); i++) {
        if (token_keys_have(others, &name))
            continue;
        log_event(LOG_INFO, "region \"%s\": token key \"%s\" is %s", name.region, name.kid, which);
        said++;
    }
    return said;
}

static size_t log_tokens(const struct side *from, const struct side *to)
{
    const struct snapshot *old = from->snapshot, *new = to->snapshot;
    const char *old_kid = token_signer_kid(old->signer), *new_kid = token_signer_kid(new->signer);
    size_t said = log_token_keys(old->token_keys, new->token_keys, "gone") +
                  log_token_keys(new->token_keys, old->token_keys, "new");
    if (strcmp(old_kid, new_kid) == 0)
        return said;
    log_event(LOG_INFO, "the key that signs tokens was \"%s\", is \"%s\"", old_kid, new_kid);
    return said + 1;
}

static void log_changes(const struct side *from, const struct side *to)
{
    size_t said = log_config(from, to);
    said += log_certificate(from, to);
    said += log_tokens(from, to);
    if (said == 0)
        log_event(LOG_INFO, "the configuration has not changed");
    log_event(LOG_INFO, "configuration %.12s is in use", to->snapshot->config->digest);
}

/* ---- the reload ---- */

/* The same files for both: what one takes, the other does as well. */
static result reload_tls(struct gateway *gateway, const char *certificate, const char *key)
{
    TRY(http_server_reload_tls(gateway->server, certificate, key));
    return gateway->status == NULL ? OK : http_server_reload_tls(gateway->status, certificate, key);
}

static result use(struct gateway *gateway, struct snapshot *fresh)
{
    const struct region *region = fresh->region;
    TRY(services_promise(gateway, fresh));
    if (region->tls.certificate != NULL)
        TRY(reload_tls(gateway, region->tls.certificate, region->tls.private_key));
    http_server_limit_bodies(gateway->server, region->limits.max_body_bytes, region->limits.body_within_ms);
    gateway->snapshot = fresh;
    token_cache_clear(gateway->token_cache);
    snapshot_use_log_level(fresh);
    return OK;
}

result gateway_reload(struct gateway_process *process)
{
    struct gateway *gateway = &process->gateway;
    struct snapshot *old = gateway->snapshot, *fresh = NULL;
    TRY(snapshot_load(process->options.config_dir, gateway->region, &fresh));
    must(fresh != NULL);
    const struct side from = side_of(gateway);
    result r = use(gateway, fresh);
    if (failed(r)) {
        snapshot_drop(fresh);
        return r;
    }
    const struct side to = side_of(gateway);
    log_changes(&from, &to);
    snapshot_drop(old);
    return OK;
}
