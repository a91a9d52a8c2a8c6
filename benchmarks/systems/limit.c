/* What the kernel allows: a server in C that does nothing but write.
 *
 *     limit PORT plain|joined
 *
 * plain: one send() for each message and client. joined: the messages asked for at once go to each
 * client by one send(). JSON dialect; all clients are accepted. The load generator does not look at
 * Sec-WebSocket-Accept, so it is not computed; and a client that does not read is waited for.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER (1 << 16)
#define MOST 65536

struct peer {
    int fd;
    int place;            /* in the room, or -1 */
    bool upgraded;        /* speaks WebSocket, not HTTP */
    unsigned long counted;
    int *rooms;           /* the small ones that it has entered */
    int rooms_count;
    char *rest;           /* the start of a message whose end has not come */
    size_t held;
};

struct room {
    struct peer **members;
    int count;
};

static struct peer *room[MOST];
static int members;
static struct room *rooms; /* the small ones, by number */
static int rooms_count;
static bool joined;
static char buffer[BUFFER], *frames;

static void write_all(int fd, const char *data, size_t size) {
    while (size) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            data += sent;
            size -= (size_t)sent;
        } else if (errno == EAGAIN) {
            struct pollfd writable = {.fd = fd, .events = POLLOUT};
            poll(&writable, 1, -1);
        } else {
            return;
        }
    }
}

static size_t put_head(char *out, size_t size) {
    out[0] = (char)0x81;
    if (size < 126) return out[1] = (char)size, 2;
    if (size < 65536) return out[1] = 126, out[2] = (char)(size >> 8), out[3] = (char)size, 4;
    out[1] = 127;
    for (int i = 0; i < 8; i++) out[2 + i] = (char)((uint64_t)size >> (56 - 8 * i));
    return 10;
}

static void send_text(struct peer *peer, const char *text) {
    char frame[256];
    size_t size = strlen(text), head = put_head(frame, size);
    memcpy(frame + head, text, size);
    write_all(peer->fd, frame, head + size);
}

/* Write the frame of a message to `out`, which has room for its text and 128 bytes more. Returns its size. */
static size_t put_message(char *out, unsigned long number, int bytes) {
    char head[10], *text = out + sizeof head;
    int size = sprintf(text, "{\"type\":\"MESSAGE_CREATE\",\"data\":{\"number\":%lu,\"text\":\"", number);
    memset(text + size, 'x', (size_t)bytes);
    size += bytes;
    memcpy(text + size, "\"}}", 3);
    size += 3;
    size_t before = put_head(head, (size_t)size);
    memmove(out + before, text, (size_t)size);
    memcpy(out, head, before);
    return before + (size_t)size;
}

static void broadcast(unsigned long first, int count, int bytes) {
    size_t used = 0;
    frames = realloc(frames, (size_t)count * ((size_t)bytes + 128));
    for (int i = 0; i < count; i++) {
        used += put_message(frames + used, first + (unsigned long)i, bytes);
        if (!joined) {
            for (int m = 0; m < members; m++) write_all(room[m]->fd, frames, used);
            used = 0;
        }
    }
    for (int m = 0; joined && m < members; m++) write_all(room[m]->fd, frames, used);
}

/* A message to each of the rooms in a list like /4/17. Joining is not tried: they seldom have a member in common. */
static void to_rooms(unsigned long number, int bytes, char *list) {
    frames = realloc(frames, (size_t)bytes + 128);
    while (*list == '/') {
        long at = strtol(list + 1, &list, 10);
        size_t size = put_message(frames, number++, bytes);
        for (int m = 0; at < rooms_count && m < rooms[at].count; m++) write_all(rooms[at].members[m]->fd, frames, size);
    }
}

/* Enter the rooms in a list like [4,17]. Returns how many they are. */
static int enter(struct peer *peer, char *list) {
    int count = 0;
    for (; *list == '[' || *list == ','; count++) {
        int number = (int)strtol(list + 1, &list, 10);
        if (number >= rooms_count) {
            rooms = realloc(rooms, (size_t)(number + 1) * sizeof *rooms);
            memset(rooms + rooms_count, 0, (size_t)(number + 1 - rooms_count) * sizeof *rooms);
            rooms_count = number + 1;
        }
        struct room *entered = &rooms[number];
        entered->members = realloc(entered->members, (size_t)(entered->count + 1) * sizeof *entered->members);
        entered->members[entered->count++] = peer;
        peer->rooms = realloc(peer->rooms, (size_t)(peer->rooms_count + 1) * sizeof *peer->rooms);
        peer->rooms[peer->rooms_count++] = number;
    }
    return count;
}

