#include "config/internal.h"

static const char two_blocs[] = "Declare a bloc once, with all its countries.";

static struct country *country_of(struct loader *loader, const struct config_word *code, const char *file)
{
    struct config *config = loader->config;
    for (size_t i = 0; i < config->country_count; i++)
        if (str_is(code->text, config->countries[i].code))
            return &config->countries[i];
    if (config->country_count == CONFIG_COUNTRIES_MAX) {
        config_complain(loader, file, code->line, NULL, "there are more than %d countries",
                        CONFIG_COUNTRIES_MAX);
        return NULL;
    }
    struct country *country = &config->countries[config->country_count];
    country->index = (unsigned)config->country_count++;
    memcpy(country->code, code->text.ptr, 2);
    return country;
}

static bool is_code(struct str s)
{
    return s.len == 2 && s.ptr[0] >= 'A' && s.ptr[0] <= 'Z' && s.ptr[1] >= 'A' && s.ptr[1] <= 'Z';
}

static void link_bloc(struct loader *loader, struct bloc *bloc)
{
    for (size_t i = 0; i < bloc->country_codes.count; i++) {
        const struct config_word *code = &bloc->country_codes.items[i];
        if (!is_code(code->text)) {
            config_complain(loader, bloc->source.file, code->line,
                            "Write it in two capital letters, as in \"FR\".", "\"%s\" is not a country",
                            code->text.ptr);
            continue;
        }
        struct country *country = country_of(loader, code, bloc->source.file);
        if (country == NULL)
            return;
        if (country->blocs & UINT32_C(1) << bloc->index)
            config_complain(loader, bloc->source.file, code->line, "Write the country once.",
                            "the bloc \"%s\" names the country \"%s\" twice", country->code, bloc->name.ptr);
        country->blocs |= UINT32_C(1) << bloc->index;
    }
}

static void link_region(struct loader *loader, struct region *region)
{
    const struct config *config = loader->config;
    const char *code = region->jurisdiction.country;
    const struct bloc *bloc = config_find_bloc(config, region->jurisdiction.bloc);
    const struct country *country = config_find_country(config, str_from(code));
    if (bloc == NULL)
        config_complain(loader, region->source.file, region->source.line,
                        "Declare it under blocs in policies/.",
                        "the jurisdiction of region \"%s\" is in the bloc \"%s\", which is not declared",
                        region->name.ptr, region->jurisdiction.bloc.ptr);
    else if (country == NULL || !(country->blocs & UINT32_C(1) << bloc->index))
        config_complain(
            loader, region->source.file, region->source.line,
            "Correct the jurisdiction, or the countries of the bloc in policies/.",
            "the jurisdiction of region \"%s\" is not valid: the country \"%s\" is not in the bloc \"%s\"",
            region->name.ptr, code, bloc->name.ptr);
    region->country = country;
}

void config_link_jurisdictions(struct loader *loader)
{
    struct config *config = loader->config;
    config->countries = arena_array(&config->arena, struct country, CONFIG_COUNTRIES_MAX);
    for (size_t i = 0; i < config->bloc_count; i++) {
        struct bloc *bloc = &config->blocs[i];
        bloc->index = (unsigned)i;
        if (config_find_bloc(config, bloc->name) != bloc)
            config_complain(loader, bloc->source.file, bloc->source.line, two_blocs,
                            "the bloc \"%s\" is declared twice", bloc->name.ptr);
        link_bloc(loader, bloc);
    }
    for (size_t i = 0; i < config->region_count; i++)
        link_region(loader, &config->regions[i]);
}
