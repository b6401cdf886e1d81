#pragma once
/* Within config/: the declared schema, the reader that walks a file's tree against it, and the complaints. */
#include "config/config.h"

#include <libconfig.h>

/* ---- the schema ---- schema.c; the man page's key section is held to it by a test */
enum key_kind {
    KEY_NAME,    /* struct str: an id */
    KEY_BLOC,    /* struct str: 2 to 16 of A-Z 0-9 - */
    KEY_TEXT,    /* const char *, for people */
    KEY_WORD,    /* const char *: one of `choices` */
    KEY_PATH,    /* const char *, resolved */
    KEY_COUNTRY, /* const char *: ISO 3166-1 alpha-2 */
    KEY_ADDRESS, /* const char *: a numeric address */
    KEY_HOST,    /* const char *: a host name or a numeric address */
    KEY_URL,     /* const char *: https://host[:port] */
    KEY_INT,     /* uint32_t, min to max */
    KEY_BOOL,    /* bool */
    KEY_DEGREES, /* double, -max to max */
    KEY_WORDS,   /* struct config_words: list of strings, min to max of them */
    KEY_PATHS,   /* the same, resolved */
    KEY_GROUP,   /* a struct within the struct, of `schema` */
    KEY_GROUPS,  /* pointer and count: list of groups of `schema`, min to max of them */
};

struct schema;
struct schema_key {
    const char *name;
    enum key_kind kind;
    bool required;
    bool restart;       /* a change takes effect when the gateway is started again */
    const char *preset; /* as it would be written, without quotes; NULL: none */
    uint32_t min, max;
    const char *const *choices; /* KEY_WORD; ends with NULL */
    size_t offset, count_offset;
    const struct schema *schema;
    const char *help;
};

/* `what` names the thing in complaints ("site"). A struct of a KEY_GROUPS list begins with struct config_source, and
 * may have a key "name"; that of a KEY_GROUP has no source (size 0 says so). */
struct schema {
    const char *what;
    size_t size;
    const struct schema_key *keys;
    size_t count;
};
extern const struct schema schema_top, schema_region, schema_policies; /* domicile.cfg, regions/, policies/ */
extern const struct schema schema_whole; /* the list of regions, for comparing */

const struct schema_key *schema_find(const struct schema *schema, const char *name);
uint32_t schema_preset_int(const struct schema_key *key);

/* ---- loading ---- */
struct loader {
    struct config *config;
    struct config_errors *errors;
    const char *dir;
};

void config_complain(struct loader *loader, const char *file, int line, const char *hint, const char *format,
                     ...) PRINTF(5, 6);
/* About something that has a source. */
#define COMPLAIN_AT(loader, thing, hint, ...)                                                                \
    config_complain((loader), (thing)->source.file, (thing)->source.line, (hint), __VA_ARGS__)

/* Whether the text is safe for libconfig: no @include, no number that overflows, no nesting that exhausts the stack.
 * False: a complaint was added. */
bool config_scan(struct loader *loader, const struct config_text *text);

/* Sets what the schema presets; the rest of target is zero. */
void schema_preset(const struct schema *schema, struct loader *loader, void *target);
/* Reads a group of a file into target; lists are appended to. Complains about whatever does not fit. */
void schema_read(const struct schema *schema, struct loader *loader, const char *file,
                 config_setting_t *group, void *target);

/* ---- the whole ---- after all files are read; each complains */
void config_link_jurisdictions(struct loader *loader);                  /* blocs, countries */
void config_check_regions(struct loader *loader);                       /* sites, cells, addresses, keys */
void config_check_host(struct loader *loader, const struct node *node); /* its paths, pin and commands */
void config_check_addresses(struct loader *loader);                     /* nobody shares one */
void config_check_register(struct loader *loader);                      /* classes and services */
void config_check_vantages(struct loader *loader);
void config_compile_rules(struct loader *loader);

/* ---- places ---- "home", "home-country", "home-bloc", "region:X" or "X", "country:XX", "bloc:X" */
enum place_kind {
    PLACE_UNKNOWN,
    PLACE_HOME,
    PLACE_HOME_COUNTRY,
    PLACE_HOME_BLOC,
    PLACE_REGION,
    PLACE_COUNTRY,
    PLACE_BLOC
};
struct place_term {
    enum place_kind kind;
    const struct region *region;
    const struct country *country;
    const struct bloc *bloc;
};
struct place_term config_place_term(const struct config *config, struct str text);
