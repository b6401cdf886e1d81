#include "api/call.h"

result region_list(struct api_call *call)
{
    TRY(api_authenticate(call));
    const struct config *config = call->snapshot->config;
    json_t *regions = json_array();
    for (size_t i = 0; i < config->region_count; i++) {
        const struct region *region = &config->regions[i];
        json_t *json = json_object();
        json_object_set_new(json, "name", json_string(region->name.ptr));
        json_object_set_new(json, "title", json_string(region->title));
        json_object_set_new(json, "country", json_string(region->jurisdiction.country));
        json_object_set_new(json, "bloc", json_string(region->jurisdiction.bloc.ptr));
        json_object_set_new(json, "endpoint", json_string(region->endpoint));
        json_array_append_new(regions, json);
    }
    json_t *answer = json_object();
    json_object_set_new(answer, "regions", regions);
    api_answer_json(call, 200, answer);
    return OK;
}
