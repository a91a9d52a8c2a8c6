/* The load generator: a crowd of WebSocket clients in one thread.
 *
 *     load PORT json|socketio|recovery|centrifugo TOKENS [CERTIFICATE]
 *
 * TOKENS is a file with a credential per line. CERTIFICATE is the server's, for the program that is built with tls.c:
 * all its connections use TLS. Commands come by standard input, one a line; each is answered by a line of JSON. Whatever
 * a client must not see ends the program with {"error": …}.
 * `recovery` is Socket.IO with clients that recover: they keep their session and the last position. `centrifugo` is its
 * JSON protocol; centrifugo.h says what it is asked for instead of the requests and events below.
 *
 *     connect N                     have N clients in the room
 *     broadcast WIDTH SECONDS SIZE KIND TOGETHER
 *                                   WIDTH broadcasts at a time, again when all clients have all. The server begins
 *                                   TOGETHER of them at once. KIND is `broadcast`; `volatile`; or `except`: message
 *                                   NUMBER to all but the client NUMBER modulo N, which is alone in that room
 *     enter EACH MEMBERS            every client enters EACH more small rooms, of MEMBERS clients each
 *     target KIND WIDTH SECONDS SIZE
 *                                   messages to WIDTH of the rooms entered last, chosen at random, by one request;
 *                                   again when their members have all. KIND is `rooms`; or `users`, `connections`:
 *                                   to the client that is alone in such a room
 *     pace RATE SECONDS SIZE        RATE broadcasts a second, whatever becomes of them
 *     inbound BURST SECONDS N       N clients send BURST events at a time, again when they were counted
 *     mixed SECONDS SIZE            sixteen broadcasts at a time, while of every ten clients one leaves and
 *                                   enters, one talks, and one reads now and then only; then, for all, once more
 *     idle SECONDS                  take what comes, and ask for nothing
 *     stall N                       N more clients that do not read
 *     stalled                       let those read, and leave: how many of them had been cut?
 *     lose N                        N clients close their connections without a word
 *     ended N                       N clients wait until the server has ended their connections
 *     return WIDTH RATE SIZE        lost clients return, so many at a time, while RATE broadcasts a second go on
 *     port PORT                     clients connect there from now on
 *     disconnect                    all clients leave
 *
 * Broadcasts are asked for by these requests, whose answers are 200 with an empty body, when the server has begun to
 * send all. A message has `number` and `text`, an x repeated SIZE times.
 *
 *     POST /broadcast/FIRST/COUNT/SIZE[/TOGETHER]     to all clients: COUNT messages, numbered from FIRST; also
 *                                                     /volatile/…
 *     POST /except/FIRST/COUNT/SIZE/TOGETHER/CLIENTS  message NUMBER to all but the client that is alone in room
 *                                                     NUMBER modulo CLIENTS
 *     POST /rooms/FIRST/SIZE/ROOM/ROOM/…              message FIRST to the members of the first room, FIRST + 1 to
 *                                                     those of the second, …; also /users/… and /connections/…
 *
 * To enter small rooms, a client sends the event `enter` with {"rooms": [NUMBER, …]}, and is answered by {"number": N},
 * how many they are: in Socket.IO by the acknowledgement, in JSON by an event `entered`.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "client.h"
#include "control.h"
#include "latency.h"
#include "pool.h"
#include "rooms.h"

#define AGAIN 1.0  /* seconds after which clients that were refused try again */
#define OPENING 64 /* handshakes under way at once */

void fail(const char *format, ...) {
    char reason[512];
    va_list values;
    va_start(values, format);
    vsnprintf(reason, sizeof reason, format, values);
    va_end(values);
    printf("{\"error\": \"");
    for (const char *at = reason; *at; at++)
        if (*at >= ' ') printf(*at == '"' || *at == '\\' ? "\\%c" : "%c", *at);
    printf("\"}\n");
    exit(1);
}

static void run_connect(int wanted) {
    double begun = now(), until = begun + PATIENCE;
    int before = crowd.ready;
    if (wanted > MOST_CLIENTS) fail("more than %d clients", MOST_CLIENTS);
    while (crowd.ready < wanted) {
        while (size - stalled < wanted && size - stalled - crowd.ready < OPENING) open_client(false);
        turn(1.0);
        if (now() > until) fail("%d of %d clients were accepted within %.0f s", crowd.ready, wanted, PATIENCE);
    }
    printf("{\"connected\": %d, \"seconds\": %.6f}\n", crowd.ready - before, now() - begun);
}

