/* Bounds never exclude where a node is. The distances here are Vincenty's, on the ellipsoid: another formula. */
#include "config/shipped.h"

#include "location/location.h"

#include <math.h>
#include <stdlib.h>

#define KM_PER_MS_AND_BACK 149.896229 /* light in a vacuum, there and back */
#define RADIANS(degrees) ((degrees) * (M_PI / 180))
#define NOW_MS INT64_C(1800000000000)
#define DAY_MS (INT64_C(24) * 3600 * 1000)

static const struct location_point paris = { 48.8566, 2.3522 }, frankfurt = { 50.1109, 8.6821 },
                                   ashburn = { 39.0438, -77.4874 }, lisbon = { 38.7223, -9.1393 };

/* ---- the ellipsoid ---- NAN where Vincenty's iteration does not end: near antipodes */
static double vincenty_km(struct location_point p, struct location_point q)
{
    const double a = 6378.137, f = 1 / 298.257223563, b = a * (1 - f);
    double u1 = atan((1 - f) * tan(RADIANS(p.latitude))), u2 = atan((1 - f) * tan(RADIANS(q.latitude)));
    double l = RADIANS(q.longitude - p.longitude), lambda = l;
    for (int i = 0; i < 200; i++) {
        double x = cos(u2) * sin(lambda), y = cos(u1) * sin(u2) - sin(u1) * cos(u2) * cos(lambda);
        double sin_s = hypot(x, y), cos_s = sin(u1) * sin(u2) + cos(u1) * cos(u2) * cos(lambda);
        if (sin_s == 0)
            return 0;
        double s = atan2(sin_s, cos_s), sin_a = cos(u1) * cos(u2) * sin(lambda) / sin_s;
        double cos2_a = 1 - sin_a * sin_a;
        double m = cos2_a > 1e-12 ? cos_s - 2 * sin(u1) * sin(u2) / cos2_a : 0;
        double c = f / 16 * cos2_a * (4 + f * (4 - 3 * cos2_a)), before = lambda;
        lambda = l + (1 - c) * f * sin_a * (s + c * sin_s * (m + c * cos_s * (2 * m * m - 1)));
        if (fabs(lambda - before) > 1e-12)
            continue;
        double k = cos2_a * (a * a - b * b) / (b * b);
        double big_a = 1 + k / 16384 * (4096 + k * (-768 + k * (320 - 175 * k)));
        double big_b = k / 1024 * (256 + k * (-128 + k * (74 - 47 * k)));
        double delta =
            big_b * sin_s *
            (m + big_b / 4 *
                     (cos_s * (2 * m * m - 1) - big_b / 6 * m * (4 * sin_s * sin_s - 3) * (4 * m * m - 3)));
        return b * big_a * (s - delta);
    }
    return NAN;
}

static double unit(void)
{
    return (double)random() / RAND_MAX;
}

static struct location_point anywhere(void)
{
    return (struct location_point){ asin(2 * unit() - 1) * 180 / M_PI, 360 * unit() - 180 };
}

/* ---- geometry ---- */
static void distances_are_right_and_never_too_long(void **state)
{
    assert_true(fabs(location_least_km(paris, ashburn) / 6206 - 1) < 0.01);
    assert_true(fabs(vincenty_km(paris, ashburn) / 6206 - 1) < 0.005);
    for (int i = 0; i < 20000; i++) {
        struct location_point a = anywhere(), b = anywhere(), c = anywhere();
        double there = location_least_km(a, b), true_km = vincenty_km(a, b);
        assert_true(there >= 0 && there <= 6335.4 * M_PI + 1e-6);
        assert_true(fabs(there - location_least_km(b, a)) < 1e-6);
        assert_true(there <= location_least_km(a, c) + location_least_km(c, b) + 1e-6);
        if (!isnan(true_km)) {
            assert_true(there <= true_km + 1e-6);
            assert_true(there >= true_km * 0.989 - 1e-6); /* and not much too short */
        }
    }
}

