#include "rooms.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "control.h"
#include "latency.h"
#include "pool.h"

struct sent {
    int room;
    unsigned long previous; /* the number of the message before it in this room, or 0 */
};

static struct sent sent[ASKED_RING];
static unsigned long *newest; /* of each room: the number of the last message */
static int formed, first_of_last, members_of_last;

/* The same numbers in every run. */
static uint32_t chance(uint32_t below) {
    static uint64_t state = 0x9e3779b97f4a7c15;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 32) * below >> 32);
}

static void sit(struct client *client, int room) {
    client->seats = realloc(client->seats, (size_t)(client->seated + 1) * sizeof *client->seats);
    client->seats[client->seated++] = (struct seat){.room = room};
}

void rooms_form(int count, int each, int members) {
    int *order = malloc((size_t)count * sizeof *order);
    if (members < 1 || count % members) fail("%d clients do not fill rooms of %d", count, members);
    first_of_last = formed;
    members_of_last = members;
    for (int i = 0; i < count; i++) order[i] = i;
    for (int layer = 0; layer < each; layer++) {
        for (int i = count - 1; members > 1 && i > 0; i--) {
            int other = (int)chance((uint32_t)i + 1), kept = order[i];
            order[i] = order[other];
            order[other] = kept;
        }
        for (int i = 0; i < count; i++) sit(&clients[order[i]], formed + i / members);
        formed += count / members;
    }
    newest = realloc(newest, (size_t)formed * sizeof *newest);
    for (int room = first_of_last; room < formed; room++) newest[room] = 0;
    free(order);
}

void rooms_forget(void) {
    formed = first_of_last = 0;
}

unsigned long rooms_ask(const char *kind, int width, int bytes) {
    char path[PATH_BYTES];
    double time = now();
    if (formed == first_of_last) fail("no client is in a small room");
    int length = snprintf(path, sizeof path, "/%s/%lu/%d", kind, crowd.to_rooms, bytes);
    for (int i = 0; i < width; i++) {
        int room = first_of_last + (int)chance((uint32_t)(formed - first_of_last));
        unsigned long number = crowd.to_rooms++;
        sent[number % ASKED_RING] = (struct sent){.room = room, .previous = newest[room]};
        crowd.asked[number % ASKED_RING] = time;
        newest[room] = number;
        length += snprintf(path + length, sizeof path - (size_t)length, "/%d", room);
        if (length >= (int)sizeof path) fail("a path for %d rooms", width);
    }
    control_ask(path);
    return (unsigned long)width * (unsigned long)members_of_last;
}

void rooms_take(struct client *client, unsigned long number) {
    const struct sent *message = &sent[number % ASKED_RING];
    int i = client->seated - 1;
    if (number >= crowd.to_rooms) fail("a client got message %lu, and %lu was not sent yet", number, crowd.to_rooms);
    while (i >= 0 && client->seats[i].room != message->room) i--;
    if (i < 0) fail("a client got message %lu to room %d, and is not in it", number, message->room);
    if (client->seats[i].last != message->previous)
        fail("in room %d a client got message %lu after %lu, and %lu comes before it: lost, doubled or out of order",
             message->room, number, client->seats[i].last, message->previous);
    client->seats[i].last = number;
    crowd.reached++;
}
