#include "policy/policy.h"

#include <stdlib.h>

bool policy_service_leaves(const struct service *service, const struct region *home)
{
    return !service->regional && !(service->region_mask >> home->index & 1);
}

size_t policy_services_leaving(const struct config *config, const struct region *home,
                               const struct service **ret, size_t max)
{
    size_t count = 0;
    for (size_t i = 0; i < config->service_count; i++) {
        if (!policy_service_leaves(&config->services[i], home))
            continue;
        if (count < max)
            ret[count] = &config->services[i];
        count++;
    }
    return count;
}

/* ---- the list as a document ---- {"services":[{"name":...},...],"services_version":1}
 * Members and services are sorted, regions are by name: what is the same to a customer is the same in bytes. */

static json_t *regions_json(const struct config *config, const struct service *service)
{
    json_t *regions = json_array();
    for (size_t i = 0; i < config->region_count; i++)
        if (service->region_mask >> config->regions[i].index & 1)
            json_array_append_new(regions, json_string(config->regions[i].name.ptr));
    return regions;
}

static json_t *service_json(const struct config *config, const struct service *service)
{
    json_t *json = json_object();
    json_object_set_new(json, "name", json_string(service->name.ptr));
    json_object_set_new(json, "title", json_string(service->title));
    json_object_set_new(json, "regional", json_boolean(service->regional));
    if (service->regional)
        return json;
    json_object_set_new(json, "regions", regions_json(config, service));
    json_object_set_new(json, "reason", json_string(service->reason));
    json_object_set_new(json, "where", json_string(service->where));
    return json;
}

static int by_name(const void *a, const void *b)
{
    const struct service *const *left = a, *const *right = b;
    return str_compare((*left)->name, (*right)->name);
}

struct str policy_services_document(const struct config *config, struct arena *arena)
{
    const struct service **sorted = arena_array(arena, const struct service *, config->service_count + 1);
    for (size_t i = 0; i < config->service_count; i++)
        sorted[i] = &config->services[i];
    qsort(sorted, config->service_count, sizeof *sorted, by_name);
    json_t *document = json_object(), *services = json_array();
    for (size_t i = 0; i < config->service_count; i++)
        json_array_append_new(services, service_json(config, sorted[i]));
    json_object_set_new(document, "services", services);
    json_object_set_new(document, "services_version", json_integer(config->services_version));
    char *text = json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS);
    must(text != NULL);
    struct str copy = arena_str(arena, str_from(text));
    free(text);
    json_decref(document);
    return copy;
}

/* ---- what a document says ---- */

static json_t *parse(struct str document)
{
    json_t *json = NULL;
    result r = json_parse(document, JSON_DEPTH_MAX, &json);
    return failed(r) ? NULL : json;
}

static bool is_kept_in(const json_t *service, struct str region)
{
    const json_t *regions = json_object_get(service, "regions");
    for (size_t i = 0; i < json_array_size(regions); i++)
        if (str_is(region, json_string_value(json_array_get(regions, i))))
            return true;
    return json_is_true(json_object_get(service, "regional"));
}

result policy_services_acknowledged(struct str document, struct str region, json_t **ret)
{
    json_t *json = parse(document), *names = json_array();
    const json_t *services = json_object_get(json, "services");
    bool sound = json_is_array(services);
    for (size_t i = 0; sound && i < json_array_size(services); i++) {
        const json_t *service = json_array_get(services, i), *name = json_object_get(service, "name");
        sound = json_is_string(name) && json_is_boolean(json_object_get(service, "regional"));
        if (sound && !is_kept_in(service, region))
            json_array_append(names, (json_t *)name);
    }
    json_decref(json);
    if (!sound) {
        json_decref(names);
        return FAIL(E_FORMAT, NULL, "the document is not a list of services");
    }
    *ret = names;
    return OK;
}

static const json_t *find_service(const json_t *document, const json_t *name)
{
    const json_t *services = json_object_get(document, "services");
    for (size_t i = 0; i < json_array_size(services); i++)
        if (json_equal(json_object_get(json_array_get(services, i), "name"), name))
            return json_array_get(services, i);
    return NULL;
}

static const char *value_text(const json_t *value, struct arena *arena)
{
    if (value == NULL)
        return "not set";
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    must(text != NULL);
    const char *copy = arena_cstr(arena, str_from(text));
    free(text);
    return copy;
}

/* Of two services of one name: the first member that is not the same. */
static const char *difference_of(const json_t *from, const json_t *to, struct arena *arena)
{
    static const char *const members[] = { "title", "regional", "regions", "reason", "where" };
    for (size_t i = 0; i < COUNT(members); i++) {
        const json_t *old = json_object_get(from, members[i]), *new = json_object_get(to, members[i]);
        if (old != new && !json_equal(old, new))
            return arena_printf(arena, ": %s was %s, is %s", members[i], value_text(old, arena),
                                value_text(new, arena));
    }
    return NULL;
}

/* The first of the services of `from` that `to` has not, or not the same. */
static struct str first_difference(const json_t *from, const json_t *to, const char *missing,
                                   struct arena *arena)
{
    const json_t *services = json_object_get(from, "services");
    for (size_t i = 0; i < json_array_size(services); i++) {
        const json_t *service = json_array_get(services, i), *name = json_object_get(service, "name");
        const json_t *other = find_service(to, name);
        const char *what = other == NULL ? missing : difference_of(service, other, arena);
        if (what != NULL)
            return str_from(arena_printf(arena, "service %s%s", value_text(name, arena), what));
    }
    return (struct str){ 0 };
}

struct str policy_services_difference(struct str from, struct str to, struct arena *arena)
{
    json_t *old = parse(from), *new = parse(to);
    struct str difference = first_difference(old, new, " is gone", arena);
    if (difference.len == 0)
        difference = first_difference(new, old, " is new", arena);
    json_decref(old);
    json_decref(new);
    return difference;
}