static void ask_for(const char *kind, int count, int bytes, int together) {
    char path[PATH_BYTES];
    double time = now();
    for (int i = 0; i < count; i++) crowd.asked[(crowd.published + (unsigned long)i) % ASKED_RING] = time;
    int length = snprintf(path, sizeof path, "/%s/%lu/%d/%d", kind, crowd.published, count, bytes);
    if (crowd.left_out) snprintf(path + length, sizeof path - (size_t)length, "/%d/%lu", together, crowd.left_out);
    else if (together > 1) snprintf(path + length, sizeof path - (size_t)length, "/%d", together);
    control_ask(path);
    if (crowd.left_out) crowd.deliveries += (unsigned long)count; /* as if the client that is left out had it */
    crowd.published += (unsigned long)count;
}

static void ask(int count, int bytes) {
    ask_for("broadcast", count, bytes, 1);
}

static void settle(void) {
    wait_for(&crowd.deliveries, crowd.published * (unsigned long)crowd.ready, "deliveries");
    wait_for(&control.answered, control.asked, "answers");
}

/* Message numbers continue and clients change: count from here as if the current clients had always been here. */
static unsigned long begin(void) {
    latency_clear();
    crowd.deliveries = crowd.published * (unsigned long)crowd.ready;
    return crowd.published;
}

static void report_times(unsigned long messages, unsigned long deliveries, double begun) {
    printf("{\"messages\": %lu, \"deliveries\": %lu, \"seconds\": %.6f, \"p50\": %.3f, \"p99\": %.3f}\n", messages,
           deliveries, now() - begun, latency_within(0.5), latency_within(0.99));
}

static void report(unsigned long first, double begun) {
    unsigned long messages = crowd.published - first;
    report_times(messages, messages * (unsigned long)(crowd.ready - (crowd.left_out > 0)), begun);
}

static void run_broadcast(int width, double seconds, int bytes, const char *kind, int together) {
    unsigned long first = begin();
    double begun = now();
    if (strcmp(kind, "except") == 0) crowd.left_out = (unsigned long)crowd.ready;
    do {
        ask_for(kind, width, bytes, together);
        settle();
    } while (now() - begun < seconds);
    report(first, begun);
    for (int i = 0; i < size; i++)
        if (clients[i].next < crowd.published) client_pass_left_out(&clients[i]);
    crowd.left_out = 0;
}

static void run_enter(int each, int members) {
    double begun = now();
    if (size != crowd.ready) fail("small rooms are only for clients that stay and read");
    rooms_form(size, each, members);
    crowd.entered = 0;
    for (int i = 0; i < size; i++) {
        client_enter(&clients[i], each);
        if (i >= OPENING) wait_for(&crowd.entered, (unsigned long)(i - OPENING), "clients entered their rooms");
    }
    wait_for(&crowd.entered, (unsigned long)size, "clients entered their rooms");
    printf("{\"connected\": %d, \"seconds\": %.6f}\n", size, now() - begun);
}

static void run_target(const char *kind, int width, double seconds, int bytes) {
    unsigned long first = crowd.to_rooms, wanted = 0;
    double begun = now();
    latency_clear();
    crowd.reached = 0;
    do {
        wanted += rooms_ask(kind, width, bytes);
        wait_for(&crowd.reached, wanted, "deliveries in small rooms");
        wait_for(&control.answered, control.asked, "answers");
    } while (now() - begun < seconds);
    report_times(crowd.to_rooms - first, wanted, begun);
}

static void run_pace(double rate, double seconds, int bytes) {
    unsigned long first = begin();
    double begun = now();
    for (long sent = 0; sent < (long)(rate * seconds); sent++) {
        double due = begun + (double)sent / rate, left;
        while ((left = due - now()) > 0) turn(left);
        turn(0);
        ask(1, bytes);
    }
    settle();
    report(first, begun);
}

static void run_inbound(int burst, double seconds, int count) {
    unsigned long rounds = 0;
    double begun = now();
    if (count > crowd.ready) count = crowd.ready;
    crowd.confirmed = 0;
    do {
        for (int i = 0, sent = 0; sent < count; i++)
            if (clients[i].phase == READY && !clients[i].stalled) client_send_events(&clients[i], burst), sent++;
        rounds++;
        wait_for(&crowd.confirmed, rounds * (unsigned long)count, "bursts of events confirmed");
    } while (now() - begun < seconds);
    printf("{\"events\": %lu, \"seconds\": %.6f}\n", rounds * (unsigned long)(count * burst), now() - begun);
}

