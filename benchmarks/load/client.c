#define _GNU_SOURCE
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "centrifugo.h"
#include "frames.h"
#include "latency.h"
#include "pool.h"
#include "rooms.h"

#define BUFFER (1 << 21)
#define EVENT_BYTES 160
#define SAID "what people say in a chat, more or less"
#define CLIENTS_AN_ADDRESS 10000

struct crowd crowd;
static char buffer[BUFFER];

static void write_all(struct client *client, const char *data, size_t size) {
    /* The server reads, and little is sent at a time: a socket that takes no more means it has stopped. */
    if (!channel_write(&client->channel, data, size)) fail("a client could not send: %s", strerror(errno));
}

static void send_text(struct client *client, const char *text) {
    char frame[2048 + FRAME_OVERHEAD];
    size_t size = strlen(text);
    if (size > 2048) fail("a message of %zu bytes to send", size);
    write_all(client, frame, frame_write(frame, TEXT, text, size));
}

static const char *path(void) {
    if (crowd.dialect == JSON) return "/room";
    if (crowd.dialect == CENTRIFUGO) return "/connection/websocket";
    return crowd.recovery ? "/socket.io/?EIO=4&transport=websocket&recovery=true" : "/socket.io/?EIO=4&transport=websocket";
}

/* An address has fewer ports than there may be clients: so many connect from each address of the loopback. */
static void bind_source(const struct client *client, int fd) {
    int on = 1;
    struct sockaddr_in source = {.sin_family = AF_INET};
    unsigned int number = (unsigned int)(client - clients) / CLIENTS_AN_ADDRESS;
    if (number == 0) return;
    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + number);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&source, sizeof source) < 0) fail("no source address: %s", strerror(errno));
}

/* Request the upgrade if data can be sent. */
static void upgrade(struct client *client) {
    char request[512];
    if (!channel_ready(&client->channel)) return;
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) benchmark\r\nAccept-Language: en\r\n"
                        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n",
                        path(), crowd.port);
    write_all(client, request, (size_t)size);
    client->phase = UPGRADING;
}

static void dial(struct client *client) {
    int on = 1, few = 4096, fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((unsigned short)crowd.port)};
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0) fail("no socket: %s", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (client->stalled) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &few, sizeof few);
    bind_source(client, fd);
    if (connect(fd, (struct sockaddr *)&server, sizeof server) < 0) fail("no connection: %s", strerror(errno));
    channel_open(&client->channel, fd);
    client->phase = SECURING;
    upgrade(client);
}

void client_open(struct client *client, const char *token, bool stalled) {
    *client = (struct client){.token = token, .stalled = stalled};
    dial(client);
}

void client_return(struct client *client) {
    client->recovered = client->incomplete = false;
    dial(client);
}

void client_close(struct client *client) {
    channel_close(&client->channel);
    if (client->phase == READY && !client->stalled) crowd.ready--;
    client->phase = CUT;
    free(client->rest);
    free(client->seats);
    client->rest = NULL;
    client->seats = NULL;
    client->held = 0;
    client->seated = 0;
}

static bool starts(const struct frame *frame, const char *with) {
    size_t size = strlen(with);
    return frame->size >= size && memcmp(frame->payload, with, size) == 0;
}

static bool contains(const struct frame *frame, const char *what) {
    /* The searched text is near the beginning. */
    size_t size = frame->size < 96 ? frame->size : 96;
    return memmem(frame->payload, size, what, strlen(what)) != NULL;
}

static void unexpected(const struct client *client, const struct frame *frame) {
    fail("a client that awaited message %lu got %.*s", client->next, frame->size < 120 ? (int)frame->size : 120,
         frame->payload);
}

static unsigned long number_after(const char *name, const struct client *client, const struct frame *frame) {
    const char *end = frame->payload + frame->size;
    size_t head = frame->size < 128 ? frame->size : 128;
    const char *at = memmem(frame->payload, head, name, strlen(name));
    if (at == NULL) unexpected(client, frame);
    unsigned long number = 0;
    for (at += strlen(name); at < end && *at == ' '; at++) continue;
    for (; at < end && *at >= '0' && *at <= '9'; at++) number = number * 10 + (unsigned long)(*at - '0');
    return number;
}

