"""Broadcasts of a gateway with a `recipient_filter` to connections whose frames are held.

The filter is called when a frame is about to be written. If the connection ends before, it gets nothing, and the filter
must not take it for a recipient.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable

from asgi_realtime.connection.connection import Connection, InternalConnection
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.values.ids import RoomName

logger = logging.getLogger("asgi_realtime")


def push_held(
    connections: Iterable[InternalConnection],
    frame: Frame,
    rooms: tuple[RoomName, ...],
    takes: Callable[[Connection], bool],
) -> None:
    """Add a frame to those that are held. `takes` is the filter of the publication."""
    for connection in connections:
        form = frame if connection.positions is None else frame.positioned or frame
        connection.push(form, rooms, functools.partial(_takes, takes, connection.public))


def _takes(takes: Callable[[Connection], bool], connection: Connection) -> bool:
    try:
        return takes(connection)
    except Exception:  # of the host. The connection gets its other frames
        logger.exception("%s: recipient_filter failed for %r", connection.gateway, connection)
        return False