static void odd_places_have_distances(void **state)
{
    const struct location_point north = { 90, 0 }, north_too = { 90, 123 }, south = { -90, -180 },
                                date = { 0, 180 }, date_too = { 0, -180 }, zero = { 0, 0 };
    assert_true(location_least_km(north, north_too) < 1e-6);
    assert_true(location_least_km(date, date_too) < 1e-6);
    assert_true(location_least_km(paris, paris) == 0);
    assert_true(fabs(location_least_km(north, south) - 6335.4 * M_PI) < 1e-3);
    assert_true(fabs(location_least_km(zero, date) - 6335.4 * M_PI) < 1e-3);
    assert_true(fabs(location_least_km(zero, north) - 6335.4 * M_PI / 2) < 1e-3);
}

static void a_bound_is_more_than_light_can_go(void **state)
{
    assert_true(fabs(location_bound_km(1000) - 150) < 1e-9);
    assert_true(fabs(location_bound_km(1) - 0.15) < 1e-12);
    for (uint64_t us = 1; us < 1000000; us = us * 3 + 1)
        assert_true(location_bound_km(us) > KM_PER_MS_AND_BACK * (double)us / 1000);
    assert_true(LOCATION_KM_PER_MS >= 299.792458 / 2);
}

/* ---- countries ---- */
static void every_country_of_the_shipped_policies_has_circles(void **state)
{
    struct shipped shipped;
    struct config *config = NULL;
    shipped_init(&shipped);
    check_ok(shipped_load(&shipped, &config, NULL));
    for (size_t i = 0; i < config->country_count; i++) {
        bool found = false;
        for (size_t j = 0; j < country_circle_count; j++)
            found |= strcmp(country_circles[j].code, config->countries[i].code) == 0;
        if (!found)
            fail_msg("%s has no circle", config->countries[i].code);
    }
    config_free(config);
    shipped_done(&shipped);
}

/* Ends of countries, by their towns and capes. */
static const struct {
    const char *code, *name;
    struct location_point at;
} ends[] = {
    { "FR", "Dunkirk", { 51.034, 2.377 } },
    { "FR", "Ouessant", { 48.457, -5.096 } },
    { "FR", "Lauterbourg", { 48.975, 8.178 } },
    { "FR", "Bonifacio", { 41.387, 9.159 } },
    { "FR", "Hendaye", { 43.359, -1.775 } },
    { "FR", "Cayenne", { 4.922, -52.313 } },
    { "FR", "Saint-Denis", { -20.882, 55.450 } },
    { "FR", "Mamoudzou", { -12.781, 45.228 } },
    { "FR", "Fort-de-France", { 14.616, -61.059 } },
    { "FR", "Noumea", { -22.276, 166.457 } },
    { "FR", "Papeete", { -17.535, -149.569 } },
    { "FR", "Saint-Pierre", { 46.779, -56.177 } },
    { "US", "Quoddy Head", { 44.815, -66.950 } },
    { "US", "Key West", { 24.555, -81.780 } },
    { "US", "Cape Alava", { 48.164, -124.733 } },
    { "US", "San Diego", { 32.716, -117.161 } },
    { "US", "Attu", { 52.902, 172.909 } },
    { "US", "Utqiagvik", { 71.291, -156.789 } },
    { "US", "Ketchikan", { 55.342, -131.646 } },
    { "US", "Hilo", { 19.707, -155.081 } },
    { "US", "Hagatna", { 13.475, 144.750 } },
    { "US", "San Juan", { 18.466, -66.106 } },
    { "US", "Christiansted", { 17.747, -64.703 } },
    { "US", "Pago Pago", { -14.279, -170.701 } },
    { "US", "Northwest Angle", { 49.345, -95.063 } },
    { "ES", "Ceuta", { 35.889, -5.321 } },
    { "ES", "Mahon", { 39.889, 4.265 } },
    { "ES", "El Hierro", { 27.640, -17.983 } },
    { "PT", "Flores", { 39.455, -31.269 } },
    { "PT", "Funchal", { 32.650, -16.909 } },
    { "NO", "Kirkenes", { 69.727, 30.045 } },
    { "NO", "Lindesnes", { 57.983, 7.047 } },
    { "NO", "Longyearbyen", { 78.223, 15.647 } },
    { "IT", "Lampedusa", { 35.502, 12.609 } },
    { "IT", "Predoi", { 47.042, 12.107 } },
    { "GR", "Kastellorizo", { 36.150, 29.590 } },
    { "GR", "Gavdos", { 34.837, 24.085 } },
    { "DK", "Bornholm", { 55.100, 14.910 } },
    { "DK", "Torshavn", { 62.011, -6.771 } },
    { "DK", "Nuuk", { 64.181, -51.694 } },
    { "DE", "Sylt", { 55.057, 8.417 } },
    { "DE", "Oberstdorf", { 47.270, 10.178 } },
    { "SE", "Treriksroset", { 69.060, 20.549 } },
    { "SE", "Smygehuk", { 55.337, 13.360 } },
    { "FI", "Nuorgam", { 70.083, 27.882 } },
    { "FI", "Mariehamn", { 60.097, 19.935 } },
    { "NL", "Kralendijk", { 12.150, -68.277 } },
    { "IE", "Malin Head", { 55.381, -7.374 } },
    { "IS", "Grimsey", { 66.545, -18.016 } },
    { "CY", "Cape Greco", { 34.958, 34.083 } },
    { "RO", "Sulina", { 45.156, 29.654 } },
    { "BG", "Rezovo", { 41.982, 28.032 } },
    { "PL", "Ustrzyki", { 49.103, 22.651 } },
};