static unsigned long number_in(const struct client *client, const struct frame *frame) {
    return number_after("\"number\":", client, frame);
}

static void enter(struct client *client) {
    char text[1024];
    if (client->lost && client->pid[0] && client->offset[0])
        snprintf(text, sizeof text, "40{\"pid\":\"%s\",\"offset\":\"%s\",\"token\":\"%s\"}", client->pid, client->offset,
                 client->token);
    else if (crowd.dialect == CENTRIFUGO)
        centrifugo_enter(text, sizeof text);
    else
        snprintf(text, sizeof text,
                 crowd.dialect == SOCKETIO ? "40{\"token\":\"%s\"}" : "{\"type\":\"auth\",\"data\":{\"token\":\"%s\"}}",
                 client->token);
    send_text(client, text);
    client->phase = ENTERING;
}

/* Copy a text up to the next quotation mark. */
static void copy_text(char *to, size_t room, const char *from, const char *end) {
    const char *quote = memchr(from, '"', (size_t)(end - from));
    if (quote == NULL || (size_t)(quote - from) >= room) fail("a text that is not ended, or too long: %.100s", from);
    memcpy(to, from, (size_t)(quote - from));
    to[quote - from] = 0;
}

/* The last argument of an event is its position if it is a text, as for the JavaScript client. */
static void note_position(struct client *client, const struct frame *frame) {
    const char *end = frame->payload + frame->size;
    if (frame->size < 4 || end[-1] != ']' || end[-2] != '"') return;
    const char *start = memrchr(frame->payload, '"', frame->size - 2);
    if (start != NULL) copy_text(client->offset, sizeof client->offset, start + 1, end);
}

/* CONNECT is answered. Is it the session that the client has presented? */
static void note_session(struct client *client, const struct frame *frame) {
    static const char name[] = "\"pid\":\"";
    char pid[sizeof client->pid] = "";
    const char *at = memmem(frame->payload, frame->size, name, sizeof name - 1);
    if (at != NULL) copy_text(pid, sizeof pid, at + sizeof name - 1, frame->payload + frame->size);
    client->recovered = client->lost && pid[0] && strcmp(pid, client->pid) == 0;
    memcpy(client->pid, pid, sizeof pid);
    if (client->recovered && client->next < crowd.missed_to)
        fail("a client recovered with the messages before %lu of %lu", client->next, crowd.missed_to);
}

/* Ask one thing without more to say. */
static void ask(struct client *client, const char *name) {
    char text[EVENT_BYTES];
    if (crowd.dialect == SOCKETIO)
        snprintf(text, sizeof text, "42%lu[\"%s\"]", client->events, name);
    else
        snprintf(text, sizeof text, "{\"type\":\"%s\"}", name);
    send_text(client, text);
}

void client_enter(struct client *client, int count) {
    char text[1024];
    client->entering = count;
    if (crowd.dialect == CENTRIFUGO) {
        centrifugo_enter_rooms(text, sizeof text, client, count);
        send_text(client, text);
        return;
    }
    int length = snprintf(text, sizeof text,
                          crowd.dialect == SOCKETIO ? "420[\"enter\",{\"rooms\":" : "{\"type\":\"enter\",\"data\":{\"rooms\":");
    for (int i = client->seated - count; i < client->seated; i++)
        length += snprintf(text + length, sizeof text - (size_t)length, "%c%d", i == client->seated - count ? '[' : ',',
                           client->seats[i].room);
    snprintf(text + length, sizeof text - (size_t)length, crowd.dialect == SOCKETIO ? "]}]" : "]}}");
    send_text(client, text);
}

void client_leave(struct client *client) {
    client->place = LEAVING;
    ask(client, "leave");
}

