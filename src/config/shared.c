/* What two regions, or two servers, may not share: addresses, clusters and keys. */
#include "config/internal.h"

#include <arpa/inet.h>
#include <strings.h>

struct claim {
    struct config_source source;
    const struct region *region;
    const char *what; /* "listen address", "node" */
    const char *text; /* as written */
    uint32_t port;
};

struct claims {
    struct claim *items;
    size_t count;
};

/* ---- addresses ---- */
static bool parse(const char *text, struct in6_addr *ret)
{
    struct in_addr v4;
    if (inet_pton(AF_INET, text, &v4) == 1) { /* as IPv4-mapped, so that ::ffff:127.0.0.1 is 127.0.0.1 */
        *ret = (struct in6_addr){ .s6_addr = { [10] = 0xff, [11] = 0xff } };
        memcpy(&ret->s6_addr[12], &v4, 4);
        return true;
    }
    return inet_pton(AF_INET6, text, ret) == 1;
}

static bool is_wildcard(const struct in6_addr *address)
{
    static const struct in6_addr any4 = { .s6_addr = { [10] = 0xff, [11] = 0xff } };
    return IN6_IS_ADDR_UNSPECIFIED(address) || memcmp(address, &any4, sizeof any4) == 0;
}

static bool collide(const struct claim *a, const struct claim *b)
{
    struct in6_addr one, other;
    if (a->port != b->port)
        return false;
    if (!parse(a->text, &one) || !parse(b->text, &other))
        return strcasecmp(a->text, b->text) == 0;
    return is_wildcard(&one) || is_wildcard(&other) || memcmp(&one, &other, sizeof one) == 0;
}

static void add_addresses(const struct region *region, const char *what, const struct listen_address *list,
                          size_t count, struct claims *claims)
{
    for (size_t i = 0; i < count; i++)
        claims->items[claims->count++] =
            (struct claim){ list[i].source, region, what, list[i].address, list[i].port };
}

static void add_claims(const struct region *region, struct claims *claims)
{
    add_addresses(region, "listen address", region->listen, region->listen_count, claims);
    add_addresses(region, "status address", region->status, region->status_count, claims);
    for (size_t c = 0; c < region->cell_count; c++)
        for (size_t i = 0; i < region->cells[c].node_count; i++) {
            const struct node *node = &region->cells[c].nodes[i];
            claims->items[claims->count++] =
                (struct claim){ node->source, region, "node", node->address, node->port };
        }
}

static size_t claims_of(const struct region *region)
{
    size_t count = region->listen_count + region->status_count;
    for (size_t c = 0; c < region->cell_count; c++)
        count += region->cells[c].node_count;
    return count;
}

static void check_claim(struct loader *loader, const struct claim *claim, const struct claim *earlier)
{
    if (!collide(claim, earlier))
        return;
    bool clusters = strcmp(claim->what, "node") == 0 && strcmp(earlier->what, "node") == 0;
    const char *hint = clusters && claim->region != earlier->region
                           ? "Use another cluster: two regions never share a PostgreSQL cluster."
                           : "Give each server an address and port of its own.";
    config_complain(loader, claim->source.file, claim->source.line, hint,
                    "the %s \"%s\" port %u is also the %s of region \"%s\" (%s:%d)", claim->what, claim->text,
                    claim->port, earlier->what, earlier->region->name.ptr, earlier->source.file,
                    earlier->source.line);
}

/* ---- key files ---- a region's private keys are in no other region's hands */
struct key_file {
    const struct region *region;
    const char *path, *what;
};

static const char issuing_ca_key[] = "issuing CA's private key";

static size_t add_key_files(const struct region *region, struct key_file *files)
{
    size_t count = 0;
    files[count++] = (struct key_file){ region, region->root_key.file, "root key" };
    files[count++] = (struct key_file){ region, region->token.private_key, "private token key" };
    files[count++] = (struct key_file){ region, region->token.public_key, "public token key" };
    files[count++] = (struct key_file){ region, region->tls.private_key, "private TLS key" };
    for (size_t i = 0; i < region->cell_count; i++)
        files[count++] =
            (struct key_file){ region, region->cells[i].issuing_ca.files.private_key, issuing_ca_key };
    return count;
}
enum { KEY_FILES_OF_REGION = 4 }; /* and one a cell */

