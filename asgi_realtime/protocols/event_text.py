"""The form in which clients usually send an event, in the bytes of one text message."""

from __future__ import annotations

from typing import NamedTuple

from asgi_realtime.protocols.dialect import Dialect
from asgi_realtime.protocols.event_json import quoted
from asgi_realtime.protocols.json_dialect import FlatJSONDialect, JSONDialect
from asgi_realtime.protocols.socketio.dialect import SocketIODialect


class EventText(NamedTuple):
    """An event is `prefix`, an ack id if there is any, `before`, the name in quotes, `between`, the payload, `end`.

    Without a payload it ends after the name, with `end`. It is valid JSON in many other forms too.
    """

    prefix: bytes
    before: bytes
    between: bytes
    end: bytes

    def heads(self, event: str) -> tuple[bytes, bytes]:
        """What is before the payload of an event without an ack id, and the whole text if it has no payload."""
        name = self.prefix + self.before + quoted(event).encode()
        return name + self.between, name + self.end


def usual_form(dialect: Dialect) -> EventText | None:
    """How clients of a dialect usually send an event. None: there is no such form, or it is not known."""
    if isinstance(dialect, SocketIODialect):
        address = "" if dialect.namespace == "/" else dialect.namespace + ","
        return EventText(b"42" + address.encode(), b"[", b",", b"]")
    reads_as_usual = isinstance(dialect, JSONDialect) and type(dialect).read is JSONDialect.read
    if reads_as_usual and not isinstance(dialect, FlatJSONDialect):
        return EventText(b"", b'{"type":', b',"data":', b"}")
    return None
