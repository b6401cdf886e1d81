/* The data register and the vendor's services. */
#include "config/internal.h"

static bool mentions(const struct config *config, struct str class)
{
    for (size_t i = 0; i < config->rule_count; i++)
        for (size_t w = 0; w < config->rules[i].classes.count; w++)
            if (str_eq(config->rules[i].classes.items[w].text, class))
                return true;
    return false;
}

static void check_class(struct loader *loader, const struct data_class *class)
{
    if (config_find_class(loader->config, class->name) != class)
        COMPLAIN_AT(loader, class, "Declare a class once.", "the class \"%s\" is declared twice",
                    class->name.ptr);
    if (!mentions(loader->config, class->name))
        COMPLAIN_AT(loader, class,
                    "Write a rule that names the class under classes and says where its records may be.",
                    "no rule mentions the class \"%s\"", class->name.ptr);
}

static void link_service_regions(struct loader *loader, struct service *service)
{
    for (size_t i = 0; i < service->region_names.count; i++) {
        const struct config_word *word = &service->region_names.items[i];
        const struct region *region = config_find_region(loader->config, word->text);
        if (region == NULL)
            config_complain(loader, service->source.file, word->line,
                            "Correct the name, or declare the region in regions/.",
                            "the service \"%s\" names the region \"%s\", which is not declared",
                            service->name.ptr, word->text.ptr);
        else
            service->region_mask |= UINT32_C(1) << region->index;
    }
}

static void check_service(struct loader *loader, struct service *service)
{
    for (const struct service *other = loader->config->services; other != service; other++)
        if (str_eq(other->name, service->name))
            COMPLAIN_AT(loader, service, "Declare a service once.", "the service \"%s\" is declared twice",
                        service->name.ptr);
    if (!service->regional && (service->reason == NULL || service->where == NULL))
        COMPLAIN_AT(loader, service,
                    "Add reason (why it cannot be kept in the region) and where (where it works instead).",
                    "the service \"%s\" is not regional and lacks \"reason\" or \"where\"",
                    service->name.ptr);
    if (service->regional &&
        (service->reason != NULL || service->where != NULL || service->region_names.count > 0))
        COMPLAIN_AT(loader, service, "Remove reason, where and regions, or set regional = false.",
                    "the service \"%s\" is regional, but has \"reason\", \"where\" or \"regions\"",
                    service->name.ptr);
    link_service_regions(loader, service);
}

void config_check_register(struct loader *loader)
{
    struct config *config = loader->config;
    if (config->class_count == 0)
        config_complain(loader, "", 0, "Declare the data register under classes in policies/.",
                        "no class is declared");
    for (size_t i = 0; i < config->class_count; i++)
        check_class(loader, &config->classes[i]);
    for (size_t i = 0; i < config->service_count; i++)
        check_service(loader, &config->services[i]);
    if (config->services_version == 0)
        config_complain(loader, config->service_count > 0 ? config->services[0].source.file : "",
                        config->service_count > 0 ? config->services[0].source.line : 0,
                        "Set services_version = 1, and increase it by one with every change of the services.",
                        "\"services_version\" is not set");
}
