#include "frames.h"

#include <stdint.h>
#include <string.h>

size_t frame_read(const char *data, size_t available, struct frame *frame) {
    const unsigned char *bytes = (const unsigned char *)data;
    if (available < 2) return 0;
    uint64_t size = bytes[1] & 0x7f;
    size_t head = 2;
    if (size == 126) {
        if (available < 4) return 0;
        size = (uint64_t)bytes[2] << 8 | bytes[3];
        head = 4;
    } else if (size == 127) {
        if (available < 10) return 0;
        size = 0;
        for (int i = 2; i < 10; i++) size = size << 8 | bytes[i];
        head = 10;
    }
    if (size > available - head || head > available) return 0;
    frame->opcode = bytes[0] & 0x0f;
    frame->final = bytes[0] & 0x80;
    frame->payload = data + head;
    frame->size = size;
    return head + size;
}

size_t frame_write(char *out, int opcode, const char *payload, size_t size) {
    /* One mask for all frames: unmasking costs the same for every mask. */
    static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    size_t head = 2;
    out[0] = (char)(0x80 | opcode);
    if (size < 126) {
        out[1] = (char)(0x80 | size);
    } else if (size < 65536) {
        out[1] = (char)(0x80 | 126);
        out[2] = (char)(size >> 8);
        out[3] = (char)size;
        head = 4;
    } else {
        out[1] = (char)(0x80 | 127);
        for (int i = 0; i < 8; i++) out[2 + i] = (char)((uint64_t)size >> (56 - 8 * i));
        head = 10;
    }
    memcpy(out + head, mask, 4);
    head += 4;
    for (size_t i = 0; i < size; i++) out[head + i] = (char)(payload[i] ^ mask[i & 3]);
    return head + size;
}
