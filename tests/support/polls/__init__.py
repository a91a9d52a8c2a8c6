"""Polls: a system outside the package that uses only names exported by `asgi_realtime`.

It has the files of the four systems that come with the package. It can be copied: its imports are relative.
"""

from __future__ import annotations

from .broadcaster import PollsBroadcaster, SyncPollsBroadcaster
from .dependencies import get_polls_broadcaster, get_sync_polls_broadcaster
from .gateway import PollsGateway
from .service import PollsService

__all__ = [
    "PollsGateway",
    "PollsService",
    "PollsBroadcaster",
    "SyncPollsBroadcaster",
    "get_polls_broadcaster",
    "get_sync_polls_broadcaster",
]
