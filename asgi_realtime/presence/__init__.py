"""Presence: which users are online."""

from asgi_realtime.presence.base import Presence
from asgi_realtime.presence.memory import MemoryPresence

__all__ = ["MemoryPresence", "Presence"]