/* Cells of one region may share one issuing CA. */
static bool same_file(const struct key_file *a, const struct key_file *b)
{
    if (a->path == NULL || b->path == NULL || strcmp(a->path, b->path) != 0)
        return false;
    return a->region != b->region || a->what != issuing_ca_key || b->what != issuing_ca_key;
}

static void check_key_files(struct loader *loader)
{
    const struct config *config = loader->config;
    size_t count = 0, most = 0;
    for (size_t i = 0; i < config->region_count; i++)
        most += KEY_FILES_OF_REGION + config->regions[i].cell_count;
    struct key_file *files = arena_array(&loader->config->arena, struct key_file, most);
    for (size_t i = 0; i < config->region_count; i++)
        count += add_key_files(&config->regions[i], &files[count]);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            if (same_file(&files[i], &files[j]))
                config_complain(loader, files[i].region->source.file, files[i].region->source.line,
                                "Give every region keys of its own, and each key a file of its own.",
                                "the %s of region \"%s\" is also the %s of region \"%s\"", files[i].what,
                                files[i].region->name.ptr, files[j].what, files[j].region->name.ptr);
}

/* ---- hosts ---- what domicile keeps on a host is of one node */
static bool share_place(const struct node *a, const struct node *b)
{
    if (a->ssh.user == NULL || b->ssh.user == NULL || a->ssh.port != b->ssh.port ||
        strcasecmp(a->ssh.address, b->ssh.address) != 0)
        return false;
    return strcmp(a->ssh.state, b->ssh.state) == 0 ||
           (a->paths.data != NULL && b->paths.data != NULL && strcmp(a->paths.data, b->paths.data) == 0);
}

static void check_place(struct loader *loader, const struct node *node)
{
    const struct config *config = loader->config;
    for (size_t r = 0; r < config->region_count; r++)
        for (size_t c = 0; c < config->regions[r].cell_count; c++)
            for (size_t i = 0; i < config->regions[r].cells[c].node_count; i++) {
                const struct node *other = &config->regions[r].cells[c].nodes[i];
                if (str_compare(other->name, node->name) < 0 && share_place(node, other))
                    COMPLAIN_AT(
                        loader, node, "Give each node of a host its own ssh.state and data directories.",
                        "the nodes \"%s\" and \"%s\" are on the same host and share a directory there",
                        node->name.ptr, other->name.ptr);
            }
}

static void check_places(struct loader *loader)
{
    const struct config *config = loader->config;
    for (size_t r = 0; r < config->region_count; r++)
        for (size_t c = 0; c < config->regions[r].cell_count; c++)
            for (size_t i = 0; i < config->regions[r].cells[c].node_count; i++)
                check_place(loader, &config->regions[r].cells[c].nodes[i]);
}

static void check_endpoints(struct loader *loader)
{
    const struct config *config = loader->config;
    for (size_t i = 0; i < config->region_count; i++)
        for (size_t j = 0; j < i; j++)
            if (strcasecmp(config->regions[i].endpoint, config->regions[j].endpoint) == 0)
                config_complain(loader, config->regions[i].source.file, config->regions[i].source.line,
                                "Give each region its own endpoint: clients are sent to it.",
                                "the endpoint \"%s\" is also that of region \"%s\"",
                                config->regions[i].endpoint, config->regions[j].name.ptr);
}

void config_check_addresses(struct loader *loader)
{
    const struct config *config = loader->config;
    size_t total = 0;
    for (size_t i = 0; i < config->region_count; i++)
        total += claims_of(&config->regions[i]);
    struct claims claims = { arena_array(&loader->config->arena, struct claim, total), 0 };
    for (size_t i = 0; i < config->region_count; i++)
        add_claims(&config->regions[i], &claims);
    for (size_t i = 0; i < claims.count; i++)
        for (size_t j = 0; j < i; j++)
            check_claim(loader, &claims.items[i], &claims.items[j]);
    check_key_files(loader);
    check_places(loader);
    check_endpoints(loader);
}
