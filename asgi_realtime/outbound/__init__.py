"""The way of frames to clients: outboxes, their writers, and the fan-out to sockets."""
