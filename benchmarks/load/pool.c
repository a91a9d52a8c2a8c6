#define _GNU_SOURCE
#include "pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "control.h"
#include "latency.h"

#define SLOWNESS 50 /* what comes to slow clients is looked at one time in so many */

struct client clients[MOST_CLIENTS];
int size, stalled, poller;
static char *tokens[MOST_CLIENTS];

void watch(int fd, void *what) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll: %s", strerror(errno));
}

/* Take what comes within `seconds`, at most until something came. */
void turn(double seconds) {
    static struct epoll_event events[512];
    static unsigned long turns;
    struct timespec time = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    int count = epoll_pwait2(poller, events, 512, &time, NULL);
    for (int i = 0; i < count; i++) {
        struct client *client = events[i].data.ptr;
        if (events[i].data.ptr == &control)
            control_read();
        else if (!client->slow || ++turns % SLOWNESS == 0)
            client_read(client);
    }
}

void wait_for(const unsigned long *figure, unsigned long wanted, const char *what) {
    double until = now() + PATIENCE;
    while (*figure < wanted) {
        turn(1.0);
        if (now() > until) fail("%lu of %lu %s within %.0f s", *figure, wanted, what, PATIENCE);
    }
}

void open_client(bool stalls) {
    if (size == MOST_CLIENTS) fail("more than %d clients", MOST_CLIENTS);
    struct client *client = &clients[size];
    client_open(client, tokens[size], stalls);
    size++;
    watch(client->channel.fd, client);
}

void pool_begin(const char *path) {
    FILE *file = fopen(path, "r");
    char line[1024];
    int count = 0;
    if (file == NULL) fail("%s: %s", path, strerror(errno));
    while (count < MOST_CLIENTS && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\r\n")] = 0;
        tokens[count++] = strdup(line);
    }
    if (count == 0) fail("%s is empty", path);
    for (int i = count; i < MOST_CLIENTS; i++) tokens[i] = tokens[i % count];
    fclose(file);
    poller = epoll_create1(0);
}
