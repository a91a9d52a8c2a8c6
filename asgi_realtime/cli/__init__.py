"""The commands of `python -m asgi_realtime`."""