static bool is_inside(const char *code, struct location_point at)
{
    for (size_t i = 0; i < country_circle_count; i++)
        if (strcmp(country_circles[i].code, code) == 0 &&
            vincenty_km(country_circles[i].centre, at) <= country_circles[i].radius_km)
            return true;
    return false;
}

static void the_ends_of_countries_are_inside(void **state)
{
    for (size_t i = 0; i < COUNT(ends); i++)
        if (!is_inside(ends[i].code, ends[i].at))
            fail_msg("%s is outside %s", ends[i].name, ends[i].code);
    assert_false(is_inside("US", paris));
    assert_false(is_inside("FR", ashburn));
}

static struct location_point inside(const struct country_circle *circle)
{
    for (;;) {
        double most = circle->radius_km / 110;
        struct location_point at = { circle->centre.latitude + most * (2 * unit() - 1),
                                     circle->centre.longitude +
                                         most * (2 * unit() - 1) /
                                             fmax(0.05, cos(RADIANS(circle->centre.latitude))) };
        if (fabs(at.latitude) <= 90 && vincenty_km(circle->centre, at) <= circle->radius_km)
            return at;
    }
}

/* A node anywhere, asked from anywhere, that answers as soon as light allows or later. */
static void no_node_is_excluded_from_its_own_country(void **state)
{
    for (int i = 0; i < 60000; i++) {
        const struct country_circle *circle = &country_circles[(size_t)random() % country_circle_count];
        struct location_point node = inside(circle), vantage = i % 2 ? anywhere() : inside(circle);
        double km = vincenty_km(vantage, node);
        if (isnan(km))
            continue;
        double least_us = km / KM_PER_MS_AND_BACK * 1000;
        uint64_t round_trip_us = (uint64_t)ceil(least_us) + (i % 3 ? 0 : (uint64_t)random() % 1000000);
        if (location_excludes(vantage, location_bound_km(round_trip_us), circle->code))
            fail_msg("%s (%s) is excluded from %.4f,%.4f in %llu us", circle->code, circle->area,
                     vantage.latitude, vantage.longitude, (unsigned long long)round_trip_us);
    }
}

static void what_is_far_is_excluded_and_what_is_unknown_is_not(void **state)
{
    assert_true(location_excludes(paris, location_bound_km(2000), "US"));
    assert_false(location_excludes(paris, location_bound_km(2000), "FR"));
    assert_false(location_excludes(paris, location_bound_km(2000), "BE"));
    assert_true(location_excludes(paris, location_bound_km(2000), "GR"));
    assert_false(location_excludes(paris, location_bound_km(40000), "US"));
    assert_false(location_excludes(paris, 0, "ZZ"));
    assert_false(location_excludes(ashburn, location_bound_km(80000), "FR"));
    assert_true(location_excludes(ashburn, location_bound_km(2000), "FR"));
    /* A bound that grows excludes less, never more. */
    for (int i = 0; i < 2000; i++) {
        struct location_point at = anywhere();
        const char *code = country_circles[(size_t)random() % country_circle_count].code;
        double km = 20000 * unit();
        assert_true(location_excludes(at, km, code) || !location_excludes(at, km + 500, code));
    }
}

