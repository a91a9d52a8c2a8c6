/* How long deliveries took: a histogram, so that recording costs the same for each. */
#ifndef LATENCY_H
#define LATENCY_H

/* Seconds on the monotonic clock. */
double now(void);

void latency_clear(void);
void latency_record(double seconds);

/* The time within which `share` (0 to 1) of the deliveries were made, in milliseconds; 0 if there were none. */
double latency_within(double share);

#endif
