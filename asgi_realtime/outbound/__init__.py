"""The way of frames to a client: outbox, writers, and writes to sockets' descriptors."""
