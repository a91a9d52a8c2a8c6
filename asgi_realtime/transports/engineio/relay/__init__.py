"""Requests that arrive at another process than the one that has their session: they are relayed through Redis."""
