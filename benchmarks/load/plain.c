#include <sys/socket.h>
#include <unistd.h>

#include "channel.h"
#include "client.h"

void channel_begin(const char *certificate) {
    if (certificate != NULL) fail("this program is built without TLS");
}

void channel_open(struct channel *channel, int fd) {
    channel->fd = fd;
}

bool channel_ready(struct channel *channel) {
    (void)channel;
    return true;
}

ssize_t channel_read(struct channel *channel, char *data, size_t room) {
    return recv(channel->fd, data, room, MSG_DONTWAIT);
}

bool channel_write(struct channel *channel, const char *data, size_t size) {
    return send(channel->fd, data, size, MSG_NOSIGNAL) == (ssize_t)size;
}

void channel_close(struct channel *channel) {
    close(channel->fd);
    channel->fd = -1;
}
