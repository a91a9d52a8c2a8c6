"""The questions that Events asks its host."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from asgi_realtime.values.identity import Identity

Decide: TypeAlias = Callable[[Identity, str], Awaitable[Any] | Any]
"""The host's answer about a user and a text: true for yes. Async, or sync (then it runs in a thread)."""
Hook: TypeAlias = Callable[..., Awaitable[Any] | Any]