/* ---- the judgement ---- */
static struct arena arena;
static struct shipped shipped;
static struct config *config;
static struct location_samples samples;
static struct location_judgement judgement;

static int set_up(void **state)
{
    arena_init(&arena);
    shipped_init(&shipped);
    shipped_add(
        &shipped, "domicile.cfg",
        "vantage = \"par-noc\";\n"
        "vantages = ( { name = \"par-noc\"; country = \"FR\"; latitude = 48.8566; longitude = 2.3522; },\n"
        "             { name = \"par-too\"; country = \"FR\"; latitude = 48.9; longitude = 2.3; },\n"
        "             { name = \"fra-noc\"; country = \"DE\"; latitude = 50.1109; longitude = 8.6821; },\n"
        "             { name = \"iad-noc\"; country = \"US\"; latitude = 39.0438; longitude = -77.4874; } "
        ");\n");
    check_ok(shipped_load(&shipped, &config, NULL));
    samples = (struct location_samples){ arena_array(&arena, struct location_sample, 16), 0, 0 };
    return 0;
}

static int tear_down(void **state)
{
    config_free(config);
    config = NULL;
    shipped_done(&shipped);
    arena_done(&arena);
    return 0;
}

static struct location_sample *measured(const char *vantage, struct location_point at, uint64_t min_us)
{
    samples.items[samples.count] = (struct location_sample){
        .vantage = vantage,
        .country = "FR",
        .at = at,
        .cell = "eu-fr/eu-fr-1",
        .node = "eu1",
        .host = "127.10.1.1:15432",
        .at_ms = NOW_MS - 1000,
        .method = "domicile.location_answer",
        .count = 50,
        .rows = 16,
        .min_us = min_us,
        .median_us = min_us + 10,
        .verified = "eu2",
    };
    return &samples.items[samples.count++];
}

static const struct location_exclusion *judged(const char *country)
{
    const struct node *node = config_find_node(config, STR("eu1"));
    const struct cell *cell = config_cell_of(config, node);
    location_judge(config, cell, node, &samples, NOW_MS, &arena, &judgement);
    assert_int_equal(judgement.exclusion_count, config->country_count);
    for (size_t i = 0; i < judgement.exclusion_count; i++)
        if (strcmp(judgement.exclusions[i].country->code, country) == 0)
            return &judgement.exclusions[i];
    fail();
    return NULL;
}

static void without_samples_all_is_declared(void **state)
{
    assert_ptr_equal(config->vantage, config_find_vantage(config, STR("par-noc")));
    assert_int_equal(judged("US")->grade, LOCATION_DECLARED);
    assert_int_equal(judgement.outside, LOCATION_DECLARED);
    assert_false(judgement.contradicted || judgement.torn);
}

static void one_vantage_observes_and_two_corroborate(void **state)
{
    measured("par-noc", paris, 900);
    assert_int_equal(judged("US")->grade, LOCATION_OBSERVED);
    assert_int_equal(judgement.outside, LOCATION_OBSERVED);
    assert_int_equal(judged("FR")->grade, LOCATION_DECLARED);
    measured("fra-noc", frankfurt, 9000);
    const struct location_exclusion *us = judged("US");
    assert_int_equal(us->grade, LOCATION_CORROBORATED);
    assert_int_equal(us->by, 3);
    assert_int_equal(judgement.outside, LOCATION_CORROBORATED);
    assert_false(judgement.contradicted || judgement.torn);
    measured("fra-noc", frankfurt, 8000);
    judged("US");
    assert_int_equal(judgement.measure_count, 2);
    assert_int_equal(judgement.measures[1].sample->min_us, 8000);
}

static void what_nobody_checked_does_not_corroborate(void **state)
{
    measured("par-noc", paris, 900);
    measured("fra-noc", frankfurt, 9000)->verified = NULL;
    assert_int_equal(judged("US")->grade, LOCATION_OBSERVED);
    measured("fra-noc", frankfurt, 9500); /* slower, but checked */
    assert_int_equal(judged("US")->grade, LOCATION_CORROBORATED);
    assert_int_equal(judgement.measures[1].sample->min_us, 9500);
}

