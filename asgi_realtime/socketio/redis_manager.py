"""Recognises python-socketio's client managers, without importing it."""

from __future__ import annotations


def is_manager(value: object) -> bool:
    """Whether it is a client manager of python-socketio on Redis."""
    return any(
        each.__module__.partition(".")[0] == "socketio" and each.__name__ in ("RedisManager", "AsyncRedisManager")
        for each in type(value).__mro__
    )
