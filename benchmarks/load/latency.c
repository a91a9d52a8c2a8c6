#include "latency.h"

#include <stdint.h>
#include <string.h>
#include <time.h>

/* Ten microseconds wide; what took longer than the last one's ten seconds counts there. */
#define BUCKETS (1 << 20)
#define WIDTH 1e-5

static uint32_t buckets[BUCKETS];
static uint64_t recorded;

double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

void latency_clear(void) {
    memset(buckets, 0, sizeof buckets);
    recorded = 0;
}

void latency_record(double seconds) {
    double bucket = seconds / WIDTH;
    buckets[bucket < BUCKETS - 1 ? (uint32_t)bucket : BUCKETS - 1]++;
    recorded++;
}

double latency_within(double share) {
    uint64_t wanted = (uint64_t)((double)recorded * share), seen = 0;
    for (uint32_t i = 0; i < BUCKETS && recorded; i++) {
        seen += buckets[i];
        if (seen > wanted || seen == recorded) return (i + 0.5) * WIDTH * 1e3;
    }
    return 0;
}
