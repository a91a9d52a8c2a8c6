/* The HTTP connection by which broadcasts are asked for. */
#ifndef CONTROL_H
#define CONTROL_H

struct control {
    int fd; /* or -1 */
    unsigned long asked, answered;
};

extern struct control control;

/* Remember where to ask, and which epoll is to watch the connection, by the address of `control`. */
void control_begin(int port, int poller);

/* Ask for `count` messages, numbered from `first`, with a text of `size` bytes. Does not wait for the answer. */
void control_broadcast(unsigned long first, int count, int size);

/* Take answers that have come. */
void control_read(void);

#endif
