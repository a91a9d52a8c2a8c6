"""Events that ask for an acknowledgement, while their client is not let in yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

from asgi_realtime.hub.replies import Answered
from asgi_realtime.values.publications import Publication

ENTRY_BYTES: Final = 200
"""What an event counts beside its content, so that empty ones are bounded too."""

Awaited: TypeAlias = Callable[[], bool]
"""Says whether an acknowledgement is still awaited."""


class ClientRequest(NamedTuple):
    """An event for one client, and what to do with its acknowledgement."""

    publication: Publication
    answered: Answered
    awaited: Awaited | None
    """None: it is awaited for as long as the client is connected."""


class PostponedRequests:
    """Keeps the events of one client in order. Those whose acknowledgement is no longer awaited are dropped."""

    __slots__ = ("_bytes", "_requests")

    def __init__(self) -> None:
        self._requests: list[ClientRequest] = []
        self._bytes = 0

    def add(self, request: ClientRequest, most_bytes: int) -> bool:
        """Append an event. False: there are more than `most_bytes` now."""
        self._requests.append(request)
        self._bytes += _size(request)
        if self._bytes > most_bytes:
            self._requests = [*self.awaited]
            self._bytes = sum(map(_size, self._requests))
        return self._bytes <= most_bytes

    @property
    def awaited(self) -> Sequence[ClientRequest]:
        """The events whose acknowledgement is still awaited."""
        return [request for request in self._requests if request.awaited is None or request.awaited()]


def _size(request: ClientRequest) -> int:
    publication = request.publication
    return ENTRY_BYTES + len(publication.event) + len(publication.payload) + sum(map(len, publication.attachments))
