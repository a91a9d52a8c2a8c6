"""The dialects of JSON WebSockets: frames `{"type", "data"}`, and frames with flat fields. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from asgi_realtime.errors import ProtocolError
from asgi_realtime.limits import Limits
from asgi_realtime.payloads.encoding import encode, encode_json
from asgi_realtime.payloads.plain_values import to_builtins
from asgi_realtime.protocols.event_json import quoted
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.protocols.json_text import NOT_JSON, SHORT, JSONReader, MalformedJSON
from asgi_realtime.values.event_names import event_text
from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import Position

_NO_FRAME = "not a JSON frame with a type"


class _Envelope(msgspec.Struct):
    type: str
    data: Json = UNSET


class JSONDialect:
    """Frames `{"type", "data"}` in both directions. They cannot contain `bytes`."""

    binary = False
    _reader = JSONReader(_Envelope)
    _is_flat = False

    def event_name(self, event: str) -> str:
        """Check the name of an event to be sent. No name is reserved. See `Dialect.event_name`."""
        return event_text(event)

    def event(self, event: str, payload: bytes = b"", attachments: Sequence[bytes] = ()) -> Frame:
        """Make the frame of an event whose payload is JSON already (empty: no payload).

        Raises:
            TypeError: if the payload contains `bytes`.
        """
        if attachments:
            raise TypeError(f"{event}: a JSON WebSocket carries no bytes; encode them, for example as base64 text")
        name = quoted(event)
        return Frame(f'{{"type":{name},"data":{payload.decode()}}}' if payload else f'{{"type":{name}}}')

    def with_position(self, frame: Frame, position: Position) -> Frame:
        """Add `offset`, as the last field beside `type`. A frame that is no object gets none.

        See `Dialect.with_position`.
        """
        (text,) = frame.messages
        if not isinstance(text, str) or not text.endswith("}"):
            return frame
        return Frame(f'{text[:-1]},"offset":"{position}"}}')  # no position has a character that JSON would escape

    def needs_position(self, frame: Frame) -> bool:
        """Never: a client reads `offset` and nothing else."""
        return False

    def event_args(self, event: str, args: Sequence[Any]) -> Frame:
        """Encode an event with one value or none.

        Raises:
            TypeError: for several values, or an event name that is not a string.
        """
        event = self.event_name(event)
        if len(args) > 1:
            raise TypeError(f"{event}: a frame of a JSON WebSocket carries one value; put them into an object")
        return self.event(event, *encode(args[0] if args else UNSET))

    def flat(self, event: str, payload: Any = UNSET) -> Frame:
        """Make a frame in which the payload's fields are beside `type`, not under `data`.

        Raises:
            TypeError: if the payload has no fields, has a field named `type`, or cannot be encoded.
        """
        fields = {} if payload is UNSET else to_builtins(payload)
        if not isinstance(fields, dict):
            raise TypeError(f"{event}: {type(payload).__qualname__} has no fields to put beside the type")
        if "type" in fields:
            raise TypeError(f"{event}: a field called 'type' would replace the name of the event")
        return Frame(encode_json({"type": event, **fields}).decode())

    def read(self, text: str, limits: Limits) -> tuple[str, Json]:
        """Decode a client's frame. Returns its type and its payload (`msgspec.UNSET`: no payload).

        Raises:
            ProtocolError: if it is not a valid frame. The text may be sent to the client.
        """
        reader = self._reader
        try:
            frame = reader.decode(text) if len(text) <= SHORT else reader.read(text, limits)
        except NOT_JSON:
            frame = self._read_again(text, limits)
        except MalformedJSON:
            raise ProtocolError(_NO_FRAME) from None
        if self._is_flat:
            kind, data = frame.pop("type", None), frame
        else:
            kind, data = frame.type, frame.data
        # Counts code points, which is cheap. In bytes, a name may be up to four times as long, which is harmless.
        if type(kind) is not str or len(kind) > limits.event_name_bytes:
            raise ProtocolError(_NO_FRAME)
        return kind, data

    def _read_again(self, text: str, limits: Limits) -> Any:
        try:
            return self._reader.read(text, limits)
        except MalformedJSON:
            raise ProtocolError(_NO_FRAME) from None


class FlatJSONDialect(JSONDialect):
    """As `JSONDialect`, but in frames of clients the fields are beside `type`: `{"type": "join_job", "jobId": "7"}`."""

    _reader = JSONReader(dict[str, Any])
    _is_flat = True
