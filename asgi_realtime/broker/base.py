"""The contract of brokers, which carry publications and commands between processes, and keep history."""

from __future__ import annotations

from collections.abc import Awaitable, Collection
from typing import Final, Protocol

from asgi_realtime.values.commands import Command
from asgi_realtime.values.ids import GatewayName, RoomName
from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import Newest, Position, Publication, Receipt, ReplyTo, Subscription, Target
from asgi_realtime.values.questions import NodeAnswer, NodeAnswers, Question

RECENT_BYTES: Final = 262_144
"""Bytes of payload after which `Broker.recent` returns no further publication."""


class BrokerReceiver(Protocol):
    """Receives publications and commands from the broker in this process, in order, on the event loop."""

    def deliver(self, publication: Publication) -> int:
        """Write a publication to its recipients in this process. Returns the number of connections."""

    def numbered(self, gateway: GatewayName, position: Position) -> None:
        """A publication that was delivered here without a position has this one now. It is not delivered again."""

    def apply(self, command: Command, position: Position | None) -> Awaitable[object] | None:
        """Begin a command at once. Returns an awaitable that ends when it is carried out. None: it is already.

        `position` is the command's position in the history of its gateway. None: it is not for a single gateway.

        A broker that has missed commands, and cannot get them, has the receiver carry out `EndAll`.
        """

    def subscription_for(self, command: Command) -> Subscription | None:
        """What this process must be subscribed to before a command, which adds members to it. None: nothing.

        The broker subscribes before `apply`, and delivers everything that is published there after the command. The
        receiver calls `subscribe` for it during `apply`, or has done so.
        """

    def resync(self, gateway: GatewayName, subscriptions: Collection[Subscription] | None) -> None:
        """Publications to these targets may be lost, and history does not have them: the members must read again.

        None: publications to all targets of the gateway, because the history is another one. Commands that were given
        just before may be lost too.
        """

    def acknowledged(self, number: int, values: list[Json]) -> None:
        """A client has acknowledged a publication of this process. `number` is that of its `reply_to`."""

    def answer(self, question: Question) -> NodeAnswer:
        """Answer a question about the connections of this process. This returns at once."""


class Broker(Protocol):
    """Numbers publications, keeps them, and delivers them to every process in the same order.

    An answer about history (`position`, `history`, `latest`) is never ahead of delivery: when it returns, the receiver
    has got every publication that the answer covers and this process has subscribed to.

    Every method is called on the event loop. An error of the receiver never reaches the publisher, because the
    publication is in history by then, and a second attempt would duplicate it.
    """

    @property
    def needs_subscriptions(self) -> bool:
        """Whether only subscribed publications are delivered. False: all are, without `subscribe`."""

    @property
    def node(self) -> str:
        """The id of this process, for `reply_to`."""

    @property
    def ready(self) -> bool:
        """Whether it has started, and can publish and deliver."""

    async def start(self, receiver: BrokerReceiver) -> None:
        """Begin to deliver to `receiver`: all commands, and the publications that are subscribed to."""

    async def stop(self) -> None:
        """Stop delivery, and drop every subscription. `publish` then raises `BrokerUnavailable`."""

    async def publish(self, publication: Publication, *, key: str | None = None) -> Receipt:
        """Number, keep (unless volatile) and deliver a publication, as one step.

        If `key` was used on this gateway within the time that history is kept, the first receipt is returned and
        nothing is delivered.

        Raises:
            BrokerUnavailable: the broker did not confirm. Some recipients may have received it.
        """

    async def command(self, command: Command) -> None:
        """Let every process carry out a command, in order with publications.

        Returns when this process has carried it out. Raises what its receiver raised.
        """

    async def subscribe(self, subscriptions: Collection[Subscription]) -> None:
        """Subscribe. After the return, everything published to these targets is delivered.

        Calls of `subscribe` and `unsubscribe` take effect in the order of the calls. An existing subscription is not
        changed. If this raises or is cancelled, no new subscription exists.

        Raises:
            BrokerUnavailable: at least one of them could not be made.
        """

    async def unsubscribe(self, subscriptions: Collection[Subscription]) -> None:
        """Stop the delivery of what is published to these targets. Subscriptions that do not exist are ignored.

        Never raises `BrokerUnavailable`: a broker that is unavailable delivers nothing, and after it returns, these
        subscriptions are not made again.
        """

    async def position(self, gateway: GatewayName) -> Position:
        """The newest position in the history of a gateway.

        Raises:
            BrokerUnavailable: the broker did not answer.
        """

    async def history(
        self, gateway: GatewayName, since: Position, targets: Collection[Target], *, most_bytes: int | None = None
    ) -> list[Publication]:
        """All publications after `since` to any of these targets, in order, without duplicates or gaps.

        The caller must leave out the connections in `except_` of each publication. No more is read soon after
        `most_bytes` (None: the broker's own limit).

        Raises:
            PositionLost: some of them may be gone, they have more than `most_bytes`, or `since` is a position in
                another history.
            BrokerUnavailable: the broker did not answer.
        """

    async def latest(
        self, gateway: GatewayName, room: RoomName, event: str, *, since: Position | None = None
    ) -> Publication | None:
        """The newest publication of an event to a room, if history has one. With `since`: only if it is newer.

        Every publication counts as newer than a position in another history.

        Raises:
            BrokerUnavailable: the broker did not answer.
        """

    async def recent(
        self, gateway: GatewayName, target: Target, *, since: Position | None = None, limit: int = 50
    ) -> Newest:
        """The newest publications to a room, to one user or to all. With `since`: only those that are newer.

        At most `limit`, and no further one after `RECENT_BYTES` of payload. Every publication counts as newer than a
        position in another history.

        Raises:
            BrokerUnavailable: the broker did not answer.
        """

    def acknowledge(self, reply_to: ReplyTo, values: list[Json]) -> None:
        """Send a client's acknowledgement to the process that has asked for it. Never waits and never raises.

        If that process cannot be reached, the acknowledgement is lost.
        """

    async def ask(self, question: Question, *, seconds: float) -> NodeAnswers:
        """Ask every process that has started, this one too, and wait for `seconds` at most.

        Raises:
            BrokerUnavailable: the question could not be asked.
        """
