/* The HTTP connection by which broadcasts are asked for. */
#ifndef CONTROL_H
#define CONTROL_H

#include "channel.h"

/* The most that a path may have. */
#define PATH_BYTES 512

struct control {
    struct channel channel;
    unsigned long asked, answered;
};

extern struct control control;

/* Remember where to ask, and which epoll is to watch the connection, by the address of `control`. */
void control_begin(int port, int poller);

/* Ask for something by a path. Does not wait for the answer. */
void control_ask(const char *path);

/* Take answers that have come. */
void control_read(void);

#endif