/* The server has carried out what a restless client asked for; `next` is the message that comes, or would come, next. */
static void moved(struct client *client, unsigned long next) {
    crowd.moves++;
    if (client->place == LEAVING) {
        if (next != client->next) fail("a client left before message %lu, but had all before %lu", next, client->next);
        client->place = JOINING;
        client->any = true;
        ask(client, "join");
        return;
    }
    /* Messages may have come between entering and this answer. */
    if (client->any && next < client->next) fail("a client entered at %lu, after %lu", next, client->next);
    if (client->any) client->next = next;
    client->any = false;
    client->place = INSIDE;
    if (!crowd.winding_up) client_leave(client);
}

void client_pass_left_out(struct client *client) {
    if (crowd.left_out && client->next % crowd.left_out == (unsigned long)(client - clients)) client->next++;
}

static void let_in(struct client *client, const struct frame *frame) {
    client->phase = READY;
    if (crowd.recovery) note_session(client, frame);
    if (!client->lost) client->next = crowd.published;
    else crowd.returned++, client->any = !client->recovered; /* a new client gets what is broadcast from now on */
    if (!client->stalled) crowd.ready++;
}

static void broadcast(struct client *client, const struct frame *frame, double time) {
    unsigned long number = number_in(client, frame);
    if (number >= FIRST_TO_ROOM) {
        rooms_take(client, number);
        latency_record(time - crowd.asked[number % ASKED_RING]);
        return;
    }
    client_pass_left_out(client);
    if (client->any && (client->place == JOINING || client->lost) && number >= client->next)
        client->next = number, client->any = false;
    else if (client->lost && number > client->next)
        client->next = number, client->incomplete = true;
    else if (number != client->next)
        fail("a client got message %lu where %lu was next: %s", number, client->next,
             number < client->next ? "doubled or out of order" : "lost or out of order");
    client->next++;
    if (crowd.recovery) note_position(client, frame);
    if (!client->restless) crowd.deliveries++;
    if (!client->lost) latency_record(time - crowd.asked[number % ASKED_RING]);
}

/* Centrifugo's replies and pushes. A frame may hold several, one a line. */
static void lines(struct client *client, const struct frame *frame, double time) {
    const char *at = frame->payload, *end = at + frame->size;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        struct frame line = {.payload = at, .size = (size_t)((stop == NULL ? end : stop) - at)};
        if (starts(&line, "{\"push\":{\"channel\":\"room")) {
            broadcast(client, &line, time);
        } else if (contains(&line, "\"publish\":{}")) {
            /* Each is answered. Of a burst, the last answer counts. */
            if (number_after("\"id\":", client, &line) != CENTRIFUGO_FIRST_EVENT + client->counted)
                fail("event %lu was not answered next: %.*s", client->counted, (int)line.size, line.payload);
            crowd.confirmed += ++client->counted == client->events;
        } else if (contains(&line, "\"subscribe\":{") && client->phase == ENTERING) {
            let_in(client, &line);
        } else if (contains(&line, "\"subscribe\":{") && client->entering) {
            crowd.entered += --client->entering == 0;
        } else if (line.size == 2 && starts(&line, "{}")) {
            send_text(client, "{}");
        } else if (!starts(&line, "{\"id\":1,\"connect\":{")) {
            unexpected(client, &line);
        }
        at += line.size + 1;
    }
}

static void message(struct client *client, const struct frame *frame, double time) {
    if (crowd.dialect == SOCKETIO && frame->size == 1 && frame->payload[0] == '2') {
        send_text(client, "3");
    } else if (client->phase == GREETING) {
        if (!starts(frame, "0{")) unexpected(client, frame);
        enter(client);
    } else if (client->phase == ENTERING && !(client->lost && starts(frame, "42"))) {
        if (crowd.dialect == SOCKETIO ? !starts(frame, "40{") : !contains(frame, "auth_success"))
            unexpected(client, frame);
        let_in(client, frame);
    } else if (client->entering && (crowd.dialect == SOCKETIO ? starts(frame, "43") : contains(frame, "\"entered\""))) {
        if (number_in(client, frame) != (unsigned long)client->entering) unexpected(client, frame);
        client->entering = 0;
        crowd.entered++;
    } else if (client->restless && (crowd.dialect == SOCKETIO ? starts(frame, "43") : contains(frame, "\"moved\""))) {
        moved(client, number_in(client, frame));
    } else if (crowd.dialect == SOCKETIO ? starts(frame, "43") : contains(frame, "\"total\"")) {
        client->counted = number_in(client, frame);
        if (client->counted != client->events)
            fail("of %lu events the server counted %lu", client->events, client->counted);
        crowd.confirmed++;
        if (client->talks && !crowd.winding_up) client_send_events(client, 1);
    } else if (contains(frame, "MESSAGE_CREATE")) {
        broadcast(client, frame, time);
    } else {
        unexpected(client, frame);
    }
}

