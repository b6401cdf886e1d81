#include "gateway/wire.h"

#include "base/clock.h"
#include "base/log.h"
#include "directory/sqlite.h"
#include "gateway/clients.h"
#include "pg/role.h"
#include "schema/migrate.h"
#include "seal/rootkey_declared.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    KEYS_MAX = 20000,
    KEY_LIFETIME_MS = 5 * 60 * 1000,
    TOKENS_MAX = 16384,
    CLIENTS_WATCHED = 16384,
    HASHES_AT_ONCE = 2,
    HASHES_WAITING = 64,
    TRACE_END_MS = 2000
};

/* ---- keys ---- */

struct root_load {
    const struct region *region;
    struct root_key *root;
    result outcome;
};

static void root_load_run(void *arg)
{
    struct root_load *load = arg;
    load->outcome = rootkey_load_declared(load->region, load->root);
}

static result root_load(const struct region *region, struct root_key *root)
{
    struct root_load load = { .region = region, .root = root };
    TRY(fiber_offload(root_load_run, &load));
    return load.outcome;
}

/* A read that was audited has a row "found" as well, which the cell wrote before anybody could try to open the record. */
static void on_alarm(void *context, const struct record_shelf *shelf, struct str key)
{
    struct gateway *gateway = context;
    const struct trace_event event = { .kind = TRACE_ALARM,
                                       .cell = shelf->cell,
                                       .outcome = key.len > 0 ? STR("tampered") : STR("tampered-key"),
                                       .customer = shelf->customer,
                                       .class = shelf->class,
                                       .key = key,
                                       .actor = shelf->actor,
                                       .home = str_from(gateway->region) };
    gateway->counters.alarms++;
    if (!trace_note(gateway->trace, &event))
        return;
    if (key.len > 0)
        log_event(LOG_ALARM,
                  "a record of customer \"%.*s\", class \"%.*s\" cannot be opened: record key of %zu bytes, "
                  "request=%.*s",
                  STR_ARG(shelf->customer), STR_ARG(shelf->class), key.len, STR_ARG(shelf->actor.request));
    else
        log_event(LOG_ALARM,
                  "a class key of customer \"%.*s\", class \"%.*s\" cannot be unwrapped, request=%.*s",
                  STR_ARG(shelf->customer), STR_ARG(shelf->class), STR_ARG(shelf->actor.request));
}

/* ---- cells ---- */

static result on_connected(struct pg_conn *conn, void *context)
{
    struct record_cell *cell = context;
    return cell_check(conn, cell->region, cell->name, &cell->epoch);
}

static void on_changed(void *context, size_t connection, const struct error *why)
{
    const struct record_cell *cell = context;
    if (why == NULL)
        log_event(LOG_INFO, "cell \"%s\": connection %zu is up", cell->name, connection);
    else if (why->code == E_REGION_STAMP)
        log_failure(LOG_ALARM, why, "cell \"%s\": connection %zu is refused", cell->name, connection);
    else
        log_failure(LOG_WARNING, why, "cell \"%s\": connection %zu is down", cell->name, connection);
}

static result cell_open(struct gateway_process *process, const struct cell *cell, size_t index)
{
    struct record_cell *opened = &process->cells[index];
    struct pg_connect_options connect = pg_role_options(PG_GATEWAY, cell, cell->primary, "domiciled");
    connect.statement_within_ms = cell->pool.statement_within_ms;
    opened->name = cell->name.ptr;
    opened->region = process->gateway.region;
    const struct pg_pool_options options = { .connect = connect,
                                             .name = opened->name,
                                             .statements = statements,
                                             .statement_count = STATEMENT_COUNT,
                                             .connections = cell->pool.connections,
                                             .queue_max = cell->pool.queue_max,
                                             .statement_within_ms = cell->pool.statement_within_ms,
                                             .check = on_connected,
                                             .changed = on_changed,
                                             .context = opened };
    return pg_pool_new(&options, &opened->pool);
}

static result cells_open(struct gateway_process *process, const struct region *region)
{
    struct record_store *store = &process->gateway.store;
    process->cells = calloc(region->cell_count, sizeof *process->cells);
    must(process->cells != NULL);
    store->cells = process->cells;
    for (size_t i = 0; i < region->cell_count; i++) {
        TRY(cell_open(process, &region->cells[i], i));
        store->cell_count++;
    }
    return OK;
}

/* ---- the server ---- */

static result add_listeners(struct http_server_options *options, const char *region,
                            const struct listen_address *list, size_t count)
{
    if (count > HTTP_LISTENERS_MAX)
        return FAIL(E_CONFIG, "Listen on fewer addresses.",
                    "the region \"%s\" listens on more than %d addresses", region, HTTP_LISTENERS_MAX);
    for (size_t i = 0; i < count; i++)
        options->listeners[options->listener_count++] =
            (struct http_listener){ list[i].address, (uint16_t)list[i].port, !list[i].tls };
    return OK;
}

