#define _GNU_SOURCE
#include "control.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "centrifugo.h"
#include "client.h"
#include "latency.h"

static const char answer[] = "HTTP/1.1 ";

/* Servers close connections that have been idle for a few seconds: one that was idle for this long is not used again. */
#define IDLE_SECONDS 1.0
#define SECURE_SECONDS 10

struct control control = {.channel.fd = -1};
static int server_port, poller;
static double used;
static char buffer[65536];
static size_t held;

void control_begin(int port, int watching) {
    server_port = port;
    poller = watching;
}

static void hang_up(void) {
    channel_close(&control.channel);
    held = 0;
}

static void connect_again(void) {
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((unsigned short)server_port)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &control};
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct pollfd come = {.fd = fd, .events = POLLIN};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&server, sizeof server) < 0) fail("no control: %s", strerror(errno));
    channel_open(&control.channel, fd);
    while (!channel_ready(&control.channel))
        if (poll(&come, 1, SECURE_SECONDS * 1000) != 1) fail("no control: TLS took more than %d s", SECURE_SECONDS);
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
}

void control_ask(const char *path) {
    char plain[PATH_BYTES + 128];
    const char *request = plain;
    size_t length;
    if (crowd.dialect == CENTRIFUGO)
        request = centrifugo_request(path, &length);
    else
        length = (size_t)snprintf(plain, sizeof plain,
                                  "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", path);
    if (control.channel.fd >= 0 && control.asked == control.answered && now() - used > IDLE_SECONDS) hang_up();
    if (control.channel.fd < 0) connect_again();
    used = now();
    if (!channel_write(&control.channel, request, length)) fail("control: %s", strerror(errno));
    control.asked++;
}

void control_read(void) {
    ssize_t got = channel_read(&control.channel, buffer + held, sizeof buffer - held - 1);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        if (control.asked != control.answered) fail("the server closed the connection it was asked on for broadcasts");
        hang_up();
        return;
    }
    used = now();
    size_t size = held + (size_t)got, seen = 0;
    char *at;
    /* Bodies are empty, "ok", or say what Centrifugo has published: only a status line looks like one. */
    if (memmem(buffer, size, "\"error\"", 7) != NULL) fail("the server refused: %.*s", (int)size, buffer);
    while ((at = memmem(buffer + seen, size - seen, answer, sizeof answer - 1)) != NULL) {
        if ((size_t)(buffer + size - at) < sizeof answer) break; /* its status has not come yet */
        if (at[sizeof answer - 1] != '2') fail("the server answered %.12s", at);
        control.answered++;
        seen = (size_t)(at - buffer) + sizeof answer;
    }
    held = size - seen < sizeof answer ? size - seen : sizeof answer;
    memmove(buffer, buffer + size - held, held);
}
