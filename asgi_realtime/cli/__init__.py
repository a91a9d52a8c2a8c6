"""The commands of `asgi-realtime`."""
