"""How broadcasts and commands reach the broker: encoded, within the limits, and in time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from time import perf_counter
from typing import Any, TypeVar

from asgi_realtime.broadcasting.gateway_registry import GatewayRegistry
from asgi_realtime.broadcasting.publish_metrics import PublishMetrics
from asgi_realtime.broadcasting.route_parameters import NoSchema
from asgi_realtime.broker.base import Broker
from asgi_realtime.broker.time_limit import answer_in_time
from asgi_realtime.errors import BrokerUnavailable, PayloadTooLarge
from asgi_realtime.limits import Limits
from asgi_realtime.metrics import Meter
from asgi_realtime.payloads.encoding import encode
from asgi_realtime.runtime.coroutines import run_with_timeout
from asgi_realtime.runtime.loop_bridge import LoopBridge
from asgi_realtime.values.commands import Command
from asgi_realtime.values.ids import ConnectionId, GatewayName, Id, id_text, id_texts
from asgi_realtime.values.publications import Newest, Position, Publication, Receipt, Target
from asgi_realtime.values.questions import NodeAnswers, Question
from asgi_realtime.values.text import is_longer

T = TypeVar("T")

_TURN_BYTES = 65_536
"""Bytes of payload that may be published before the event loop runs other callbacks."""


class Publisher(NoSchema):
    """Publishes to the broker for broadcasters. All broadcasters of an app share one."""

    def __init__(
        self,
        *,
        broker: Broker,
        gateways: GatewayRegistry,
        loop_bridge: LoopBridge,
        publish_timeout: float,
        meter: Meter | None = None,
    ) -> None:
        """`publish_timeout` is the most that the broker may take for one call, in seconds."""
        self._broker = broker
        self._gateways = gateways
        self._loop_bridge = loop_bridge
        self._timeout = publish_timeout
        self._unwritten = 0
        self._metrics = None if meter is None or not meter.on else PublishMetrics(meter)
        self.draining = False
        """Whether the process closes its clients, because it is about to stop."""

    @property
    def node(self) -> str:
        """The id of this process."""
        return self._broker.node

    @property
    def ready(self) -> bool:
        """Whether the broker can publish and deliver, and clients are let in."""
        return self._broker.ready and not self.draining

    def set_draining(self) -> None:
        """The process begins to close its clients."""
        self.draining = True

    def publish_event(
        self,
        gateway: GatewayName,
        target: Target,
        event: str,
        data: Any,
        except_: Id | Iterable[Id] | None,
        volatile: bool,
        key: Id | None,
    ) -> Coroutine[Any, Any, Receipt]:
        """Encode an event for a gateway, at once, and publish it when the result is awaited. See `Broadcaster`."""
        dialect = self._gateways[gateway].dialect
        event = dialect.event_name(event)
        payload, attachments = encode(data)
        if attachments and not dialect.binary:
            raise TypeError(f"{event}: {gateway} carries JSON and no bytes; encode them, for example as base64 text")
        publication = Publication(
            gateway=gateway,
            target=target,
            event=event,
            payload=payload,
            attachments=attachments,
            except_=_connections(except_),
            volatile=volatile,
        )
        return self.publish(publication, key=None if key is None else id_text(key, "key"))

    async def publish(self, publication: Publication, *, key: str | None = None) -> Receipt:
        """Publish what is encoded already. Every broadcast ends here."""
        self._loop_bridge.check()
        event = publication.event
        limits = self._gateways[publication.gateway].limits
        size = checked_size(event, publication.payload, publication.attachments, limits)
        began = 0.0 if self._metrics is None else perf_counter()
        try:
            receipt = await run_with_timeout(self._timeout, self._broker.publish(publication, key=key))
        except (BrokerUnavailable, TimeoutError) as error:
            if self._metrics is not None:
                self._metrics.failed(publication.gateway)
            if isinstance(error, BrokerUnavailable):
                raise
            raise BrokerUnavailable(
                f"{event}: the broker did not answer within MEW_PUBLISH_TIMEOUT ({self._timeout} s)"
            ) from None
        if self._metrics is not None:
            self._metrics.published(publication.gateway, perf_counter() - began)
        self._unwritten += size
        if self._unwritten >= _TURN_BYTES:
            # Let the writers run: otherwise a host that broadcasts in a loop would fill the outbox of every client.
            self._unwritten = 0
            await asyncio.sleep(0)
        return receipt

    async def command(self, command: Command, *, wait: bool = False) -> None:
        """Send a command to every process. `wait`: without a timeout here, because calls of the host have their own."""
        self._loop_bridge.check()
        call = self._broker.command(command)
        await (call if wait else answer_in_time(self._timeout, call))

    async def position(self, gateway: GatewayName) -> Position:
        """The newest place in a gateway's history. See `Broadcaster.position`."""
        return await self.answer(self._broker.position(gateway))

    async def recent(
        self, gateway: GatewayName, target: Target, *, since: Position | None = None, limit: int = 50
    ) -> Newest:
        """The newest publications to a target that history has. See `Broker.recent`."""
        return await self.answer(self._broker.recent(gateway, target, since=since, limit=limit))

    async def history(self, gateway: GatewayName, since: Position, targets: Sequence[Target]) -> list[Publication]:
        """All publications after a position to some targets. See `Broker.history`."""
        return await self.answer(self._broker.history(gateway, since, targets))

    async def ask(self, question: Question) -> NodeAnswers:
        """Ask every process. Answers that do not come in time are missing. See `ClusterQuestions.connections`."""
        # Less than the whole, so that the answers that have come are returned.
        return await self.answer(self._broker.ask(question, seconds=0.8 * self._timeout))

    async def answer(self, call: Coroutine[Any, Any, T]) -> T:
        """Await a call to the broker or to presence, for as long as a call may take.

        Raises:
            BrokerUnavailable: it took longer.
            RuntimeError: on another thread or event loop than the gateway's.
        """
        try:
            self._loop_bridge.check()
        except BaseException:
            call.close()
            raise
        return await answer_in_time(self._timeout, call)


def _connections(ids: Id | Iterable[Id] | None) -> tuple[ConnectionId, ...]:
    """The connections that a broadcast leaves out."""
    if ids is None or ids == ():
        return ()
    if isinstance(ids, str) or not isinstance(ids, Iterable):
        return (ConnectionId(id_text(ids, "except_")),)
    return tuple(map(ConnectionId, id_texts(ids, "except_")))


def checked_size(event: str, payload: bytes, attachments: Sequence[bytes], limits: Limits) -> int:
    """The bytes of an event of the host, which are within the limits.

    Raises:
        ValueError: for a name over `Limits.event_name_bytes`.
        PayloadTooLarge: for a payload over `Limits.publication_bytes`.
    """
    if is_longer(event, limits.event_name_bytes):
        raise ValueError(f"event is over MEW_EVENT_NAME_BYTES ({limits.event_name_bytes}): {event[:40]!r}…")
    size = len(payload) + sum(map(len, attachments))
    if size > limits.publication_bytes:
        raise PayloadTooLarge(
            f"{event}: {size} bytes are over MEW_PUBLICATION_BYTES ({limits.publication_bytes}); send a link"
        )
    return size
