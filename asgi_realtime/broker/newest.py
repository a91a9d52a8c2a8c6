"""The newest publications of a history, bounded in number and in bytes."""

from __future__ import annotations

from collections.abc import Iterable

from asgi_realtime.broker.base import RECENT_BYTES
from asgi_realtime.values.publications import Newest, Publication


def first_of(publications: Iterable[Publication], limit: int) -> Newest:
    """The first publications, at most `limit`, and no further one after `RECENT_BYTES` of payload."""
    found: list[Publication] = []
    size = 0
    for publication in publications:
        if len(found) >= limit or size >= RECENT_BYTES:
            return Newest(found, True)
        found.append(publication)
        size += len(publication.payload) + sum(map(len, publication.attachments))
    return Newest(found, False)
