"""The frames of JSON WebSockets: `{"type", "data"}`, and their flat relatives. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from asgi_realtime.errors import ProtocolError
from asgi_realtime.limits import Limits
from asgi_realtime.payloads.encoding import encode, encode_json
from asgi_realtime.payloads.plain_values import to_builtins
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
    """Frames `{"type", "data"}`, both ways. Binary has no place in them."""

    binary = False
    _reader = JSONReader(_Envelope)
    _is_flat = False

    def event_name(self, event: str) -> str:
        """The name of an event that is about to be sent. No name is reserved. See `Dialect.event_name`."""
        return event_text(event)

    def event(
        self, event: str, payload: bytes = b"", attachments: Sequence[bytes] = (), position: Position | None = None
    ) -> Frame:
        """Wrap a payload that is JSON already (empty: none).

        Raises:
            TypeError: for a payload with `bytes` in it.
        """
        if attachments:
            raise TypeError(f"{event}: a JSON WebSocket carries no bytes; encode them, as base64 text say")
        parts = [b'{"type":', encode_json(event)]
        if payload:
            parts += [b',"data":', payload]
        if position is not None:
            parts += [b',"offset":', encode_json(position)]
        return Frame(b"".join((*parts, b"}")).decode())

    def event_args(self, event: str, args: Sequence[Any]) -> Frame:
        """Wrap the only value, if any.

        Raises:
            TypeError: for several values, or an event name that is no text.
        """
        event = self.event_name(event)
        if len(args) > 1:
            raise TypeError(f"{event}: a frame of a JSON WebSocket carries one value; put them into an object")
        return self.event(event, *encode(args[0] if args else UNSET))

    def flat(self, event: str, payload: Any = UNSET) -> Frame:
        """A frame whose payload's fields (a mapping's, or an object's) stand beside the type instead of under `data`.

        Raises:
            TypeError: for a payload that has no fields, has one called `type`, or cannot be encoded.
        """
        fields = {} if payload is UNSET else to_builtins(payload)
        if not isinstance(fields, dict):
            raise TypeError(f"{event}: {type(payload).__qualname__} has no fields to stand beside the type")
        if "type" in fields:
            raise TypeError(f"{event}: a field called 'type' would replace the name of the event")
        return Frame(encode_json({"type": event, **fields}).decode())

    def read(self, text: str, limits: Limits) -> tuple[str, Json]:
        """Read a client's frame: its type, and its payload (`msgspec.UNSET`: it has none).

        Raises:
            ProtocolError: if it is no such frame; the text is fit for the client's eyes.
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
        # Code points: a name of other letters is longer in bytes, by a factor that is no danger.
        if type(kind) is not str or len(kind) > limits.event_name_bytes:
            raise ProtocolError(_NO_FRAME)
        return kind, data

    def _read_again(self, text: str, limits: Limits) -> Any:
        try:
            return self._reader.read(text, limits)
        except MalformedJSON:
            raise ProtocolError(_NO_FRAME) from None


class FlatJSONDialect(JSONDialect):
    """As `JSONDialect`, but a client's fields stand beside the type: `{"type": "join_job", "jobId": "7"}`."""

    _reader = JSONReader(dict[str, Any])
    _is_flat = True
