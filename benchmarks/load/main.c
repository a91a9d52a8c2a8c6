/* The load generator: a crowd of WebSocket clients in one thread.
 *
 *     load PORT json|socketio|recovery TOKENS
 *
 * TOKENS is a file with a credential per line. Commands come by standard input, one a line; each is
 * answered by a line of JSON. Whatever a client must not see ends the program with {"error": …}.
 * `recovery` is Socket.IO with clients that recover: they keep their session and the last position.
 *
 *     connect N                     have N clients in the room
 *     broadcast WIDTH SECONDS SIZE  WIDTH broadcasts at a time, again when all clients have all
 *     pace RATE SECONDS SIZE        RATE broadcasts a second, whatever becomes of them
 *     inbound BURST SECONDS N       N clients send BURST events at a time, again when they were counted
 *     mixed SECONDS SIZE            sixteen broadcasts at a time, while of every ten clients one leaves and
 *                                   enters, one talks, and one reads now and then only; then, for all, once more
 *     stall N                       N more clients that do not read
 *     stalled                       let those read, and leave: how many of them had been cut?
 *     lose N                        N clients close their connections without a word
 *     ended N                       N clients wait until the server has ended their connections
 *     return WIDTH RATE SIZE        lost clients return, so many at a time, while RATE broadcasts a second go on
 *     port PORT                     clients connect there from now on
 *     disconnect                    all clients leave
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

#define MOST_CLIENTS 20000
#define PATIENCE 60.0
#define SLOWNESS 50 /* what comes to slow clients is looked at one time in so many */
#define AGAIN 1.0  /* seconds after which clients that were refused try again */
#define OPENING 64 /* handshakes under way at once */

static struct client clients[MOST_CLIENTS];
static int size, stalled;
static char *tokens[MOST_CLIENTS];
static int poller;

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

static void watch(int fd, void *what) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll: %s", strerror(errno));
}

/* Take what comes within `seconds`, at most until something came. */
static void turn(double seconds) {
    static struct epoll_event events[512];
    static unsigned long turns;
    struct timespec time = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    int count = epoll_pwait2(poller, events, 512, &time, NULL);
    for (int i = 0; i < count; i++) {
        struct client *client = events[i].data.ptr;
        if (events[i].data.ptr == &control)
            control_read();
        else if (!client->slow || ++turns % SLOWNESS == 0)
            client_read(client);
    }
}

static void wait_for(const unsigned long *figure, unsigned long wanted, const char *what) {
    double until = now() + PATIENCE;
    while (*figure < wanted) {
        turn(1.0);
        if (now() > until) fail("%lu of %lu %s within %.0f s", *figure, wanted, what, PATIENCE);
    }
}

static void open_client(bool stalls) {
    if (size == MOST_CLIENTS) fail("more than %d clients", MOST_CLIENTS);
    struct client *client = &clients[size];
    client_open(client, tokens[size], stalls);
    size++;
    watch(client->fd, client);
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

static void ask(int count, int bytes) {
    double time = now();
    for (int i = 0; i < count; i++) crowd.asked[(crowd.published + (unsigned long)i) % ASKED_RING] = time;
    control_broadcast(crowd.published, count, bytes);
    crowd.published += (unsigned long)count;
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

static void report(unsigned long first, double begun) {
    unsigned long messages = crowd.published - first;
    printf("{\"messages\": %lu, \"deliveries\": %lu, \"seconds\": %.6f, \"p50\": %.3f, \"p99\": %.3f}\n", messages,
           messages * (unsigned long)crowd.ready, now() - begun, latency_within(0.5), latency_within(0.99));
}

static void run_broadcast(int width, double seconds, int bytes) {
    unsigned long first = begin();
    double begun = now();
    do {
        ask(width, bytes);
        settle();
    } while (now() - begun < seconds);
    report(first, begun);
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
        epoll_ctl(poller, EPOLL_CTL_DEL, client->fd, NULL);
    }
    printf("{\"stalled\": %d}\n", stalled);
}

static void run_stalled(void) {
    int woken = 0, cut = 0, code = 0;
    double until = now() + PATIENCE;
    for (int i = 0; i < size; i++) {
        struct client *client = &clients[i];
        if (!client->stalled || client->phase == CUT) continue;
        watch(client->fd, client);
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
    watch(client->fd, client);
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
    printf("{}\n");
}

static void read_tokens(const char *path) {
    FILE *file = fopen(path, "r");
    char line[1024];
    int count = 0;
    if (file == NULL) fail("%s: %s", path, strerror(errno));
    while (count < MOST_CLIENTS && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\r\n")] = 0;
        tokens[count++] = strdup(line);
    }
    if (count == 0) fail("%s is empty", path);
    for (int i = count; i < MOST_CLIENTS; i++) tokens[i] = tokens[i % count];
    fclose(file);
}

int main(int argc, char **argv) {
    char line[256];
    int a, c;
    double b, rate;
    struct rlimit files;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc != 4) fail("usage: load PORT json|socketio|recovery TOKENS");
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    crowd.port = atoi(argv[1]);
    crowd.recovery = strcmp(argv[2], "recovery") == 0;
    crowd.dialect = crowd.recovery || strcmp(argv[2], "socketio") == 0 ? SOCKETIO : JSON;
    crowd.asked = calloc(ASKED_RING, sizeof *crowd.asked);
    read_tokens(argv[3]);
    poller = epoll_create1(0);
    control_begin(crowd.port, poller);
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (sscanf(line, "connect %d", &a) == 1) run_connect(a);
        else if (sscanf(line, "broadcast %d %lf %d", &a, &b, &c) == 3) run_broadcast(a, b, c);
        else if (sscanf(line, "pace %lf %lf %d", &rate, &b, &c) == 3) run_pace(rate, b, c);
        else if (sscanf(line, "inbound %d %lf %d", &a, &b, &c) == 3) run_inbound(a, b, c);
        else if (sscanf(line, "mixed %lf %d", &b, &c) == 2) run_mixed(b, c);
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