static void run_mixed(double seconds, int bytes) {
    unsigned long first = begin(), steady = 0, inside = 0;
    double begun = now();
    crowd.moves = 0;
    crowd.winding_up = false;
    for (int i = 0; i < size; i++) {
        struct client *client = &clients[i];
        if (client->phase != READY || client->stalled) continue;
        client->restless = i % 10 == 1;
        client->talks = i % 10 == 2;
        client->slow = i % 10 == 3;
        if (client->restless) client_leave(client);
        if (client->talks) client_send_events(client, 1);
        steady += !client->restless;
    }
    crowd.deliveries = crowd.published * steady;
    do {
        ask(16, bytes);
        wait_for(&crowd.deliveries, crowd.published * steady, "deliveries");
        wait_for(&control.answered, control.asked, "answers");
    } while (now() - begun < seconds);
    crowd.winding_up = true;
    for (double until = now() + PATIENCE; inside < (unsigned long)size; turn(0.1)) {
        inside = 0;
        for (int i = 0; i < size; i++)
            inside += clients[i].place == INSIDE && clients[i].events == clients[i].counted;
        if (now() > until) fail("clients that moved or talked were not answered");
    }
    unsigned long moves = crowd.moves;
    for (int i = 0; i < size; i++) clients[i].restless = clients[i].talks = clients[i].slow = false;
    begin();
    ask(16, bytes);
    settle();
    printf("{\"messages\": %lu, \"moves\": %lu}\n", crowd.published - first, moves);
}

static void run_idle(double seconds) {
    double until = now() + seconds, left;
    while ((left = until - now()) > 0) turn(left);
    printf("{}\n");
}

static void run_stall(int count) {
    double until = now() + PATIENCE;
    for (int i = 0; i < count; i++) {
        struct client *client = &clients[size];
        open_client(true);
        stalled++;
        while (client->phase != READY) {
            turn(1.0);
            if (client->phase == CUT || now() > until) fail("a client that is to stall was not accepted");
        }
        epoll_ctl(poller, EPOLL_CTL_DEL, client->channel.fd, NULL);
    }
    printf("{\"stalled\": %d}\n", stalled);
}

static void run_stalled(void) {
    int woken = 0, cut = 0, code = 0;
    double until = now() + PATIENCE;
    for (int i = 0; i < size; i++) {
        struct client *client = &clients[i];
        if (!client->stalled || client->phase == CUT) continue;
        watch(client->channel.fd, client);
        while (client->phase != CUT && client->next < crowd.published) {
            turn(1.0);
            if (now() > until) break;
        }
        woken++;
        if (client->phase == CUT) cut++, code = client->close_code;
        else client_close(client);
    }
    printf("{\"stalled\": %d, \"cut\": %d, \"code\": %d}\n", woken, cut, code);
}

/* The clients that entered last lose their connections. Those that entered first stay. */
static void lose(int count) {
    if (stalled || count > crowd.ready) fail("%d clients are to be lost, and %d are here", count, crowd.ready);
    for (int i = size - count; i < size; i++) clients[i].lost = true;
}

static void run_lose(int count) {
    lose(count);
    for (int i = size - count; i < size; i++) client_close(&clients[i]);
    printf("{}\n");
}

static void run_ended(int count) {
    int left = crowd.ready - count;
    double until = now() + PATIENCE;
    lose(count);
    while (crowd.ready > left) {
        turn(1.0);
        if (now() > until) fail("the server has not ended %d of %d connections", crowd.ready - left, count);
    }
    printf("{}\n");
}

/* How many clients have not received everything that was broadcast. */
static int behind(bool lost_too) {
    int found = 0;
    for (int i = 0; i < size; i++)
        found += clients[i].lost ? lost_too && (clients[i].any || clients[i].next < crowd.published)
                                 : clients[i].next < crowd.published;
    return found;
}

static void catch_up(bool lost_too) {
    double until = now() + PATIENCE;
    int left;
    while ((left = behind(lost_too)) > 0 || control.answered < control.asked) {
        turn(0.01);
        if (now() > until) fail("%d clients did not receive everything", left);
    }
}

static void reopen(struct client *client) {
    client_return(client);
    watch(client->channel.fd, client);
}

