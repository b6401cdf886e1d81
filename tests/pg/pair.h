#pragma once
/* A configuration directory whose region eu-fr has the pair of tests/pg/run for its cell. */
#include "config/config.h"
#include "server.h"

#include <string.h>
#include <sys/stat.h>

struct pair {
    char dir[64];
};

static inline void pair_write(const struct pair *pair, const char *name, struct str text)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", pair->dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text.ptr, 1, text.len, file), text.len);
    assert_int_equal(fclose(file), 0);
}

/* Of the shipped region everything but its cells. */
static inline void pair_write_region(const struct pair *pair, struct arena *arena, uint16_t primary_port,
                                     uint16_t standby_port)
{
    struct str text;
    check_ok(config_file_text(SOURCE_DIR, "regions/eu-fr.cfg", arena, &text));
    const char *cells = strstr(text.ptr, "cells = (");
    assert_non_null(cells);
    pair_write(pair, "regions/eu-fr.cfg",
               str_from(arena_printf(
                   arena,
                   "%.*scells = ( { name = \"eu-fr-1\"; primary = \"p1\"; ca = \"%s\";\n"
                   "nodes = ( { name = \"p1\"; site = \"par1\"; address = \"127.0.0.1\"; port = %u; },\n"
                   "          { name = \"s1\"; site = \"par2\"; address = \"127.0.0.1\"; port = %u; } );\n"
                   "gateway = { certificate = \"%s\"; private_key = \"%s\"; };\n"
                   "admin = { certificate = \"%s\"; private_key = \"%s\"; };\n"
                   "monitor = { certificate = \"%s\"; private_key = \"%s\"; interval_ms = 200; lost_after_ms "
                   "= 1000; };\n"
                   "watch = { interval_ms = 300; };\n"
                   "on_standby_loss = \"degrade\"; } );\n",
                   (int)(cells - text.ptr), text.ptr, server_path("ca.crt"), (unsigned)primary_port,
                   (unsigned)standby_port, server_path("gateway.crt"), server_path("gateway.key"),
                   server_path("admin.crt"), server_path("admin.key"), server_path("monitor.crt"),
                   server_path("monitor.key"))));
}

static inline void pair_init(struct pair *pair, uint16_t primary_port, uint16_t standby_port)
{
    static const char *const folders[] = { "regions", "policies" };
    static const char *const files[] = { "regions/us.cfg", "policies/register.cfg", "policies/residency.cfg",
                                         "policies/services.cfg" };
    struct arena arena;
    arena_init(&arena);
    strcpy(pair->dir, "/tmp/domicile-pair.XXXXXX");
    assert_non_null(mkdtemp(pair->dir));
    for (size_t i = 0; i < 2; i++) {
        char path[160];
        snprintf(path, sizeof path, "%s/%s", pair->dir, folders[i]);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    for (size_t i = 0; i < COUNT(files); i++) {
        struct str text;
        check_ok(config_file_text(SOURCE_DIR, files[i], &arena, &text));
        pair_write(pair, files[i], text);
    }
    pair_write_region(pair, &arena, primary_port, standby_port);
    arena_done(&arena);
}

static inline void pair_done(const struct pair *pair)
{
    static const char *const names[] = { "regions/us.cfg",
                                         "regions/eu-fr.cfg",
                                         "policies/register.cfg",
                                         "policies/residency.cfg",
                                         "policies/services.cfg",
                                         "directory.sqlite",
                                         "directory.sqlite-wal",
                                         "directory.sqlite-shm",
                                         "directory.sqlite.eu-fr-1.monitor",
                                         "directory.sqlite.eu-fr-1.monitor.lock",
                                         "regions",
                                         "policies",
                                         "" };
    for (size_t i = 0; i < COUNT(names); i++) {
        char path[160];
        snprintf(path, sizeof path, "%s/%s", pair->dir, names[i]);
        remove(path);
    }
}

static inline uint16_t standby_port(void)
{
    return (uint16_t)atoi(getenv("PGT_STANDBY_PORT"));
}