static result server_open(struct gateway_process *process)
{
    struct gateway *gateway = &process->gateway;
    const struct region *region = gateway->snapshot->region;
    const struct region_limits *limits = &region->limits;
    struct http_server_options options = {
        .reuse_port = true,
        .certificate_file = region->tls.certificate,
        .key_file = region->tls.private_key,
        .limits = { .head_bytes = limits->max_head_bytes,
                    .headers = limits->max_headers,
                    .body_bytes = limits->max_body_bytes,
                    .connections = limits->max_connections,
                    .streams_per_connection = limits->max_streams,
                    .requests_per_connection = limits->max_requests_per_connection,
                    .requests = limits->max_requests,
                    .requests_per_address = limits->max_requests_per_address,
                    .bytes = limits->max_bytes,
                    .bytes_per_address = limits->max_bytes_per_address,
                    .bytes_per_connection = limits->max_bytes_per_connection,
                    .handshake_within_ms = limits->handshake_within_ms,
                    .head_within_ms = limits->head_within_ms,
                    .body_within_ms = limits->body_within_ms,
                    .idle_ms = limits->idle_ms,
                    .stall_ms = limits->stall_ms },
        .on_request = process->options.on_request,
        .body_first = process->options.body_first,
        .context = process->options.context,
    };
    TRY(add_listeners(&options, gateway->region, region->listen, region->listen_count));
    TRY(http_server_new(&gateway->server, &options));
    for (size_t i = 0; i < region->listen_count; i++)
        log_event(LOG_INFO, "region \"%s\" is served at %s port %u", gateway->region,
                  region->listen[i].address, (unsigned)region->listen[i].port);
    return OK;
}

/* A server of its own: what customers do to theirs, an operator can still read. */
static result status_open(struct gateway_process *process)
{
    struct gateway *gateway = &process->gateway;
    const struct region *region = gateway->snapshot->region;
    struct http_server_options options = {
        .reuse_port = true,
        .certificate_file = region->tls.certificate,
        .key_file = region->tls.private_key,
        .limits = { .connections = 64,
                    .requests = 32,
                    .requests_per_address = 32,
                    .bytes = 16 << 20,
                    .bytes_per_address = 16 << 20 },
        .on_request = process->options.on_status,
        .context = process->options.context,
    };
    if (region->status_count == 0)
        return OK;
    TRY(add_listeners(&options, gateway->region, region->status, region->status_count));
    TRY(http_server_new(&gateway->status, &options));
    for (size_t i = 0; i < region->status_count; i++)
        log_event(LOG_INFO, "region \"%s\" tells its status at %s port %u", gateway->region,
                  region->status[i].address, (unsigned)region->status[i].port);
    return OK;
}

/* ---- start, reload, stop ---- */

static result start(struct gateway_process *process)
{
    struct gateway *gateway = &process->gateway;
    TRY(snapshot_load(process->options.config_dir, gateway->region, &gateway->snapshot));
    must(gateway->snapshot != NULL);
    process->first = snapshot_hold(gateway->snapshot);
    const struct region *region = gateway->snapshot->region;
    snapshot_use_log_level(gateway->snapshot);
    log_event(LOG_INFO, "region \"%s\", configuration %.12s, version " DOMICILE_VERSION, gateway->region,
              gateway->snapshot->config->digest);
    TRY(root_load(region, &process->root));
    TRY(record_store_open(&gateway->store));
    TRY(keyring_new(&gateway->store.keyring, KEYS_MAX, KEY_LIFETIME_MS));
    TRY(client_keys_derive(&process->root, str_from(gateway->region), &gateway->client_keys));
    client_gate_init(&gateway->gate, HASHES_AT_ONCE, HASHES_WAITING);
    TRY(token_cache_new(&gateway->token_cache, TOKENS_MAX));
    TRY(client_watch_new(&gateway->client_watch, CLIENTS_WATCHED));
    TRY(cells_open(process, region));
    const struct trace_options trace = { gateway->store.cells, gateway->store.cell_count, trace_write,
                                         &gateway->store };
    TRY(trace_new(&trace, &gateway->trace));
    TRY(directory_open_sqlite(gateway->snapshot->config->directory_path, &gateway->directory));
    TRY(directory_replica_start(&gateway->replica, gateway->directory, &process->follower));
    TRY(services_promise(gateway, gateway->snapshot));
    TRY(fiber_spawn(&process->background, "reseal", gateway_reseal, gateway));
    TRY(fiber_spawn(&process->background, "sweep", gateway_sweep, gateway));
    TRY(fiber_spawn(&process->background, "clients", gateway_check_clients, gateway));
    TRY(server_open(process));
    return status_open(process);
}

result gateway_start(struct gateway_process *process, const struct gateway_options *options)
{
    *process = (struct gateway_process){ .options = *options };
    process->gateway = (struct gateway){ .region = options->region,
                                         .started_ms = clock_wall_ms(),
                                         .store = { .region = str_from(options->region),
                                                    .root = &process->root,
                                                    .alarm = on_alarm,
                                                    .alarm_context = &process->gateway } };
    result r = start(process);
    if (failed(r))
        gateway_stop(process);
    return r;
}

void gateway_drain(struct gateway_process *process)
{
    struct gateway *gateway = &process->gateway;
    gateway->draining = true;
    if (gateway->server != NULL) {
        result drained = http_server_drain(gateway->server, gateway->snapshot->region->limits.drain_ms);
        if (failed(drained))
            log_failure(LOG_WARNING, &drained.error, "some requests were cut off");
        http_server_free(gateway->status); /* which told of the drain, and reads what is freed next */
        gateway->status = NULL;
        http_server_free(gateway->server);
        gateway->server = NULL;
    }
}

void gateway_stop(struct gateway_process *process)
{
    struct gateway *gateway = &process->gateway;
    gateway_drain(process);
    scope_end(&process->background);
    trace_free(gateway->trace, TRACE_END_MS);
    gateway->trace = NULL;
    scope_end(&process->follower);
    directory_replica_free(gateway->replica);
    directory_free(gateway->directory);
    for (size_t i = 0; i < gateway->store.cell_count; i++)
        pg_pool_free(process->cells[i].pool);
    free(process->cells);
    client_watch_free(gateway->client_watch);
    token_cache_free(gateway->token_cache);
    keyring_free(gateway->store.keyring);
    record_store_close(&gateway->store);
    client_keys_free(&gateway->client_keys);
    rootkey_free(&process->root);
    snapshot_drop(gateway->snapshot);
    snapshot_drop(process->first);
}
