#include "location/location.h"

#include <math.h>

/* The smallest radius of curvature of WGS 84: along the meridian, at the equator. A path on the ground is never shorter than
 * the same angle on a ball with this radius. */
#define LEAST_RADIUS_KM 6335.4
#define RADIANS(degrees) ((degrees) * (M_PI / 180))

const struct country_circle country_circles[] = {
#define X(code, area, latitude, longitude, radius) { code, area, { latitude, longitude }, radius },
#include "location/countries.def"
#undef X
};
const size_t country_circle_count = COUNT(country_circles);

/* The haversine. Its argument is limited to 1: at the antipode, rounding may make it larger. */
double location_least_km(struct location_point a, struct location_point b)
{
    double north = sin(RADIANS(b.latitude - a.latitude) / 2);
    double east = sin(RADIANS(b.longitude - a.longitude) / 2);
    double half = north * north + cos(RADIANS(a.latitude)) * cos(RADIANS(b.latitude)) * east * east;
    return 2 * LEAST_RADIUS_KM * asin(sqrt(fmin(1, fmax(0, half))));
}

double location_bound_km(uint64_t round_trip_us)
{
    return LOCATION_KM_PER_MS * (double)round_trip_us / 1000;
}

bool location_excludes(struct location_point vantage, double bound_km, const char *country)
{
    bool known = false;
    for (size_t i = 0; i < country_circle_count; i++) {
        const struct country_circle *circle = &country_circles[i];
        if (strcmp(circle->code, country) != 0)
            continue;
        known = true;
        if (location_least_km(vantage, circle->centre) - circle->radius_km <= bound_km)
            return false;
    }
    return known;
}

const char *location_grade_word(enum location_grade grade)
{
    static const char *const words[] = { "declared", "observed", "corroborated" };
    return words[grade];
}

const char *location_host(const struct node *node, struct arena *arena)
{
    return arena_printf(arena, strchr(node->address, ':') != NULL ? "[%s]:%u" : "%s:%u", node->address,
                        node->port);
}

/* ---- the judgement ---- */
static struct location_point place_of(const struct vantage *vantage)
{
    return (struct location_point){ vantage->latitude, vantage->longitude };
}

/* Whether the vantage is declared at the same place now: a measurement from another place does not count any more. */
static const struct vantage *vantage_of(const struct config *config, const struct location_sample *sample)
{
    const struct vantage *vantage = config_find_vantage(config, str_from(sample->vantage));
    if (vantage == NULL || fabs(vantage->latitude - sample->at.latitude) > 1e-6 ||
        fabs(vantage->longitude - sample->at.longitude) > 1e-6)
        return NULL;
    return vantage;
}

static void take(struct location_judgement *ret, const struct vantage *vantage,
                 const struct location_sample *sample)
{
    size_t i = 0;
    while (i < ret->measure_count && ret->measures[i].vantage != vantage)
        i++;
    /* A verified answer counts before a faster one that nobody could check. */
    const struct location_sample *best = i < ret->measure_count ? ret->measures[i].sample : NULL;
    if (best != NULL &&
        ((best->verified != NULL) != (sample->verified != NULL) ? best->verified != NULL
                                                                : best->min_us <= sample->min_us))
        return;
    ret->measures[i] = (struct location_measure){ vantage, sample, location_bound_km(sample->min_us) };
    if (i == ret->measure_count)
        ret->measure_count++;
}

static void choose(const struct config *config, const struct location_samples *samples, int64_t now_ms,
                   struct arena *arena, struct location_judgement *ret)
{
    const int64_t age_max_ms = (int64_t)LOCATION_AGE_MAX_DAYS * 24 * 3600 * 1000;
    const char *host = location_host(ret->node, arena);
    const char *cell = arena_printf(arena, "%s/%s", ret->cell->region->name.ptr, ret->cell->name.ptr);
    for (size_t i = 0; i < samples->count; i++) {
        const struct location_sample *sample = &samples->items[i];
        if (!str_is(ret->node->name, sample->node))
            continue;
        const struct vantage *vantage = vantage_of(config, sample);
        if (vantage == NULL || strcmp(sample->host, host) != 0 || strcmp(sample->cell, cell) != 0)
            ret->elsewhere++;
        else if (now_ms - sample->at_ms > age_max_ms)
            ret->too_old++;
        else
            take(ret, vantage, sample);
    }
}

static bool apart(const struct location_judgement *judgement, uint64_t by)
{
    for (size_t i = 0; i < judgement->measure_count; i++)
        for (size_t j = 0; j < i; j++) {
            const struct location_measure *a = &judgement->measures[i], *b = &judgement->measures[j];
            if ((by >> i & 1) && (by >> j & 1) && a->sample->verified != NULL &&
                b->sample->verified != NULL &&
                location_least_km(place_of(a->vantage), place_of(b->vantage)) >= LOCATION_APART_KM)
                return true;
        }
    return false;
}

static bool is_known(const char *country)
{
    for (size_t i = 0; i < country_circle_count; i++)
        if (strcmp(country_circles[i].code, country) == 0)
            return true;
    return false;
}

static void exclude(struct location_judgement *ret, const struct country *country)
{
    uint64_t by = 0;
    for (size_t i = 0; i < ret->measure_count; i++)
        if (location_excludes(place_of(ret->measures[i].vantage), ret->measures[i].bound_km, country->code))
            by |= UINT64_C(1) << i;
    ret->exclusions[ret->exclusion_count++] = (struct location_exclusion){
        .country = country,
        .grade = by == 0          ? LOCATION_DECLARED
                 : apart(ret, by) ? LOCATION_CORROBORATED
                                  : LOCATION_OBSERVED,
        .by = by,
        .known = is_known(country->code),
    };
}

/* Two answers that one host cannot have given: no place is near enough to both vantages. */
static void find_torn(struct location_judgement *ret)
{
    for (size_t i = 0; i < ret->measure_count && !ret->torn; i++)
        for (size_t j = 0; j < i && !ret->torn; j++)
            if (location_least_km(place_of(ret->measures[i].vantage), place_of(ret->measures[j].vantage)) >
                ret->measures[i].bound_km + ret->measures[j].bound_km) {
                ret->torn = true;
                ret->torn_pair[0] = j;
                ret->torn_pair[1] = i;
            }
}

void location_judge(const struct config *config, const struct cell *cell, const struct node *node,
                    const struct location_samples *samples, int64_t now_ms, struct arena *arena,
                    struct location_judgement *ret)
{
    _Static_assert(CONFIG_VANTAGES_MAX <= 64, "measures are bits of 64");
    const struct bloc *bloc = config_find_bloc(config, cell->region->jurisdiction.bloc);
    *ret = (struct location_judgement){ .node = node, .cell = cell };
    ret->exclusions = arena_array(arena, struct location_exclusion, config->country_count);
    choose(config, samples, now_ms, arena, ret);
    ret->outside = ret->measure_count == 0 ? LOCATION_DECLARED : LOCATION_CORROBORATED;
    for (size_t i = 0; i < config->country_count; i++) {
        const struct country *country = &config->countries[i];
        exclude(ret, country);
        const struct location_exclusion *exclusion = &ret->exclusions[ret->exclusion_count - 1];
        bool inside = bloc != NULL && (country->blocs >> bloc->index & 1);
        if (!inside && exclusion->grade < ret->outside)
            ret->outside = exclusion->grade;
        if (strcmp(country->code, node->site->country) == 0)
            ret->contradicted = exclusion->grade != LOCATION_DECLARED;
    }
    find_torn(ret);
}
