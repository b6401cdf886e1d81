/* Each region by itself, and the names that all regions share. */
#include "config/host_key.h"
#include "config/internal.h"

#include <arpa/inet.h>
#include <stdio.h>

static bool is_loopback(const char *address)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, address, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, address, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* "regions/us.cfg" declares "us": a copied file shows. */
static void check_name(struct loader *loader, const struct region *region)
{
    char file[sizeof "regions/.cfg" + 64];
    snprintf(file, sizeof file, "regions/%s.cfg", region->name.ptr);
    if (strcmp(file, region->source.file) != 0)
        COMPLAIN_AT(loader, region, "Name the file regions/NAME.cfg after the region.",
                    "the file declares region \"%s\"", region->name.ptr);
    if (str_is(region->name, "home") || str_starts(region->name, STR("home-")))
        COMPLAIN_AT(loader, region, "Choose a name that is not a word used in policy rules.",
                    "\"%s\" cannot be a region's name", region->name.ptr);
}

/* Whether any of them is with TLS. */
static bool check_addresses(struct loader *loader, const struct listen_address *list, size_t count)
{
    bool any_tls = false;
    for (size_t i = 0; i < count; i++) {
        const struct listen_address *listen = &list[i];
        any_tls |= listen->tls;
        if (!listen->tls && !is_loopback(listen->address))
            COMPLAIN_AT(loader, listen, "Set tls = true: only a loopback address may listen without TLS.",
                        "\"%s\" port %u listens without TLS and is not a loopback address", listen->address,
                        listen->port);
    }
    return any_tls;
}

static void check_listen(struct loader *loader, const struct region *region)
{
    bool any_tls = check_addresses(loader, region->listen, region->listen_count);
    any_tls |= check_addresses(loader, region->status, region->status_count);
    if (any_tls && (region->tls.certificate == NULL || region->tls.private_key == NULL))
        COMPLAIN_AT(loader, region, "Give tls a certificate and a private_key.",
                    "region \"%s\" listens with TLS and has no certificate or no private key",
                    region->name.ptr);
}

static void check_root_key(struct loader *loader, const struct region *region)
{
    const struct config_words *command = &region->root_key.command;
    if ((region->root_key.file != NULL) == (command->count > 0))
        COMPLAIN_AT(loader, region, "Give root_key either a file or a command.",
                    "the root key of region \"%s\" has both a file and a command, or neither",
                    region->name.ptr);
    if (command->count > 0 && command->items[0].text.ptr[0] != '/')
        config_complain(loader, region->source.file, command->items[0].line,
                        "Write the absolute path of the program: PATH is not searched.",
                        "the root key's command \"%s\" is not an absolute path", command->items[0].text.ptr);
}

/* ---- names ---- */
static const char once[] = "Choose another name: names of sites, nodes and cells are unique in all regions.";

static const struct site *first_site(const struct config *config, struct str name)
{
    for (size_t r = 0; r < config->region_count; r++)
        for (size_t i = 0; i < config->regions[r].site_count; i++)
            if (str_eq(config->regions[r].sites[i].name, name))
                return &config->regions[r].sites[i];
    return NULL;
}

static const struct cell *first_cell(const struct config *config, struct str name)
{
    for (size_t r = 0; r < config->region_count; r++) {
        const struct cell *cell = config_find_cell(&config->regions[r], name);
        if (cell != NULL)
            return cell;
    }
    return NULL;
}

/* ---- sites and cells ---- */
static void check_networks(struct loader *loader, const struct config_source *source,
                           const struct config_words *networks, const char *of)
{
    struct config_network network;
    for (size_t i = 0; i < networks->count; i++)
        if (!config_network_parse(networks->items[i].text, &network))
            config_complain(
                loader, source->file, networks->items[i].line,
                "Write it as 192.0.2.0/24 or 2001:db8::/32, with all bits after the prefix set to 0.",
                "\"%s\" of \"%s\" is not a network", networks->items[i].text.ptr, of);
}

static void check_site(struct loader *loader, const struct region *region, const struct site *site)
{
    if (first_site(loader->config, site->name) != site)
        COMPLAIN_AT(loader, site, once, "the site \"%s\" is declared twice", site->name.ptr);
    check_networks(loader, &site->source, &site->networks, site->name.ptr);
    if (config_find_country(loader->config, str_from(site->country)) == NULL)
        COMPLAIN_AT(loader, site, "Correct the country, or declare it in a bloc in policies/.",
                    "the site \"%s\" is in no jurisdiction: no bloc has the country \"%s\"", site->name.ptr,
                    site->country);
    else if (strcmp(site->country, region->jurisdiction.country) != 0)
        COMPLAIN_AT(loader, site,
                    "Declare another region for another country: a region is within one country.",
                    "the site \"%s\" is in \"%s\" and its region \"%s\" is in \"%s\"", site->name.ptr,
                    site->country, region->name.ptr, region->jurisdiction.country);
}

