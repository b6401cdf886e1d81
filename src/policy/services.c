#include "policy/policy.h"

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
