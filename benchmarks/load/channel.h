/* A connection to the server. The program is linked with one of two files: plain.c sends bytes as they are, tls.c sends
 * them with TLS. */
#ifndef CHANNEL_H
#define CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct channel {
    int fd;             /* or -1 */
    struct ssl_st *tls; /* only with tls.c */
};

/* Prepare for connections. With TLS, the server must have the certificate of this file. */
void channel_begin(const char *certificate);

/* Begin on a connected socket. */
void channel_open(struct channel *channel, int fd);

/* Whether data can be sent. With TLS it is false until both sides agree on keys: call it again when something came. */
bool channel_ready(struct channel *channel);

/* Read what has come, as recv() with MSG_DONTWAIT: the bytes, 0 at the end, or -1 and errno. */
ssize_t channel_read(struct channel *channel, char *data, size_t room);

/* Send all. False, and errno: it was not possible. */
bool channel_write(struct channel *channel, const char *data, size_t size);

void channel_close(struct channel *channel);

#endif
