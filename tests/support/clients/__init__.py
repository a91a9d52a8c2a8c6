"""Clients that `python -m asgi_realtime client` has written; tests/client/test_generated.py says how."""
