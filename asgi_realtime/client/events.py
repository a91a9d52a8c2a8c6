"""What a client receives: events of the server, and what happens to the connection between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

Data = TypeVar("Data", covariant=True)


@dataclass(frozen=True)
class Event(Generic[Data]):
    """An event with its payload. Each event of a gateway is a subclass, in the generated module.

    The payload is as the server sent it: its type is a promise of the declarations, and is not checked. It is None if
    the event has none, and a tuple if it has several arguments.
    """

    name: ClassVar[str]
    arguments: ClassVar[int] = 1
    """How many values the event has on Socket.IO."""
    flat: ClassVar[bool] = False
    """Whether the fields of the payload are beside the `type` of a JSON frame."""

    data: Data


class Connected(Event[bool]):
    """The server has accepted the client: the first time, and each time that it has returned. `data` is `recovered`.

    If it is false, join rooms and read the application's data here: events may have been missed.
    """

    name = "connected"

    @property
    def recovered(self) -> bool:
        """Whether the client is in its rooms, and the events that it missed follow."""
        return self.data


class Missed(Event[int]):
    """The program did not take events in time, so the oldest ones were dropped. `data` is how many. Read again."""

    name = "missed"


AnyEvent = Event[Any]