static void two_vantages_in_one_place_are_one(void **state)
{
    measured("par-noc", paris, 900);
    measured("par-too", (struct location_point){ 48.9, 2.3 }, 900);
    assert_int_equal(judged("US")->grade, LOCATION_OBSERVED);
    assert_int_equal(judgement.measure_count, 2);
}

static void samples_of_another_time_or_place_do_not_count(void **state)
{
    measured("par-noc", paris, 900)->at_ms = NOW_MS - 91 * DAY_MS;
    measured("par-noc", paris, 900)->host = "127.10.1.9:15432";
    measured("par-noc", paris, 900)->cell = "us/us-1";
    measured("par-noc", lisbon, 900); /* the vantage was elsewhere */
    measured("lis-noc", lisbon, 900); /* nobody knows it */
    measured("par-noc", paris, 900)->node = "us1";
    assert_int_equal(judged("US")->grade, LOCATION_DECLARED);
    assert_int_equal(judgement.measure_count, 0);
    assert_int_equal(judgement.too_old, 1);
    assert_int_equal(judgement.elsewhere, 4);
}

static void who_answers_too_soon_is_not_where_it_is_declared(void **state)
{
    measured("iad-noc", ashburn, 2000);
    judged("US");
    assert_true(judgement.contradicted);
    assert_int_equal(judged("US")->grade, LOCATION_DECLARED);
    assert_int_equal(judgement.outside, LOCATION_DECLARED);
    assert_false(judgement.torn);
    measured("par-noc", paris, 1000);
    judged("US");
    assert_true(judgement.torn); /* a live copy on each side of the ocean */
}

/* ---- lines ---- */
static void a_sample_is_read_as_it_was_written(void **state)
{
    struct buf text;
    struct location_samples back;
    buf_init(&text, 1 << 16);
    measured("par-noc", paris, 912);
    measured("fra-noc", frankfurt, 9000)->verified = NULL;
    for (size_t i = 0; i < samples.count; i++)
        check_ok(location_sample_write(&samples.items[i], &text));
    check_ok(location_samples_read(buf_str(&text), true, &arena, &back));
    assert_int_equal(back.count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_true(location_sample_equal(&back.items[i], &samples.items[i]));
        assert_true(back.items[i].at.latitude == samples.items[i].at.latitude);
        assert_int_equal(back.items[i].rows, 16);
        assert_string_equal(back.items[i].method, "domicile.location_answer");
    }
    assert_false(location_sample_equal(&back.items[0], &back.items[1]));
    buf_done(&text);
}

#define SAMPLE(latitude, min, more)                                                                          \
    "{\"vantage\":\"par-noc\",\"country\":\"FR\",\"latitude\":" latitude                                     \
    ",\"longitude\":2.35,\"cell\":\"eu-fr/eu-fr-1\","                                                        \
    "\"node\":\"eu1\",\"host\":\"127.10.1.1:15432\",\"at_ms\":1800000000000,\"method\":\"m\",\"count\":50,"  \
    "\"rows\":16,"                                                                                           \
    "\"min_us\":" min ",\"median_us\":2000" more "}"

static void what_is_no_sample_is_refused(void **state)
{
    static const struct {
        const char *line;
        enum error_code code;
    } wrong[] = {
        { "", E_JSON },
        { "{", E_JSON },
        { "[]", E_FORMAT },
        { "7", E_FORMAT },
        { "{}", E_FORMAT },
        { SAMPLE("48.9", "0", ",\"verified\":null"), E_FORMAT },    /* sooner than at once */
        { SAMPLE("48.9", "2001", ",\"verified\":null"), E_FORMAT }, /* the least is more than the middle */
        { SAMPLE("48.9", "-5", ",\"verified\":null"), E_FORMAT },
        { SAMPLE("48.9", "1.5", ",\"verified\":null"), E_FORMAT },
        { SAMPLE("90.1", "900", ",\"verified\":null"), E_FORMAT },
        { SAMPLE("\"48\"", "900", ",\"verified\":null"), E_FORMAT },
        { SAMPLE("1e999", "900", ",\"verified\":null"), E_JSON },
        { SAMPLE("48.9", "900", ",\"verified\":true"), E_FORMAT },
        { SAMPLE("48.9", "900", ",\"verified\":\"e u\""), E_FORMAT },
        { SAMPLE("48.9", "900", ""), E_FORMAT },
        { SAMPLE("48.9", "900", ",\"verified\":null,\"more\":1"), E_JSON },
        { SAMPLE("48.9", "900", ",\"verified\":null,\"node\":\"eu2\""), E_JSON },
        { SAMPLE("48.9", "900", ",\"verified\":{\"a\":1}"), E_JSON },
    };
    struct location_sample sample;
    check_ok(location_sample_read(str_from(SAMPLE("48.9", "900", ",\"verified\":null")), &arena, &sample));
    check_ok(location_sample_read(str_from(SAMPLE("-90", "2000", ",\"verified\":\"eu2\"")), &arena, &sample));
    for (size_t i = 0; i < COUNT(wrong); i++)
        check_fails(wrong[i].code, location_sample_read(str_from(wrong[i].line), &arena, &sample));
    char *longer = arena_alloc(&arena, LOCATION_LINE_MAX + 1);
    memset(longer, ' ', LOCATION_LINE_MAX + 1);
    check_fails(E_LIMIT,
                location_sample_read((struct str){ longer, LOCATION_LINE_MAX + 1 }, &arena, &sample));
}

