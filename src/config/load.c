#include "base/sanitizers.h"
#include "config/internal.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <unistd.h>

#define TOP_FILE "domicile.cfg"

#ifdef WITH_ASAN
/* libconfig 1.5 forgets the string that stands before a syntax error: some bytes for each refused file. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig.so";
}
#endif

/* ---- one file ---- */
static void read_text(struct loader *loader, const struct schema *schema, const struct config_text *text,
                      void *target)
{
    if (!config_scan(loader, text))
        return;
    config_t tree;
    config_init(&tree);
    char *copy = arena_cstr(&loader->errors->arena, text->text);
    if (config_read_string(&tree, copy))
        schema_read(schema, loader, text->name, config_root_setting(&tree), target);
    else
        config_complain(
            loader, text->name, config_error_line(&tree),
            "Check this line and the line before it: a setting is written NAME = VALUE and a semicolon.",
            "%s", config_error_text(&tree));
    config_destroy(&tree);
}

static void read_region(struct loader *loader, const struct config_text *text)
{
    struct config *config = loader->config;
    if (config->region_count == CONFIG_REGIONS_MAX) {
        config_complain(loader, text->name, 0, NULL, "there are more than %d regions", CONFIG_REGIONS_MAX);
        return;
    }
    struct region *region = &config->regions[config->region_count++];
    region->source = (struct config_source){ text->name, 1 };
    schema_preset(&schema_region, loader, region);
    read_text(loader, &schema_region, text, region);
}

static void read_policy(struct loader *loader, const struct config_text *text)
{
    uint32_t before = loader->config->services_version;
    loader->config->services_version = 0;
    read_text(loader, &schema_policies, text, loader->config);
    if (before != 0 && loader->config->services_version != 0)
        config_complain(loader, text->name, 1, "Keep services and services_version in one file.",
                        "\"services_version\" is set in another file too");
    if (loader->config->services_version == 0)
        loader->config->services_version = before;
}

static void read_one(struct loader *loader, const struct config_text *given)
{
    struct config_text text = { arena_cstr(&loader->config->arena, str_from(given->name)), given->text };
    struct str name = str_from(text.name);
    if (str_is(name, TOP_FILE))
        read_text(loader, &schema_top, &text, loader->config);
    else if (str_starts(name, STR("regions/")))
        read_region(loader, &text);
    else
        read_policy(loader, &text);
}

/* ---- all files ---- */
static void add_length(EVP_MD_CTX *context, size_t length)
{
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)((uint64_t)length >> (56 - 8 * i));
    EVP_DigestUpdate(context, bytes, sizeof bytes);
}

static void add_bytes(EVP_MD_CTX *context, struct str bytes)
{
    add_length(context, bytes.len);
    EVP_DigestUpdate(context, bytes.ptr, bytes.len);
}

static void digest(const struct config_text *texts, size_t count, char ret_hex[65])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char sum[32];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    must(context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1);
    for (size_t i = 0; i < count; i++) {
        add_bytes(context, str_from(texts[i].name));
        add_bytes(context, texts[i].text);
    }
    must(EVP_DigestFinal_ex(context, sum, NULL) == 1);
    EVP_MD_CTX_free(context);
    for (size_t i = 0; i < sizeof sum; i++) {
        ret_hex[2 * i] = digits[sum[i] >> 4];
        ret_hex[2 * i + 1] = digits[sum[i] & 15];
    }
    ret_hex[64] = '\0';
}

static struct config *config_new(void)
{
    struct config *config = calloc(1, sizeof *config);
    must(config != NULL);
    arena_init(&config->arena);
    config->regions = arena_array(&config->arena, struct region, CONFIG_REGIONS_MAX);
    return config;
}

static int region_by_name(const void *a, const void *b)
{
    return str_compare(((const struct region *)a)->name, ((const struct region *)b)->name);
}

/* The checks of the whole take each part for well-formed, so they come only after all parts were. */
static void check_whole(struct loader *loader)
{
    struct config *config = loader->config;
    qsort(config->regions, config->region_count, sizeof config->regions[0], region_by_name);
    for (size_t i = 0; i < config->region_count; i++)
        config->regions[i].index = (unsigned)i;
    for (size_t i = 0; i < config->class_count; i++)
        config->classes[i].index = (unsigned)i;
    config_link_jurisdictions(loader);
    config_check_regions(loader);
    config_check_addresses(loader);
    config_check_register(loader);
    config_check_vantages(loader);
    if (loader->errors->count == 0)
        config_compile_rules(loader);
}

static result first_error(const struct config_errors *errors)
{
    const struct config_error *error = &errors->items[0];
    size_t more = errors->count + errors->dropped - 1;
    char others[48] = "";
    if (more > 0)
        snprintf(others, sizeof others, " (and %zu more)", more);
    return FAIL(E_CONFIG, error->hint, "%s:%d: %s%s", error->file, error->line, error->what, others);
}

static result load_texts(const char *dir, const struct config_text *texts, size_t count, struct config **ret,
                         struct config_errors *errors)
{
    struct loader loader = { config_new(), errors, dir };
    schema_preset(&schema_top, &loader, loader.config);
    for (size_t i = 0; i < count; i++)
        read_one(&loader, &texts[i]);
    if (errors->count == 0)
        check_whole(&loader);
    if (errors->count > 0) {
        config_free(loader.config);
        return first_error(errors);
    }
    digest(texts, count, loader.config->digest);
    *ret = loader.config;
    return OK;
}

result config_load_texts(const char *dir, const struct config_text *texts, size_t count, struct config **ret,
                         struct config_errors *errors)
{
    if (errors != NULL)
        return load_texts(dir, texts, count, ret, errors);
    struct config_errors *own = malloc(sizeof *own);
    must(own != NULL);
    config_errors_init(own);
    result r = load_texts(dir, texts, count, ret, own);
    config_errors_done(own);
    free(own);
    return r;
}

/* ---- the directory ---- */
static result add_files(const char *dir, const char *subdirectory, struct arena *arena,
                        struct config_text *texts, size_t *count)
{
    struct config_words names;
    TRY(config_list_files(dir, subdirectory, ".cfg", arena, &names));
    for (size_t i = 0; i < names.count; i++) {
        struct config_text *text = &texts[(*count)++];
        text->name = names.items[i].text.ptr;
        TRY(config_file_text(dir, text->name, arena, &text->text));
    }
    return OK;
}

static result read_files(const char *dir, struct arena *arena, struct config_text *texts, size_t *count)
{
    if (access(arena_printf(arena, "%s/%s", dir, TOP_FILE), F_OK) == 0) {
        texts[0].name = TOP_FILE;
        TRY(config_file_text(dir, TOP_FILE, arena, &texts[0].text));
        *count = 1;
    }
    TRY(add_files(dir, "policies", arena, texts, count));
    return add_files(dir, "regions", arena, texts, count);
}

result config_load(const char *dir, struct config **ret, struct config_errors *errors)
{
    struct arena arena;
    arena_init(&arena);
    struct config_text *texts = arena_array(&arena, struct config_text, 2 * CONFIG_FILES_MAX + 1);
    size_t count = 0;
    result r = read_files(dir, &arena, texts, &count);
    if (!failed(r)) {
        r = config_load_texts(dir, texts, count, ret, errors);
    } else if (errors != NULL) {
        struct loader loader = { .errors = errors };
        config_complain(&loader, "", 0, r.error.hint, "%s", r.error.what);
    }
    arena_done(&arena);
    return r;
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    arena_done(&config->arena);
    free(config);
}
