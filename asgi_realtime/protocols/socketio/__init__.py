"""Socket.IO v5 without I/O: packets, the session of one transport, and the dialect of a namespace."""
