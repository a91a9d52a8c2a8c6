"""Delivers one publication to its recipients in this process."""

from __future__ import annotations

import functools
from collections.abc import Collection

from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.hub.batch import Batch
from asgi_realtime.hub.mounts import Mount, Takes
from asgi_realtime.hub.recipients import Recipients
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.values.ids import RoomName
from asgi_realtime.values.publications import Publication, ToRoom, ToRooms


def deliver(publication: Publication, mount: Mount, batch: Batch) -> int:
    """Write a publication to its recipients, at the end of the tick (see `Batch`). Returns their number.

    It is encoded once. Then there is one write per recipient.
    """
    target = publication.target
    recipients = mount.rooms.recipients(target)
    if not recipients.connections:
        return 0
    skipped: Collection[InternalConnection] = ()
    if publication.except_:
        skipped = mount.rooms.among(target, publication.except_)
    if publication.reply_to is not None:
        return _request(publication, mount, recipients, skipped)
    rooms = (target.room,) if type(target) is ToRoom else target.rooms if type(target) is ToRooms else ()
    held = 0
    count = len(recipients.connections) - len(skipped)
    if not count:
        return 0
    frame = mount.frame(publication, recipients)
    if mount.recipient_filter is not None and (takes := mount.takes(publication)) is not None:
        held, skipped = _chosen(recipients, skipped, frame, rooms, takes, batch)
        count = len(recipients.connections) - len(skipped)
    if publication.volatile:
        count -= len([connection for connection in recipients.behind() if connection not in skipped])
    if count:
        batch.add(recipients, frame, rooms, skipped, publication.volatile)
    return count + held


def _request(
    publication: Publication, mount: Mount, recipients: Recipients, skipped: Collection[InternalConnection]
) -> int:
    """Send a publication that asks each recipient for an acknowledgement."""
    chosen = [connection for connection in recipients.connections if connection not in skipped]
    if mount.recipient_filter is not None and (takes := mount.takes(publication)) is not None:
        chosen = [connection for connection in chosen if takes(connection.public)]
    if chosen and mount.request is not None:
        mount.request(publication, [connection.public for connection in chosen])
    return len(chosen)


def _chosen(
    recipients: Recipients,
    skipped: Collection[InternalConnection],
    frame: Frame,
    rooms: tuple[RoomName, ...],
    takes: Takes,
    batch: Batch,
) -> tuple[int, Collection[InternalConnection]]:
    """Ask a gateway's filter for each recipient. Returns how many are held, and all that get nothing from the batch.

    The filter may report the event as delivered. So it is asked when the frame is about to be written: what waits is
    written first, a connection whose outbox has no room for the frame is ended and not asked, and for one whose frames
    are held it is asked later.
    """
    batch.flush()
    left_out = set(skipped)
    held = 0
    for connection in recipients.connections:
        if connection in left_out:
            continue
        form = frame if connection.positions is None else frame.positioned or frame
        if connection.held:
            held += 1
            connection.push(form, rooms, functools.partial(takes, connection.public))
        elif not connection.transport.outbox.has_room(form):
            connection.push(form, rooms)
        elif not connection.closed and takes(connection.public):
            continue
        left_out.add(connection)
    return held, left_out
