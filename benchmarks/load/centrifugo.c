#define _GNU_SOURCE
#include "centrifugo.h"

#include <stdio.h>
#include <stdlib.h>

#define MOST_ROOMS 64
#define ALL -1

/* Messages that are asked for by one request, each to one room. */
struct messages {
    unsigned long first;
    int count, bytes;
    int rooms[MOST_ROOMS]; /* or ALL */
};

static void parse(const char *path, struct messages *asked) {
    int used;
    asked->count = 0;
    if (sscanf(path, "/broadcast/%lu/%d/%d", &asked->first, &asked->count, &asked->bytes) == 3) {
        if (asked->count > MOST_ROOMS) fail("%d messages by one request", asked->count);
        for (int i = 0; i < asked->count; i++) asked->rooms[i] = ALL;
    } else if (sscanf(path, "/rooms/%lu/%d%n", &asked->first, &asked->bytes, &used) == 2) {
        while (sscanf(path += used, "/%d%n", &asked->rooms[asked->count], &used) == 1)
            if (++asked->count == MOST_ROOMS) fail("more than %d messages by one request", MOST_ROOMS - 1);
    } else {
        fail("Centrifugo has nothing for %s", path);
    }
}

static void put_channel(FILE *body, int room) {
    if (room == ALL) fputs("{\"channel\":\"room\"", body);
    else fprintf(body, "{\"channel\":\"room%d\"", room);
}

static void put_message(FILE *body, const struct messages *asked, int i) {
    put_channel(body, asked->rooms[i]);
    fprintf(body, ",\"data\":{\"number\":%lu,\"text\":\"", asked->first + (unsigned long)i);
    for (int x = 0; x < asked->bytes; x++) putc_unlocked('x', body);
    fputs("\"}}", body);
}

const char *centrifugo_request(const char *path, size_t *length) {
    static char *request;
    char *body;
    size_t size;
    struct messages asked;
    FILE *file = open_memstream(&body, &size);
    parse(path, &asked);
    if (asked.count == 1) {
        put_message(file, &asked, 0);
    } else {
        fputs("{\"commands\":[", file);
        for (int i = 0; i < asked.count; i++) {
            fputs(i ? ",{\"publish\":" : "{\"publish\":", file);
            put_message(file, &asked, i);
            fputs("}", file);
        }
        fputs("]}", file);
    }
    fclose(file);
    free(request);
    int written = asprintf(&request,
                           "POST /api/%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                           "Content-Length: %zu\r\n\r\n%s",
                           asked.count == 1 ? "publish" : "batch", size, body);
    if (written < 0) fail("no memory");
    *length = (size_t)written;
    free(body);
    return request;
}

void centrifugo_enter(char *text, size_t room) {
    snprintf(text, room, "{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"room\"}}");
}

void centrifugo_enter_rooms(char *text, size_t room, const struct client *client, int count) {
    int length = 0;
    for (int i = client->seated - count; i < client->seated && length < (int)room; i++)
        length += snprintf(text + length, room - (size_t)length, "%s{\"id\":3,\"subscribe\":{\"channel\":\"room%d\"}}",
                           length ? "\n" : "", client->seats[i].room);
    if (length >= (int)room) fail("commands for %d rooms", count);
}

int centrifugo_event(char *text, size_t room, unsigned long number, const char *said) {
    return snprintf(text, room,
                    "{\"id\":%lu,\"publish\":{\"channel\":\"events:all\",\"data\":{\"number\":%lu,\"text\":\"%s\"}}}",
                    CENTRIFUGO_FIRST_EVENT + number, number, said);
}
