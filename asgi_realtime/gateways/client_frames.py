"""What a gateway sends to one client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asgi_realtime.connection.connection import Connection, internal
from asgi_realtime.errors import Refusal
from asgi_realtime.gateways.plain_events import Acknowledge
from asgi_realtime.gateways.replies import ErrorMessage, Failure
from asgi_realtime.payloads.encoding import encode
from asgi_realtime.protocols.dialect import Dialect
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.values.json import Json


class ClientFrames:
    """Writes to one client, from code that cannot wait."""

    # Declared here, so that `reserved_names` includes it.
    _dialect: Dialect

    def send_refusal(
        self,
        connection: Connection,
        event: str,
        sent: Sequence[Json],
        refusal: Refusal,
        acknowledge: Acknowledge | None,
    ) -> None:
        """Send a refusal to a client: as the acknowledgement if it expects one, else as the event `error`."""
        if acknowledge is not None:
            acknowledge([Failure(code=refusal.reply_code, message=refusal.message)])
        else:
            self.push_event(connection, "error", ErrorMessage(refusal.reply_code, refusal.message))

    def push_event(self, connection: Connection, event: str, data: Any) -> None:
        """Send an event to one client from code that cannot wait."""
        internal(connection).push(self._dialect.event(self._dialect.event_name(event), *encode(data)))

    def push_frame(self, connection: Connection, frame: Frame) -> None:
        """Write a frame that a dialect made to one client, in order with everything else. Never waits."""
        internal(connection).push(frame)

    def has_room(self, connection: Connection, frame: Frame) -> bool:
        """Whether a client has read enough to get a frame. If not, `push_frame` ends it."""
        return internal(connection).transport.outbox.has_room(frame)
