/* What is declared for a cell: domicile's own setup, and the region's file. */
#include "watch/watch_internal.h"

#include "base/clock.h"
#include "base/json.h"
#include "hosts/conf.h"
#include "loop/fiber.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const own_roles[] = { "domicile_owner", "domicile_gateway", "domicile_admin",
                                         "domicile_monitor", CONF_REPLICATION };

/* ---- addresses ---- */

enum { RESOLVED_MAX = 16, RESOLVE_EVERY_S = 60, HOST_SIZE = 64 };

struct lookup {
    const char *host;
    char addresses[RESOLVED_MAX][HOST_SIZE];
    size_t count;
};

static void look_up(void *arg)
{
    struct lookup *lookup = arg;
    const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found;
    if (getaddrinfo(lookup->host, NULL, &hints, &found) != 0)
        return;
    for (const struct addrinfo *at = found; at != NULL && lookup->count < RESOLVED_MAX; at = at->ai_next)
        lookup->count += getnameinfo(at->ai_addr, at->ai_addrlen, lookup->addresses[lookup->count], HOST_SIZE,
                                     NULL, 0, NI_NUMERICHOST) == 0;
    freeaddrinfo(found);
}

struct gathering {
    struct watch_known *known;
    json_t *home, *replication_home, *abroad;
};

static void add_network(struct gathering *gathering, json_t *list, const char *text)
{
    struct config_network network;
    struct watch_known *known = gathering->known;
    if (!config_network_parse(str_from(text), &network))
        return;
    json_array_append_new(list, json_string(text));
    if (list == gathering->home && known->home_count < WATCH_NETWORKS_MAX)
        known->home[known->home_count++] = network;
    if (list == gathering->replication_home && known->replication_home_count < WATCH_NETWORKS_MAX)
        known->replication_home[known->replication_home_count++] = network;
    if (list == gathering->abroad && known->abroad_count < WATCH_NETWORKS_MAX)
        known->abroad[known->abroad_count++] = network;
}

static result add_host(struct gathering *gathering, json_t *list, const char *host)
{
    struct config_network network;
    struct watch_known *known = gathering->known;
    if (config_network_parse(str_from(host), &network)) {
        add_network(gathering, list, host);
        return OK;
    }
    struct lookup lookup = { .host = host };
    TRY(fiber_offload(look_up, &lookup));
    for (size_t i = 0; i < lookup.count; i++)
        add_network(gathering, list, lookup.addresses[i]);
    if (lookup.count == 0 && known->unresolved_count < WATCH_NETWORKS_MAX)
        known->unresolved[known->unresolved_count++] = host;
    return OK;
}

static result add_region(struct gathering *gathering, json_t *list, const struct region *region)
{
    for (size_t c = 0; c < region->cell_count; c++)
        for (size_t i = 0; i < region->cells[c].node_count; i++)
            TRY(add_host(gathering, list, region->cells[c].nodes[i].address));
    for (size_t i = 0; i < region->listen_count; i++)
        add_network(gathering, list, region->listen[i].address);
    return OK;
}

static void add_words(struct gathering *gathering, json_t *list, const struct config_words *words)
{
    for (size_t i = 0; i < words->count; i++)
        add_network(gathering, list, words->items[i].text.ptr);
}

/* Where sessions may come from, and where the cell's standbys may be. The second is smaller: a client's host must never use
 * the replication key, with which the whole cell can be copied. */
static result add_home(struct gathering *gathering)
{
    const struct cell *cell = gathering->known->cell;
    add_words(gathering, gathering->home, &cell->watch.clients);
    add_words(gathering, gathering->home, &cell->clients);
    add_words(gathering, gathering->home, &cell->standby_networks);
    for (size_t i = 0; i < cell->node_count; i++)
        TRY(add_host(gathering, gathering->replication_home, cell->nodes[i].address));
    add_words(gathering, gathering->replication_home, &cell->standby_networks);
    return OK;
}

