/* WebSocket frames as a client reads and writes them (RFC 6455, section 5). */
#ifndef FRAMES_H
#define FRAMES_H

#include <stdbool.h>
#include <stddef.h>

enum opcode { CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

struct frame {
    int opcode;
    bool final;
    const char *payload;
    size_t size;
};

/* The most that a frame adds to its payload, masked. */
#define FRAME_OVERHEAD 14

/* Read the frame at the start of `data`. Returns the bytes it takes, or 0 while it is incomplete. */
size_t frame_read(const char *data, size_t available, struct frame *frame);

/* Write a masked frame to `out`, which has room for it. Returns its size. */
size_t frame_write(char *out, int opcode, const char *payload, size_t size);

#endif
