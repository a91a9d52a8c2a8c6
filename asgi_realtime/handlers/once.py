"""Handles an event that a client sends again only once, and answers it again."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from asgi_realtime.answers import Answers, EventKey
from asgi_realtime.connection.connection import Connection
from asgi_realtime.errors import Refusal
from asgi_realtime.handlers.event_handlers import BoundHandler, answer_values
from asgi_realtime.handlers.event_ids import EventIdReader
from asgi_realtime.payloads.encoding import encode_json
from asgi_realtime.payloads.plain_values import to_builtins
from asgi_realtime.values.json import Json

SendAnswer: TypeAlias = Callable[[Connection, str, Sequence[Json]], None]
"""Sends a client the answer to the event with this id: the values that the handler returned."""

DIGEST_BYTES: Final = 16
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Any])
_JSON: Final = b"j"
_MESSAGE_PACK: Final = b"m"


class OnceHandlers:
    """Calls the handlers of a gateway that are declared with `once`.

    An answer is kept if the handler has returned. If it raises, whatever it raises, the event may be handled again.

    Args:
        answers: those of the gateway.
        send_answer: sends an answer where clients cannot ask for an acknowledgement. None: they can.
    """

    def __init__(self, answers: Answers, send_answer: SendAnswer | None) -> None:
        self._answers = answers
        self._send_answer = send_answer
        self._running: dict[EventKey, asyncio.Future[None]] = {}
        """The events that are being handled in this process. A future ends when that has ended."""

    def bind(self, event: str, begin: BoundHandler, ids: EventIdReader) -> BoundHandler:
        """Return what calls a handler at most once for each id of a user. An event without an id is always handled."""

        def begin_once(connection: Connection, sent: Sequence[Json]) -> Coroutine[Any, Any, Any]:
            event_id = ids.read(sent)
            work = begin(connection, sent)
            if event_id is None:
                return work
            key = EventKey(connection.identity.user_id, event, event_id)
            return self._handle(key, _digest(sent), work, connection)

        return begin_once

    async def _handle(
        self, key: EventKey, digest: bytes, work: Coroutine[Any, Any, Any], connection: Connection
    ) -> Any:
        try:
            values = await self._values(key, digest, work)
        finally:
            work.close()
        if self._send_answer is None:
            return tuple(values)
        self._send_answer(connection, key.id, values)
        return None

    async def _values(self, key: EventKey, digest: bytes, work: Coroutine[Any, Any, Any]) -> Sequence[Json]:
        """Run the handler, or wait for the one that runs, or return the values that it returned earlier."""
        loop = asyncio.get_running_loop()
        while (running := self._running.get(key)) is not None and running.get_loop() is loop:
            await asyncio.shield(running)
        ended = self._running[key] = loop.create_future()
        try:
            answer = await self._answers.claim(key)
            if answer is not None:
                return _read(answer, digest)
            try:
                values = answer_values(await work)
                answer = digest + _encode(values)
            except BaseException:
                self._answers.release(key)
                raise
            await self._answers.keep(key, answer)
            return values
        finally:
            del self._running[key]
            ended.set_result(None)


def _digest(sent: Sequence[Json]) -> bytes:
    """Identifies what a client has sent."""
    try:
        data = _encoder.encode(sent)
    except (OverflowError, UnicodeEncodeError):  # a number of more than 64 bits, or half a surrogate pair
        data = encode_json(sent)
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def _encode(values: Sequence[Json]) -> bytes:
    plain = to_builtins(values)
    try:
        return _MESSAGE_PACK + _encoder.encode(plain)
    except (OverflowError, UnicodeEncodeError):
        return _JSON + encode_json(plain)


def _read(answer: bytes, digest: bytes) -> list[Json]:
    """The values of an answer.

    Raises:
        Refusal: it is the answer to another event.
    """
    if answer[:DIGEST_BYTES] != digest:
        raise Refusal("another event had this id", code="CONFLICT")
    kind, data = answer[DIGEST_BYTES : DIGEST_BYTES + 1], answer[DIGEST_BYTES + 1 :]
    values: list[Json] = msgspec.json.decode(data, type=list[Any]) if kind == _JSON else _decoder.decode(data)
    return values