static result gather(struct gathering *gathering)
{
    const struct config *config = gathering->known->config;
    const struct cell *cell = gathering->known->cell;
    for (size_t r = 0; r < config->region_count; r++) {
        const struct region *region = &config->regions[r];
        bool ours = region == cell->region;
        TRY(add_region(gathering, ours ? gathering->home : gathering->abroad, region));
        for (size_t s = 0; s < region->site_count && !ours; s++)
            for (size_t i = 0; i < region->sites[s].networks.count; i++)
                add_network(gathering, gathering->abroad, region->sites[s].networks.items[i].text.ptr);
    }
    return add_home(gathering);
}

/* ---- the document ---- */

static json_t *words_json(const struct config_words *words)
{
    json_t *list = json_array();
    for (size_t i = 0; i < words->count; i++)
        json_array_append_new(list, json_string(words->items[i].text.ptr));
    return list;
}

static json_t *roles_json(const struct cell *cell)
{
    json_t *list = words_json(&cell->watch.roles);
    for (size_t i = 0; i < COUNT(own_roles); i++)
        json_array_append_new(list, json_string(own_roles[i]));
    if (cell->superuser.certificate != NULL)
        json_array_append_new(list, json_string(CONF_SUPERUSER));
    return list;
}

static const char *slot_name(struct arena *arena, const struct node *node, const char *prefix)
{
    char *name = arena_printf(arena, "%s%s", prefix, node->name.ptr);
    for (char *c = name; *c != '\0'; c++)
        if (*c == '-')
            *c = '_';
    return name;
}

static void put_nodes(struct watch_known *known, json_t *document)
{
    const struct cell *cell = known->cell;
    json_t *standbys = json_array(), *slots = json_array(), *upstreams = json_array();
    for (size_t i = 0; i < cell->node_count; i++) {
        const struct node *node = &cell->nodes[i];
        json_array_append_new(standbys, json_string(node->name.ptr));
        json_array_append_new(upstreams, json_string(node->address));
        json_array_append_new(slots, json_string(slot_name(&known->arena, node, "")));
        json_array_append_new(slots, json_string(slot_name(&known->arena, node, "domicile_")));
    }
    json_object_set_new(document, "standbys", standbys);
    json_object_set_new(document, "standby_slots", slots);
    json_object_set_new(document, "upstreams", upstreams);
}

static void put_declared(const struct cell_declared *declared, json_t *document)
{
    const struct {
        const char *name;
        const struct config_words *words;
    } lists[] = {
        { "declared_roles", &declared->roles },      { "slots", &declared->slots },
        { "publications", &declared->publications }, { "subscriptions", &declared->subscriptions },
        { "extensions", &declared->extensions },     { "servers", &declared->servers },
        { "databases", &declared->databases },       { "tables", &declared->tables },
        { "functions", &declared->functions },       { "event_triggers", &declared->event_triggers },
        { "tablespaces", &declared->tablespaces },   { "libraries", &declared->libraries },
        { "settings", &declared->settings },         { "hba", &declared->hba },
    };
    for (size_t i = 0; i < COUNT(lists); i++)
        json_object_set_new(document, lists[i].name, words_json(lists[i].words));
    json_object_set_new(document, "archive",
                        declared->archive == NULL ? json_null() : json_string(declared->archive));
    json_object_set_new(document, "restore",
                        declared->restore == NULL ? json_null() : json_string(declared->restore));
}

static void write_document(struct watch_known *known, json_t *document)
{
    json_t *replication = words_json(&known->cell->watch.roles);
    json_array_append_new(replication, json_string(CONF_REPLICATION));
    json_object_set_new(document, "replication_roles", replication);
    json_object_set_new(document, "roles", roles_json(known->cell));
    put_nodes(known, document);
    put_declared(&known->cell->watch, document);
    if (known->cell->issuing_ca.files.certificate != NULL)
        json_array_append_new(json_object_get(document, "hba"), json_string(CONF_HBA_LOCAL));
    char *text = json_dumps(document, JSON_COMPACT);
    must(text != NULL);
    known->json = arena_cstr(&known->arena, str_from(text));
    free(text);
}