static void a_wrong_line_is_counted_or_refused(void **state)
{
    static const char text[] = SAMPLE("48.9", "900", ",\"verified\":null") "\n{\"torn\n\n" SAMPLE(
        "48.9", "901", ",\"verified\":null");
    struct location_samples back;
    check_ok(location_samples_read(str_from(text), false, &arena, &back));
    assert_int_equal(back.count, 2);
    assert_int_equal(back.unread, 1);
    result r = location_samples_read(str_from(text), true, &arena, &back);
    assert_int_equal(r.error.code, E_JSON);
    assert_non_null(strstr(r.error.what, "line 2: "));
}

/* ---- the store ---- */
static void a_line_that_a_crash_tore_hides_no_other(void **state)
{
    char dir[] = "/tmp/domicile-location-XXXXXX";
    assert_non_null(mkdtemp(dir));
    const char *state_path = arena_printf(&arena, "%s/state", dir),
               *path = location_store_path(state_path, &arena);
    struct location_samples back;
    check_ok(location_store_read(state_path, &arena, &back));
    assert_int_equal(back.count, 0);
    measured("par-noc", paris, 900);
    measured("fra-noc", frankfurt, 9000);
    check_ok(location_store_append(state_path, samples.items, 0)); /* nothing: no file */
    check_ok(location_store_append(state_path, samples.items, 2));
    FILE *file = fopen(path, "a");
    fputs("{\"vantage\":\"par-n", file);
    fclose(file);
    check_ok(location_store_append(state_path, samples.items, 1));
    check_ok(location_store_append(state_path, &samples.items[1], 1));
    check_ok(location_store_read(state_path, &arena, &back));
    assert_int_equal(back.count, 4);
    assert_int_equal(back.unread, 1);
    assert_true(location_sample_equal(&back.items[2], &samples.items[0]));
    check_fails(E_IO, location_store_append("/proc/nothing/here", samples.items, 1));
    remove(path);
    remove(state_path);
    remove(dir);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    srandom(20261125);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distances_are_right_and_never_too_long),
        cmocka_unit_test(odd_places_have_distances),
        cmocka_unit_test(a_bound_is_more_than_light_can_go),
        cmocka_unit_test(every_country_of_the_shipped_policies_has_circles),
        cmocka_unit_test(the_ends_of_countries_are_inside),
        cmocka_unit_test(no_node_is_excluded_from_its_own_country),
        cmocka_unit_test(what_is_far_is_excluded_and_what_is_unknown_is_not),
        TEST(without_samples_all_is_declared),
        TEST(one_vantage_observes_and_two_corroborate),
        TEST(what_nobody_checked_does_not_corroborate),
        TEST(two_vantages_in_one_place_are_one),
        TEST(samples_of_another_time_or_place_do_not_count),
        TEST(who_answers_too_soon_is_not_where_it_is_declared),
        TEST(a_sample_is_read_as_it_was_written),
        TEST(what_is_no_sample_is_refused),
        TEST(a_wrong_line_is_counted_or_refused),
        TEST(a_line_that_a_crash_tore_hides_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