static void run_return(int width, double rate, int bytes) {
    unsigned long wanted = 0, opened = 0, recovered = 0, incomplete = 0, first = begin();
    double begun = now(), until = begun + PATIENCE, again = begun, served, longest;
    for (int i = 0; i < size; i++) wanted += clients[i].lost;
    crowd.returned = crowd.refused = 0;
    crowd.missed_to = crowd.published;
    for (int next = 0; crowd.returned < wanted;) {
        if (now() >= again) {
            for (int i = 0; i < next; i++)
                if (clients[i].lost && clients[i].phase == CUT) reopen(&clients[i]), opened++;
            again = now() + AGAIN;
        }
        for (; next < size && opened - crowd.returned - crowd.refused < (unsigned long)width; next++)
            if (clients[next].lost) reopen(&clients[next]), opened++;
        if (rate > 0 && now() >= begun + (double)(crowd.published - first) / rate) ask(1, bytes);
        turn(rate > 0 ? 0.001 : 0.1);
        if (now() > until) fail("%lu of %lu clients were back within %.0f s", crowd.returned, wanted, PATIENCE);
    }
    served = now() - begun;
    catch_up(false);
    longest = latency_within(1);
    /* One more, for all: those that did not recover are in the room too. */
    ask(1, bytes);
    catch_up(true);
    for (int i = 0; i < size; i++) {
        recovered += clients[i].lost && clients[i].recovered;
        incomplete += clients[i].lost && clients[i].incomplete;
        clients[i].lost = false;
    }
    printf("{\"returned\": %lu, \"recovered\": %lu, \"incomplete\": %lu, ", wanted, recovered, incomplete);
    printf("\"refused\": %lu, \"seconds\": %.6f, \"longest\": %.3f, \"messages\": %lu}\n", crowd.refused, served, longest,
           crowd.published - first - 1);
}

static void run_disconnect(void) {
    for (int i = 0; i < size; i++)
        if (clients[i].phase != CUT) client_close(&clients[i]);
    size = stalled = 0;
    rooms_forget();
    printf("{}\n");
}

int main(int argc, char **argv) {
    char line[256], kind[16];
    int a, c, together;
    double b, rate;
    struct rlimit files;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc != 4 && argc != 5) fail("usage: load PORT json|socketio|recovery|centrifugo TOKENS [CERTIFICATE]");
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    crowd.port = atoi(argv[1]);
    crowd.recovery = strcmp(argv[2], "recovery") == 0;
    crowd.dialect = crowd.recovery || strcmp(argv[2], "socketio") == 0 ? SOCKETIO
                    : strcmp(argv[2], "centrifugo") == 0                ? CENTRIFUGO
                                                                        : JSON;
    crowd.to_rooms = FIRST_TO_ROOM;
    crowd.asked = calloc(ASKED_RING, sizeof *crowd.asked);
    channel_begin(argv[4]); /* NULL without a certificate */
    pool_begin(argv[3]);
    control_begin(crowd.port, poller);
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (sscanf(line, "connect %d", &a) == 1) run_connect(a);
        else if (sscanf(line, "broadcast %d %lf %d %15s %d", &a, &b, &c, kind, &together) == 5)
            run_broadcast(a, b, c, kind, together);
        else if (sscanf(line, "enter %d %d", &a, &c) == 2) run_enter(a, c);
        else if (sscanf(line, "target %15s %d %lf %d", kind, &a, &b, &c) == 4) run_target(kind, a, b, c);
        else if (sscanf(line, "pace %lf %lf %d", &rate, &b, &c) == 3) run_pace(rate, b, c);
        else if (sscanf(line, "inbound %d %lf %d", &a, &b, &c) == 3) run_inbound(a, b, c);
        else if (sscanf(line, "mixed %lf %d", &b, &c) == 2) run_mixed(b, c);
        else if (sscanf(line, "idle %lf", &b) == 1) run_idle(b);
        else if (sscanf(line, "stall %d", &a) == 1) run_stall(a);
        else if (strncmp(line, "stalled", 7) == 0) run_stalled();
        else if (sscanf(line, "lose %d", &a) == 1) run_lose(a);
        else if (sscanf(line, "ended %d", &a) == 1) run_ended(a);
        else if (sscanf(line, "return %d %lf %d", &a, &rate, &c) == 3) run_return(a, rate, c);
        else if (sscanf(line, "port %d", &crowd.port) == 1) printf("{}\n");
        else if (strncmp(line, "disconnect", 10) == 0) run_disconnect();
        else fail("unknown command: %s", line);
    }
    return 0;
}
