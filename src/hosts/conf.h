#pragma once
/* The files of a node's data directory as domicile writes them. Pure; all text is in the arena. */
#include "base/arena.h"
#include "config/config.h"

#define CONF_FILE "domicile.conf" /* included at the end of postgresql.conf, so that it has the last word */
#define CONF_INCLUDE "include = '" CONF_FILE "'"
#define CONF_IDENT_MAP "domicile"
#define CONF_SUPERUSER "postgres"
#define CONF_HBA_LOCAL "local all " CONF_SUPERUSER " peer map=" CONF_IDENT_MAP
#define CONF_REPLICATION "domicile_replication"

/* What there is on that host. */
struct conf_node {
    const struct node *node;
    const struct node *upstream; /* whom it receives from; NULL: it is the primary */
    const char *socket;          /* the directory of its socket */
    const struct node *const *standbys;
    size_t standby_count;   /* whom it waits for; 0: for nobody */
    struct str certificate; /* its server's */
    /* pg_hba.conf and pg_ident.conf: others are another configuration, to be read again. */
    struct str admission;
};

const char *conf_slot(struct arena *arena, const struct node *node); /* of a standby, on its primary */
/* Its conninfo. */
const char *conf_upstream(struct arena *arena, const struct node *node, const struct node *upstream);
/* Whom it waits for. */
const char *conf_names(struct arena *arena, const struct node *const *standbys, size_t count);

/* domicile.conf. Its last line is a setting of domicile's own, the digest of everything before it, so that a server can
 * be asked which one it runs with; the lines before it are digests of what belongs to it. */
#define CONF_RUNNING "domicile.configuration"
const char *conf_running(struct arena *arena, struct str conf); /* what it answers with this text */
struct str conf_text(struct arena *arena, const struct cell *cell, const struct conf_node *at);
const char *conf_digest(struct arena *arena, struct str text);

/* pg_hba.conf: TLS and a client certificate for everybody but the bootstrap on the private socket. Without `leaving`. */
struct str conf_hba(struct arena *arena, const struct cell *cell, const struct node *leaving);
struct str conf_ident(struct arena *arena, const struct node *node); /* pg_ident.conf */
size_t conf_hba_rules(const struct cell *cell, const struct node *leaving);

/* postgresql.conf with the include at its end; ptr NULL: it is there already. */
struct str conf_with_include(struct arena *arena, struct str postgresql_conf);