/* ---- the whole ---- */

void watch_known_init(struct watch_known *known, const struct config *config, const struct cell *cell)
{
    *known = (struct watch_known){ .config = config, .cell = cell };
    arena_init(&known->arena);
}

void watch_known_done(struct watch_known *known)
{
    arena_done(&known->arena);
}

result watch_known_refresh(struct watch_known *known)
{
    uint64_t now = clock_monotonic_ns();
    if (known->resolved_ns != 0 && now - known->resolved_ns < RESOLVE_EVERY_S * 1000000000ULL)
        return OK;
    struct watch_known fresh;
    watch_known_init(&fresh, known->config, known->cell);
    fresh.home = arena_array(&fresh.arena, struct config_network, WATCH_NETWORKS_MAX);
    fresh.replication_home = arena_array(&fresh.arena, struct config_network, WATCH_NETWORKS_MAX);
    fresh.abroad = arena_array(&fresh.arena, struct config_network, WATCH_NETWORKS_MAX);
    fresh.unresolved = arena_array(&fresh.arena, const char *, WATCH_NETWORKS_MAX);
    json_t *document = json_object();
    struct gathering gathering = { &fresh, json_array(), json_array(), json_array() };
    json_object_set_new(document, "home", gathering.home);
    json_object_set_new(document, "replication_home", gathering.replication_home);
    json_object_set_new(document, "abroad", gathering.abroad);
    result r = gather(&gathering);
    if (!failed(r))
        write_document(&fresh, document);
    json_decref(document);
    if (failed(r)) {
        watch_known_done(&fresh);
        return r;
    }
    fresh.resolved_ns = now;
    watch_known_done(known);
    *known = fresh;
    return OK;
}

/* ---- questions of the log ---- */

static bool among(const struct config_words *words, struct str name)
{
    for (size_t i = 0; i < words->count; i++)
        if (str_eq(words->items[i].text, name))
            return true;
    return false;
}

/* The superuser is known where the region's file has a certificate for it; over the local socket also in a cell that domicile
 * provisions, since only the server's account can use that socket. */
bool watch_known_role(const struct watch_known *known, struct str role, bool local)
{
    const struct cell *cell = known->cell;
    if (str_is(role, CONF_SUPERUSER) &&
        (cell->superuser.certificate != NULL || (local && cell->issuing_ca.files.certificate != NULL)))
        return true;
    for (size_t i = 0; i < COUNT(own_roles); i++)
        if (str_is(role, own_roles[i]))
            return true;
    return among(&known->cell->watch.roles, role);
}

bool watch_known_replication(const struct watch_known *known, struct str role)
{
    return str_is(role, CONF_REPLICATION) || among(&known->cell->watch.roles, role);
}

bool watch_known_standby(const struct watch_known *known, struct str name)
{
    for (size_t i = 0; i < known->cell->node_count; i++)
        if (str_eq(known->cell->nodes[i].name, name))
            return true;
    return false;
}

static bool is_in(const struct config_network *networks, size_t count, const struct config_network *address)
{
    for (size_t i = 0; i < count; i++)
        if (config_network_has(&networks[i], address))
            return true;
    return false;
}

bool watch_known_home(const struct watch_known *known, struct str address)
{
    struct config_network network;
    return config_network_parse(address, &network) && !is_in(known->abroad, known->abroad_count, &network) &&
           is_in(known->home, known->home_count, &network);
}

bool watch_known_replication_home(const struct watch_known *known, struct str role, struct str address)
{
    struct config_network network;
    if (among(&known->cell->watch.roles, role))
        return watch_known_home(known, address);
    return config_network_parse(address, &network) && !is_in(known->abroad, known->abroad_count, &network) &&
           is_in(known->replication_home, known->replication_home_count, &network);
}
