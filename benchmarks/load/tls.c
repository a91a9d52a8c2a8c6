/* TLS 1.3 with OpenSSL. Every handshake is a whole one: no client resumes a session. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "channel.h"
#include "client.h"

#define ADDRESS "127.0.0.1"
/* The one that browsers name first, so that no server has a cheaper one than the others. */
#define CIPHER "TLS_AES_128_GCM_SHA256"
#define ROOM_SECONDS 10

static SSL_CTX *context;

static const char *reason(void) {
    const char *said = ERR_reason_error_string(ERR_peek_last_error());
    return said == NULL ? "no reason" : said;
}

void channel_begin(const char *certificate) {
    if (certificate == NULL) fail("this program is built for TLS, and has no certificate");
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
    context = SSL_CTX_new(TLS_client_method());
    if (context == NULL || !SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) ||
        !SSL_CTX_set_ciphersuites(context, CIPHER) || !SSL_CTX_load_verify_locations(context, certificate, NULL))
        fail("TLS: %s: %s", certificate, reason());
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_read_ahead(context, 1); /* one recv() for several records */
}

void channel_open(struct channel *channel, int fd) {
    channel->fd = fd;
    channel->tls = SSL_new(context);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    if (channel->tls == NULL || !SSL_set_fd(channel->tls, fd) ||
        !X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(channel->tls), ADDRESS))
        fail("TLS: %s", reason());
    SSL_set_connect_state(channel->tls);
}

bool channel_ready(struct channel *channel) {
    if (SSL_is_init_finished(channel->tls)) return true;
    ERR_clear_error();
    int done = SSL_do_handshake(channel->tls);
    if (done == 1) return true;
    int error = SSL_get_error(channel->tls, done);
    if (error != SSL_ERROR_WANT_READ) fail("TLS: no handshake: %s", reason());
    return false;
}

ssize_t channel_read(struct channel *channel, char *data, size_t room) {
    size_t filled = 0, got;
    int done;
    ERR_clear_error();
    /* What OpenSSL has read ahead does not show in epoll: everything is read. */
    while ((done = SSL_read_ex(channel->tls, data + filled, room - filled, &got)) == 1)
        if ((filled += got) == room) fail("more than %zu bytes for a client at a time", room);
    if (filled > 0) return (ssize_t)filled; /* an end, or an error, comes again at the next call */
    switch (SSL_get_error(channel->tls, done)) {
        case SSL_ERROR_WANT_READ: errno = EAGAIN; return -1;
        case SSL_ERROR_ZERO_RETURN: return 0;
        default: errno = ECONNRESET; return -1;
    }
}

bool channel_write(struct channel *channel, const char *data, size_t size) {
    size_t written;
    struct pollfd room = {.fd = channel->fd, .events = POLLOUT};
    ERR_clear_error();
    while (SSL_write_ex(channel->tls, data, size, &written) != 1) {
        int error = SSL_get_error(channel->tls, 0);
        if (error != SSL_ERROR_WANT_WRITE) errno = EPIPE;
        if (error != SSL_ERROR_WANT_WRITE || poll(&room, 1, ROOM_SECONDS * 1000) != 1) return false;
    }
    return true;
}

void channel_close(struct channel *channel) {
    ERR_clear_error();
    if (SSL_is_init_finished(channel->tls)) SSL_shutdown(channel->tls); /* the server's answer is not awaited */
    SSL_free(channel->tls);
    close(channel->fd);
    *channel = (struct channel){.fd = -1};
}