static void take(struct client *client, const struct frame *frame, double time) {
    char answer[125 + FRAME_OVERHEAD];
    if (frame->opcode == PING && frame->size <= 125) {
        write_all(client, answer, frame_write(answer, PONG, frame->payload, frame->size));
    } else if (frame->opcode == CLOSE) {
        client->close_code = frame->size >= 2 ? (unsigned char)frame->payload[0] << 8 | (unsigned char)frame->payload[1] : 1005;
        /* The server awaits an answer before it closes the connection. It may not wait for it. */
        if (client->lost && frame->size <= 125)
            channel_write(&client->channel, answer, frame_write(answer, CLOSE, frame->payload, frame->size));
    } else if (frame->opcode == TEXT && frame->final) {
        (crowd.dialect == CENTRIFUGO ? lines : message)(client, frame, time);
    } else if (frame->opcode != PONG) {
        fail("a frame with opcode %d", frame->opcode);
    }
}

void client_read(struct client *client) {
    if (client->phase == SECURING) {
        upgrade(client);
        return;
    }
    if (client->held) memcpy(buffer, client->rest, client->held);
    ssize_t got = channel_read(&client->channel, buffer + client->held, BUFFER - client->held);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        if (!client->stalled && !client->lost) fail("the server closed a client (code %d)", client->close_code);
        if (client->lost && client->phase != READY) crowd.refused++;
        client_close(client);
        return;
    }
    double time = now();
    size_t size = client->held + (size_t)got, used = 0, step;
    if (client->phase == UPGRADING) {
        char *end = memmem(buffer, size, "\r\n\r\n", 4);
        if (end != NULL) {
            if (memcmp(buffer, "HTTP/1.1 101", 12) != 0) fail("refused: %.12s", buffer);
            used = (size_t)(end + 4 - buffer);
            client->phase = GREETING;
            if (crowd.dialect != SOCKETIO) enter(client);
        }
    }
    struct frame frame;
    while (client->phase != UPGRADING && (step = frame_read(buffer + used, size - used, &frame)) != 0) {
        take(client, &frame, time);
        used += step;
    }
    client->held = size - used;
    if (client->held == BUFFER) fail("a frame larger than %d bytes", BUFFER);
    if (client->held) {
        client->rest = realloc(client->rest, client->held);
        memcpy(client->rest, buffer + used, client->held);
    }
}

void client_send_events(struct client *client, int count) {
    char burst[64 * (EVENT_BYTES + FRAME_OVERHEAD)], text[EVENT_BYTES];
    size_t size = 0;
    if (count > 64) fail("a burst of %d events", count);
    for (int i = 0; i < count; i++) {
        const char *name = i == count - 1 ? "total" : "count";
        unsigned long number = client->events++;
        int length;
        if (crowd.dialect == CENTRIFUGO)
            length = centrifugo_event(text, sizeof text, number, SAID);
        else if (crowd.dialect == JSON)
            length = snprintf(text, sizeof text, "{\"type\":\"%s\",\"data\":{\"number\":%lu,\"text\":\"%s\"}}", name, number,
                              SAID);
        else if (i == count - 1)
            length = snprintf(text, sizeof text, "42%lu[\"%s\",{\"number\":%lu,\"text\":\"%s\"}]", number, name, number,
                              SAID);
        else
            length = snprintf(text, sizeof text, "42[\"%s\",{\"number\":%lu,\"text\":\"%s\"}]", name, number,
                              SAID);
        size += frame_write(burst + size, TEXT, text, (size_t)length);
    }
    write_all(client, burst, size);
}
