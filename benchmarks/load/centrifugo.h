/* What the load generator asks of Centrifugo, whose HTTP API and commands are its own. */
#ifndef CENTRIFUGO_H
#define CENTRIFUGO_H

#include <stddef.h>

#include "client.h"

/* The number of the reply to a client's first event is this one. */
#define CENTRIFUGO_FIRST_EVENT 10UL

/* The HTTP request of its API for what a path asks for, /broadcast/… or /rooms/…: `publish` for one message, `batch`
 * for several, which are published one after another. It is valid until the next call. Sets its length. */
const char *centrifugo_request(const char *path, size_t *length);

/* Write the commands by which a client lets itself in and enters the room of all, in one frame. */
void centrifugo_enter(char *text, size_t room);

/* Write the commands that enter the last `count` small rooms among the client's seats, in one frame. */
void centrifugo_enter_rooms(char *text, size_t room, const struct client *client, int count);

/* Write an event: a publication to a channel without history and without subscribers. Its reply says that it was
 * published. Returns its length. */
int centrifugo_event(char *text, size_t room, unsigned long number, const char *said);

#endif
