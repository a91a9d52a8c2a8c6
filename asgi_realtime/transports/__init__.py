"""I/O: Engine.IO, Socket.IO and JSON WebSockets between the ASGI server and the gateways."""