static void check_ssh(struct loader *loader, struct node *node)
{
    struct node_ssh *ssh = &node->ssh;
    uint8_t blob[HOST_KEY_BLOB_BYTES];
    if (ssh->host_key != NULL && !host_key_parse(str_from(ssh->host_key), blob))
        COMPLAIN_AT(loader, node, "Copy the line of /etc/ssh/ssh_host_ed25519_key.pub on that host.",
                    "the host_key of the node \"%s\" is not an Ed25519 public key: \"%s\"", node->name.ptr,
                    ssh->host_key);
    if (ssh->state[0] != '/')
        COMPLAIN_AT(loader, node, "Write the absolute path on that host.",
                    "the state of the node \"%s\" is not an absolute path: \"%s\"", node->name.ptr,
                    ssh->state);
    if (ssh->address == NULL)
        ssh->address = node->address;
}

static void link_node(struct loader *loader, const struct region *region, struct node *node)
{
    if (config_find_node(loader->config, node->name) != node)
        COMPLAIN_AT(loader, node, once, "the node \"%s\" is declared twice", node->name.ptr);
    check_ssh(loader, node);
    for (size_t i = 0; i < region->site_count; i++)
        if (str_eq(region->sites[i].name, node->site_name))
            node->site = &region->sites[i];
    if (node->site == NULL)
        COMPLAIN_AT(loader, node, "Declare the site in this region's file.",
                    "the node \"%s\" is at the site \"%s\", which is not a site of region \"%s\"",
                    node->name.ptr, node->site_name.ptr, region->name.ptr);
    config_check_host(loader, node);
}

static void check_argv(struct loader *loader, const struct cell_step *step, const char *key,
                       const struct config_words *argv)
{
    if (argv->count > 0 && argv->items[0].text.ptr[0] != '/')
        config_complain(loader, step->source.file, argv->items[0].line,
                        "Write the absolute path of the program: PATH is not searched.",
                        "\"%s\" of the step \"%s\" begins with \"%s\", which is not an absolute path", key,
                        step->name.ptr, argv->items[0].text.ptr);
}

static void link_step(struct loader *loader, struct cell *cell, struct cell_step *step)
{
    for (size_t i = 0; i < cell->node_count; i++)
        if (str_eq(cell->nodes[i].name, step->on_name))
            step->on = &cell->nodes[i];
    if (step->on == NULL)
        COMPLAIN_AT(loader, step, "Set \"on\" to the name of one of the cell's nodes.",
                    "the step \"%s\" is on \"%s\", which is not a node of the cell \"%s\"", step->name.ptr,
                    step->on_name.ptr, cell->name.ptr);
    for (const struct cell_step *earlier = cell->steps; earlier < step; earlier++)
        if (str_eq(earlier->name, step->name) && str_eq(earlier->runbook, step->runbook))
            COMPLAIN_AT(loader, step, "Give each step of a runbook a name of its own.",
                        "the step \"%s\" of the runbook \"%s\" is declared twice", step->name.ptr,
                        step->runbook.ptr);
    check_argv(loader, step, "run", &step->run);
    check_argv(loader, step, "check", &step->check);
    check_argv(loader, step, "undo", &step->undo);
}

static void link_cell(struct loader *loader, const struct region *region, struct cell *cell)
{
    cell->region = region;
    check_networks(loader, &cell->source, &cell->clients, cell->name.ptr);
    check_networks(loader, &cell->source, &cell->standby_networks, cell->name.ptr);
    if (cell->issuing_ca.files.certificate != NULL && cell->issuing_ca.renew_days >= cell->issuing_ca.days)
        COMPLAIN_AT(loader, cell, "Set renew_days to less than days.",
                    "the issuing CA of the cell \"%s\" renews certificates only after they have expired",
                    cell->name.ptr);
    check_networks(loader, &cell->source, &cell->watch.clients, cell->name.ptr);
    if (first_cell(loader->config, cell->name) != cell)
        COMPLAIN_AT(loader, cell, once, "the cell \"%s\" is declared twice", cell->name.ptr);
    for (size_t i = 0; i < cell->node_count; i++) {
        link_node(loader, region, &cell->nodes[i]);
        if (str_eq(cell->nodes[i].name, cell->primary_name))
            cell->primary = &cell->nodes[i];
    }
    if (cell->primary == NULL)
        COMPLAIN_AT(loader, cell, "Set primary to the name of one of its nodes.",
                    "the primary of the cell \"%s\" is \"%s\", which is not one of its nodes", cell->name.ptr,
                    cell->primary_name.ptr);
    for (size_t i = 0; i < cell->step_count; i++)
        link_step(loader, cell, &cell->steps[i]);
}

static void check_region(struct loader *loader, struct region *region)
{
    check_name(loader, region);
    check_listen(loader, region);
    check_root_key(loader, region);
    for (size_t i = 0; i < region->site_count; i++)
        check_site(loader, region, &region->sites[i]);
    for (size_t i = 0; i < region->cell_count; i++)
        link_cell(loader, region, &region->cells[i]);
}

void config_check_regions(struct loader *loader)
{
    struct config *config = loader->config;
    if (config->region_count == 0)
        config_complain(loader, "", 0,
                        "Declare a region in regions/NAME.cfg; the shipped files are working examples.",
                        "no region is declared");
    for (size_t i = 0; i < config->region_count; i++) {
        if (config_find_region(config, config->regions[i].name) != &config->regions[i])
            COMPLAIN_AT(loader, &config->regions[i], "Declare a region in one file only.",
                        "the region \"%s\" is declared twice", config->regions[i].name.ptr);
        check_region(loader, &config->regions[i]);
    }
}