/* Serve the HTTP request at the start of `data`. Returns its size, or 0 while it is incomplete. */
static size_t take_request(struct peer *peer, char *data, size_t size) {
    static const char upgrade[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Accept: -\r\n\r\n";
    static const char done[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    unsigned long first;
    int count, bytes, length = 0;
    char *end = memmem(data, size, "\r\n\r\n", 4);
    if (end == NULL) return 0;
    *end = 0;
    if (sscanf(data, "POST /broadcast/%lu/%d/%d", &first, &count, &bytes) == 3) {
        broadcast(first, count, bytes);
        write_all(peer->fd, done, sizeof done - 1);
    } else if (sscanf(data, "POST /rooms/%lu/%d%n", &first, &bytes, &length) == 2) {
        to_rooms(first, bytes, data + length);
        write_all(peer->fd, done, sizeof done - 1);
    } else {
        peer->upgraded = true;
        write_all(peer->fd, upgrade, sizeof upgrade - 1);
    }
    return (size_t)(end + 4 - data);
}

/* Serve the masked frame of less than 64 KB at the start of `data`. Returns its size, or 0. */
static size_t take_frame(struct peer *peer, char *data, size_t available) {
    char text[64];
    size_t head = 6;
    if (available < 2) return 0;
    size_t size = (unsigned char)data[1] & 0x7f;
    if (size == 126) {
        if (available < 4) return 0;
        size = (size_t)(unsigned char)data[2] << 8 | (unsigned char)data[3];
        head = 8;
    }
    if (available < head + size) return 0;
    char *mask = data + head - 4, *payload = data + head, *list;
    for (size_t i = 0; i < size; i++) payload[i] ^= mask[i & 3];
    if (memmem(payload, size, "\"type\":\"auth\"", 13)) {
        room[peer->place = members++] = peer;
        send_text(peer, "{\"type\":\"auth_success\"}");
    } else if ((list = memmem(payload, size, "\"rooms\":[", 9)) != NULL) {
        sprintf(text, "{\"type\":\"entered\",\"data\":{\"number\":%d}}", enter(peer, list + 8));
        send_text(peer, text);
    } else {
        peer->counted++;
        if (memmem(payload, size, "\"total\"", 7)) {
            sprintf(text, "{\"type\":\"total\",\"data\":{\"number\":%lu}}", peer->counted);
            send_text(peer, text);
        }
    }
    return head + size;
}

static void leave(struct peer *peer) {
    if (peer->place >= 0) {
        room[peer->place] = room[--members];
        room[peer->place]->place = peer->place;
    }
    for (int i = 0; i < peer->rooms_count; i++) {
        struct room *left = &rooms[peer->rooms[i]];
        int place = 0;
        while (left->members[place] != peer) place++;
        left->members[place] = left->members[--left->count];
    }
    close(peer->fd);
    free(peer->rooms);
    free(peer->rest);
    free(peer);
}

static void read_peer(struct peer *peer) {
    if (peer->held) memcpy(buffer, peer->rest, peer->held);
    ssize_t got = recv(peer->fd, buffer + peer->held, BUFFER - peer->held, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        leave(peer);
        return;
    }
    size_t size = peer->held + (size_t)got, used = 0, step;
    while ((step = peer->upgraded ? take_frame(peer, buffer + used, size - used)
                                  : take_request(peer, buffer + used, size - used)) != 0)
        used += step;
    peer->held = size - used;
    if (peer->held) {
        peer->rest = realloc(peer->rest, peer->held);
        memcpy(peer->rest, buffer + used, peer->held);
    }
}

int main(int argc, char **argv) {
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0), poller = epoll_create1(0);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (argc != 3) return 2;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    joined = strcmp(argv[2], "joined") == 0;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 2048) < 0) return 1;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[512];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(poller, events, 512, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr != NULL) {
                read_peer(events[i].data.ptr);
                continue;
            }
            struct peer *peer = calloc(1, sizeof *peer);
            peer->fd = accept(listener, NULL, NULL);
            peer->place = -1;
            setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            event.data.ptr = peer;
            epoll_ctl(poller, EPOLL_CTL_ADD, peer->fd, &event);
        }
    }
}
