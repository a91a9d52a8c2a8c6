"""Acknowledgements of clients, through Redis: published on the channel of the process that asked for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from asgi_realtime.payloads.encoding import encode_json
from asgi_realtime.redis.gateway_links import GatewayLinks
from asgi_realtime.redis.link import LinkLost
from asgi_realtime.runtime.failure_log import FailureLog
from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import ReplyTo


class _Acknowledgement(msgspec.Struct, array_like=True, frozen=True):
    number: int
    values: list[Any]
    json: bytes = b""
    """The values, if MessagePack cannot carry them."""


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(_Acknowledgement)


class Acknowledgements:
    """Sends acknowledgements to the process that asked, and receives those for this process.

    They are not kept: one that is sent while that process has no connection to Redis is lost.
    """

    kind: Final = "acknowledgements"
    """That of the channel; see `GatewayLinks.own_channel`."""

    def __init__(self, links: GatewayLinks) -> None:
        self._links = links
        self._failures = FailureLog()
        self.received: Callable[[int, list[Json]], None] = lambda number, values: None
        """Called with the number of a call of this process, and the values of an acknowledgement."""

    def send(self, reply_to: ReplyTo, values: list[Json]) -> None:
        """Send an acknowledgement. Never waits and never raises."""
        if reply_to.node == self._links.node:
            self.received(reply_to.number, values)
            return
        try:
            data = _encoder.encode(_Acknowledgement(reply_to.number, values))
        except (OverflowError, UnicodeEncodeError):  # a number of more than 64 bits, or half a surrogate pair
            data = _encoder.encode(_Acknowledgement(reply_to.number, [], encode_json(values)))
        link = self._links.current()
        try:
            if link is not None:
                channel = self._links.own_channel(self.kind, reply_to.node)
                link.send(lambda reply: None, self._links.publish_command, channel, data)
        except LinkLost:
            pass

    def receive(self, message: bytes) -> None:
        """A message has come on the channel of this process."""
        try:
            found = _decoder.decode(message)
            values = msgspec.json.decode(found.json, type=list[Any]) if found.json else found.values
        except msgspec.DecodeError as error:
            self._failures.failed(None, "an acknowledgement in Redis cannot be read", error, traceback=False)
            return
        self.received(found.number, values)
