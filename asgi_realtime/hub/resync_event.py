"""Sends clients the event about missed events that history does not have."""

from __future__ import annotations

from typing import Final

import msgspec

from asgi_realtime.hub.batch import Batch
from asgi_realtime.hub.mounts import Mount
from asgi_realtime.values.publications import Target, ToRoom

RESYNC: Final = "realtime:resync"
"""The event after which clients must read again what they show. Its data has the `room`, or null for everything."""


def resync_members(mount: Mount, target: Target, batch: Batch) -> None:
    """Send `RESYNC` to the members of a target."""
    recipients = mount.rooms.recipients(target)
    if recipients.connections:
        room = target.room if type(target) is ToRoom else None
        frame = mount.dialect.event(RESYNC, msgspec.json.encode({"room": room}))
        batch.add(recipients, frame, () if room is None else (room,))
