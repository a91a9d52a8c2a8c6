/* Small rooms: which clients are in which, and which message must come next in each. */
#ifndef ROOMS_H
#define ROOMS_H

#include "client.h"

/* Form new rooms of `members` clients each, so that each of the `count` clients has a seat in `each` of them. Their
 * numbers go on from those of the rooms before. A room of one has the number of its client, if it is the first. */
void rooms_form(int count, int each, int members);

/* There are no rooms, and no client has a seat. */
void rooms_forget(void);

/* Choose `width` of the rooms that were formed last, number a message to each, and ask for them with one request:
 * /KIND/FIRST/SIZE/ROOM/ROOM/… Returns how many deliveries that makes. */
unsigned long rooms_ask(const char *kind, int width, int bytes);

/* A message has come. Ends the program if it is not the next one in a room of the client. */
void rooms_take(struct client *client, unsigned long number);

#endif
