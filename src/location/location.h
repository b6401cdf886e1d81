#pragma once
/* Where a node can be, judged by its round trips. Nothing is faster than light: a node that answers within R ms is at most
 * 150 km times R away, on any path. A delay only makes that bound larger, so a bound is never too small. docs/location.md
 * says what follows from it, and what does not. Everything here is pure. */
#include "config/config.h"
#include "location/location_sample.h"

#define LOCATION_KM_PER_MS 150.0 /* light in a vacuum goes 149.9 km and back in a millisecond */

enum {
    LOCATION_AGE_MAX_DAYS = 90, /* an older sample does not count: the node may have moved */
    LOCATION_APART_KM = 50,     /* vantages that are closer count as one place */
};

/* ---- geometry ---- */
/* At most the distance along the ground: computed on a ball with the earth's smallest radius of curvature. */
double location_least_km(struct location_point a, struct location_point b);
double location_bound_km(uint64_t round_trip_us);

/* A country is inside its circles (countries.def). */
struct country_circle {
    const char *code, *area;
    struct location_point centre;
    double radius_km;
};
extern const struct country_circle country_circles[];
extern const size_t country_circle_count;

/* Every circle of the country is farther from the vantage than the bound. False for a country without circles. */
bool location_excludes(struct location_point vantage, double bound_km, const char *country);

/* ---- the judgement of one node ---- */
enum location_grade {
    LOCATION_DECLARED,     /* only the configuration says so */
    LOCATION_OBSERVED,     /* one vantage excludes it, or no other node could check the answers */
    LOCATION_CORROBORATED, /* two vantages exclude it, and other nodes gave the same answers */
};
const char *location_grade_word(enum location_grade grade);

struct location_measure { /* the smallest round trip that a vantage has seen */
    const struct vantage *vantage;
    const struct location_sample *sample;
    double bound_km;
};

struct location_exclusion {
    const struct country *country;
    enum location_grade
        grade;   /* of "the node is not there"; LOCATION_DECLARED: the country is not excluded */
    uint64_t by; /* the measures that exclude it, as bits */
    bool known;  /* it has circles */
};

struct location_judgement {
    const struct node *node;
    const struct cell *cell;
    struct location_measure measures[CONFIG_VANTAGES_MAX];
    size_t measure_count;
    struct location_exclusion *exclusions; /* every country of the blocs */
    size_t exclusion_count;
    enum location_grade
        outside; /* of "it is in no country outside its region's bloc": the weakest grade of those countries */
    bool contradicted;         /* it cannot be in the country where it is declared */
    bool torn;                 /* it cannot be near both of two vantages: two hosts answered */
    size_t torn_pair[2];       /* of measures */
    size_t too_old, elsewhere; /* samples that do not count: see below */
};

/* A sample counts if it is of this node at its present address, and of a vantage that has not moved in the declaration
 * (others: elsewhere), and is not older than LOCATION_AGE_MAX_DAYS (others: too_old). */
void location_judge(const struct config *config, const struct cell *cell, const struct node *node,
                    const struct location_samples *samples, int64_t now_ms, struct arena *arena,
                    struct location_judgement *ret);

/* "203.0.113.5:5432" */
const char *location_host(const struct node *node, struct arena *arena);
