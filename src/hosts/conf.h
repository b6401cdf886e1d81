#pragma once
/* The configuration files that domicile writes into a node's data directory. Pure; all text is in the arena. */
#include "base/arena.h"
#include "config/config.h"

#define CONF_FILE "domicile.conf" /* included at the end of postgresql.conf, so that its settings win */
#define CONF_INCLUDE "include = '" CONF_FILE "'"
#define CONF_IDENT_MAP "domicile"
#define CONF_SUPERUSER "postgres"
#define CONF_HBA_LOCAL "local all " CONF_SUPERUSER " peer map=" CONF_IDENT_MAP
#define CONF_REPLICATION "domicile_replication"

/* Facts of that node that the region's file does not have. */
struct conf_node {
    const struct node *node;
    const struct node *upstream; /* the node from which it replicates; NULL: it is the primary */
    const char *socket;          /* the directory of its socket */
    const struct node *const *standbys;
    size_t standby_count;   /* that must confirm writes; 0: none */
    struct str certificate; /* of the server */
    struct str hba;         /* pg_hba.conf and pg_ident.conf: another text needs a reload */
};

const char *conf_slot(struct arena *arena, const struct node *node); /* a standby's slot on its primary */
/* The standby's conninfo. */
const char *conf_upstream(struct arena *arena, const struct node *node, const struct node *upstream);
/* The synchronous standbys, as in synchronous_standby_names. */
const char *conf_names(struct arena *arena, const struct node *const *standbys, size_t count);

/* domicile.conf. Its last line is a setting of domicile's own: the digest of all lines before it, so that a server can be
 * asked which configuration it has loaded. The lines before that one are digests of the files that belong to it. */
#define CONF_RUNNING "domicile.configuration"
const char *conf_running(struct arena *arena,
                         struct str conf); /* the server's answer if it has loaded this text */
struct str conf_text(struct arena *arena, const struct cell *cell, const struct conf_node *at);
const char *conf_digest(struct arena *arena, struct str text);

/* pg_hba.conf: all clients need TLS and a certificate, except the superuser on the private socket. Without the node
 * `leaving`. */
struct str conf_hba(struct arena *arena, const struct cell *cell, const struct node *leaving);
struct str conf_ident(struct arena *arena, const struct node *node); /* pg_ident.conf */
size_t conf_hba_rules(const struct cell *cell, const struct node *leaving);

/* The file of the structured log, beside the node's `log`: its ".log" is replaced by ".json", as PostgreSQL does it.
 * NULL: the region's file names no log. */
const char *conf_log_json(struct arena *arena, const struct node *node);

/* postgresql.conf with the include at its end; ptr NULL: it has it already. */
struct str conf_with_include(struct arena *arena, struct str postgresql_conf);
