"""The functions that Events calls in its host."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from asgi_realtime.runtime.host_calls import MaybeAwaitable
from asgi_realtime.values.identity import Identity

Decide: TypeAlias = Callable[[Identity, str], MaybeAwaitable[bool]]
"""Decides about a user and a text (a room, or what the user says). True: allowed."""
Hook: TypeAlias = Callable[..., MaybeAwaitable[object]]
"""Called when the server has started, or a client connects or disconnects. The result is ignored."""
