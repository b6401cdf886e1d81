/* The directory's index in memory. usage: bench_directory CUSTOMERS */
#include "base/clock.h"
#include "directory/index.h"

#include <stdio.h>
#include <stdlib.h>

enum { BATCHES = 16000, BATCH = 256 };

static uint64_t random_next(void)
{
    static uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static struct str id_of(uint64_t number, char text[64])
{
    return (struct str){ text, (size_t)snprintf(text, 64, "customer-%llu", (unsigned long long)number) };
}

static int by_size(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void fill(struct directory_index *index, uint64_t count)
{
    char text[64];
    uint64_t worst_ns = 0, begin_ns = clock_monotonic_ns(), last_ns = begin_ns;
    for (uint64_t i = 0; i < count; i++) {
        const struct directory_entry entry = { .id = id_of(i, text),
                                               .region = STR("eu-fr"),
                                               .cell = STR("eu-fr-1"),
                                               .epoch = 1,
                                               .services_version = 1,
                                               .state = CUSTOMER_ACTIVE,
                                               .version = i + 1 };
        result r = directory_index_put(index, &entry);
        must(!failed(r));
        uint64_t now_ns = clock_monotonic_ns();
        worst_ns = now_ns - last_ns > worst_ns ? now_ns - last_ns : worst_ns;
        last_ns = now_ns;
    }
    struct directory_index_stats stats = directory_index_stats(index);
    printf("%zu customers: %.1f bytes each with their ids, %.0f ns a put, the slowest %.1f ms\n",
           stats.entries, (double)stats.bytes / (double)stats.entries,
           (double)(last_ns - begin_ns) / (double)count, (double)worst_ns / 1e6);
}

static void look_up(struct directory_index *index, uint64_t count)
{
    static char ids[BATCH][64];
    static uint64_t spent_ns[BATCHES];
    struct str keys[BATCH];
    uint64_t sum = 0;
    for (int batch = 0; batch < BATCHES; batch++) {
        for (int i = 0; i < BATCH; i++)
            keys[i] = id_of(random_next() % count, ids[i]);
        uint64_t begin_ns = clock_monotonic_ns();
        for (int i = 0; i < BATCH; i++) {
            struct directory_entry got;
            must(directory_index_find(index, keys[i], &got));
            sum += got.epoch; /* each lookup is used, so that none is left out */
        }
        spent_ns[batch] = clock_monotonic_ns() - begin_ns;
    }
    must(sum == (uint64_t)BATCHES * BATCH);
    qsort(spent_ns, BATCHES, sizeof spent_ns[0], by_size);
    printf("%.0f ns a random lookup, median of %d batches; nine in ten within %.0f ns\n",
           (double)spent_ns[BATCHES / 2] / BATCH, BATCHES, (double)spent_ns[BATCHES / 10 * 9] / BATCH);
}

int main(int argc, char **argv)
{
    uint64_t count = argc == 2 ? strtoull(argv[1], NULL, 10) : 0;
    if (count == 0) {
        fputs("usage: bench_directory CUSTOMERS\n", stderr);
        return 2;
    }
    struct directory_index *index = directory_index_new();
    fill(index, count);
    look_up(index, count);
    directory_index_free(index);
    return 0;
}
