/* A line of measurements that somebody carried here: what is read is written and read again the same, and bounds what it
 * says it bounds. */
#include "location/location.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str text = { (const char *)bytes, size };
    struct location_samples samples, again;
    struct arena arena;
    struct buf written;
    arena_init(&arena);
    buf_init(&written, 1 << 20);
    must(!failed(location_samples_read(text, false, &arena, &samples)));
    bool whole = true;
    for (size_t i = 0; i < samples.count && whole; i++) {
        const struct location_sample *sample = &samples.items[i];
        must(sample->min_us > 0 && sample->min_us <= sample->median_us);
        must(fabs(sample->at.latitude) <= 90 && fabs(sample->at.longitude) <= 180);
        must(!location_excludes(sample->at, location_bound_km(200000), "FR")); /* half around the earth */
        whole = !failed(location_sample_write(sample, &written));
    }
    if (whole) {
        must(!failed(location_samples_read(buf_str(&written), true, &arena, &again)));
        must(again.count == samples.count);
        for (size_t i = 0; i < again.count; i++)
            must(location_sample_equal(&again.items[i], &samples.items[i]));
    }
    buf_done(&written);
    arena_done(&arena);
    return 0;
}
