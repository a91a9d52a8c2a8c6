/* All clients of this run, and the loop that takes what comes to them. */
#ifndef POOL_H
#define POOL_H

#include "client.h"

#define MOST_CLIENTS 65536
#define PATIENCE 60.0 /* seconds after which a run is void */

extern struct client clients[MOST_CLIENTS];
extern int size;    /* clients that were opened */
extern int stalled; /* of which do not read */
extern int poller;

/* Read the credentials, one a line. */
void pool_begin(const char *path);

/* Have `turn` call for what comes on this descriptor: `what` is a client, or `control`. */
void watch(int fd, void *what);

/* Take what comes within `seconds`, at most until something came. */
void turn(double seconds);

/* Take what comes until a figure is `wanted`. Ends the program if that lasts too long. */
void wait_for(const unsigned long *figure, unsigned long wanted, const char *what);

/* Begin to connect one more client. */
void open_client(bool stalls);

#endif
