/* One client: lets itself in, checks every message that comes, sends events. */
#ifndef CLIENT_H
#define CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "channel.h"

enum dialect { JSON, SOCKETIO, CENTRIFUGO };

/* SECURING: keys are agreed on. UPGRADING: the HTTP answer is awaited. GREETING: Engine.IO's first packet. ENTERING:
 * authentication's. */
enum phase { SECURING, UPGRADING, GREETING, ENTERING, READY, CUT };

/* What a restless client does: is in the room; has asked to leave it; is out; has asked to enter again. */
enum place { INSIDE, LEAVING, OUTSIDE, JOINING };

/* A client's place in a small room. */
struct seat {
    int room;
    unsigned long last; /* the number of the last message to the room that came, or 0 */
};

struct client {
    struct channel channel;
    enum phase phase;
    bool stalled;          /* does not read */
    bool restless;         /* leaves the room and enters again, over and over */
    bool talks;            /* sends an event whenever the last was answered */
    bool slow;             /* reads now and then only */
    bool lost;             /* has lost its connection, and until the end of the command that lets it return */
    bool recovered;        /* the server gave it its earlier session back */
    bool incomplete;       /* it recovered, and then a message was missing */
    enum place place;
    bool any;              /* has entered, and does not know yet which message comes first */
    const char *token;     /* what it authenticates with */
    unsigned long next;    /* the number of the message that must come next */
    struct seat *seats;    /* in small rooms */
    int seated;
    int entering;          /* of these it has asked the server for, and has no answer */
    unsigned long events;  /* events sent */
    unsigned long counted; /* of which the server has confirmed that it counted them */
    int close_code;        /* of the close frame that came, or 0 */
    char *rest;            /* the start of a frame whose end has not come */
    size_t held;
    char pid[96];          /* of its recovery session, or empty */
    char offset[64];       /* the position of the last event it has got, or empty */
};

/* What the clients of this run have in common, and what they add up to. */
struct crowd {
    enum dialect dialect;
    bool recovery;            /* clients ask for positions, and present their session when they return */
    int port;                 /* where clients connect */
    int ready;                /* clients that are in, not counting stalled ones */
    unsigned long published;  /* messages asked for so far: each client must get all from its entry on */
    unsigned long deliveries; /* messages received, all clients together but the restless ones */
    unsigned long to_rooms;   /* the number of the next message to a small room */
    unsigned long reached;    /* messages to small rooms that were received, all clients together */
    unsigned long entered;    /* clients that are in the small rooms they have asked for */
    unsigned long left_out;   /* or 0; message N must not reach the client N modulo this */
    unsigned long moves;      /* times that a restless client left, or entered */
    bool winding_up;          /* no client disconnects or sends events any more */
    unsigned long confirmed;  /* bursts of events confirmed */
    unsigned long returned;   /* lost clients that are in again, with all that they had missed */
    unsigned long refused;    /* times that the server closed the connection of one that returned */
    unsigned long missed_to;  /* what they have missed: all messages before this one */
    double *asked;            /* when each message was asked for, a ring */
};

#define ASKED_RING 65536

/* The number of the first message to a small room. Those to all clients have smaller ones. */
#define FIRST_TO_ROOM 1000000000UL

extern struct crowd crowd;

/* Begin to connect. */
void client_open(struct client *client, const char *token, bool stalled);

/* Connect again, with the session of the lost connection. */
void client_return(struct client *client);

/* Take what has come. Ends the program if it is not what must come. */
void client_read(struct client *client);

/* Send `count` events in one write; the last asks how many were counted. */
void client_send_events(struct client *client, int count);

/* Ask to enter the last `count` small rooms among its seats. */
void client_enter(struct client *client, int count);

/* Do not expect the next message if the client is left out of it. */
void client_pass_left_out(struct client *client);

/* Begin to leave the room. */
void client_leave(struct client *client);

void client_close(struct client *client);

/* Print why this run is void, as JSON, and end the program. */
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
