"""The relays of this process by the other process, and whether that one still answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import msgspec

from asgi_realtime.broker.node_channel import NodeChannel
from asgi_realtime.metrics import Meter
from asgi_realtime.metrics.declarations import RELAYS_LOST
from asgi_realtime.runtime.failure_log import FailureLog
from asgi_realtime.transports.engineio.relay.messages import (
    Alive,
    Credit,
    End,
    Leave,
    Message,
    Open,
    Part,
    Probe,
    decode,
    encode,
)
from asgi_realtime.transports.engineio.relay.pipe import Pipe

logger = logging.getLogger("asgi_realtime")

PROBE_EVERY: Final = 2.0
"""Seconds between two probes of each process that there are relays with."""
PROBES: Final = 3
"""Probes without any message in return after which the relays with a process end: a process that is frozen is given up
after 6 to 8 seconds. One that has ended is given up at once, because Redis says that it has no recipient."""
_FRAMING: Final = 65_536
"""Bytes around the messages of a poll's answer or a POST."""


class Peer:
    """Another process."""

    __slots__ = ("node", "opened", "served", "unanswered")

    def __init__(self, node: str) -> None:
        self.node = node
        self.opened: dict[int, OpenedRelay] = {}
        """Relays that this process has opened."""
        self.served: dict[int, Pipe] = {}
        """Relays that the other process has opened."""
        self.unanswered = 0

    def pipe(self, relay: int, *, opened: bool) -> Pipe | None:
        """This end of a relay. `opened`: one that this process has opened. None: there is none with this number."""
        if not opened:
            return self.served.get(relay)
        found = self.opened.get(relay)
        return None if found is None else found.pipe

    def pop(self, relay: int, *, opened: bool) -> Pipe | None:
        """Remove a relay. Returns this end of it."""
        pipe = self.pipe(relay, opened=opened)
        (self.opened if opened else self.served).pop(relay, None)
        return pipe


class OpenedRelay:
    """A relay that this process has opened for a client that is connected to it.

    Args:
        pipe: its end here.
        method: of the HTTP request. A WebSocket: None.
    """

    __slots__ = ("_method", "_node", "_number", "_peers", "pipe")

    def __init__(self, peers: Peers, node: str, number: int, pipe: Pipe, method: str | None) -> None:
        self.pipe = pipe
        self._peers = peers
        self._node = node
        self._number = number
        self._method = method

    def stop(self) -> None:
        """Send its client elsewhere. Does nothing if it has ended.

        A WebSocket is closed with 1012 when the client has completed its upgrade. (The JavaScript client does not poll
        after the answer to its probe. If the WebSocket ends before the upgrade, it waits until its ping times out.)
        A poll is answered by the other end, and the client's next one can arrive at another process, so the session
        goes on. A POST is short, and may end.
        """
        if self._method is None:
            if self.pipe.upgraded:
                self.end()
            else:
                self.pipe.on_upgraded = self.end
        elif self._method == "GET":
            self._peers.leave(self._node, self._number)

    def end(self) -> None:
        """End it, and send that to the other end, which ends the session. Does nothing if it has ended."""
        self._peers.close(self._node, self._number, opened=True, notify=True)


class Peers:
    """Sends and receives the messages of all relays.

    A relay ends when either end ends it, when the other process is gone or does not answer, and when messages may have
    been lost. Each probe lists the relays that its sender has, so a relay whose other end is missing is found within
    `PROBE_EVERY`, whatever was lost.

    Args:
        nodes: the connection.
        open: called for each relay that another process opens, with its pipe. It must not raise.
        largest: bytes of the largest message of a client, or to a client.
        failures: logs what cannot be read.
    """

    def __init__(
        self,
        nodes: NodeChannel,
        *,
        open: Callable[[Peer, Open, Pipe], None],
        largest: int,
        meter: Meter,
        failures: FailureLog,
    ) -> None:
        self._nodes = nodes
        self._failures = failures
        self._open = open
        self._largest = 2 * largest + _FRAMING  # base64 in polls
        self._lost = meter.counter(RELAYS_LOST)
        self._peers: dict[str, Peer] = {}
        self._number = 0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return sum(len(peer.opened) + len(peer.served) for peer in self._peers.values())

    def start(self) -> None:
        """Begin on the running event loop, without relays."""
        self._peers.clear()
        self._timer = None
        self._nodes.listen(received=self._received, lost=self.end_all)

    @property
    def opened(self) -> list[OpenedRelay]:
        """The relays that this process has opened."""
        return [relay for peer in self._peers.values() for relay in peer.opened.values()]

    def end_all(self) -> None:
        """End every relay without a message: some may have been lost, or this process stops."""
        for peer in list(self._peers.values()):
            self._lose(peer)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Relays

    def open(self, node: str, message: Callable[[int], Open]) -> tuple[int, Pipe]:
        """Open a relay to another process. `message` makes its first message from the relay's number."""
        self._number += 1
        peer = self._peer(node)
        opening = message(self._number)
        pipe = self._pipe(peer, self._number, opened=True)
        method = None if opening.websocket else opening.method
        peer.opened[self._number] = OpenedRelay(self, node, self._number, pipe, method)
        self._send(peer, opening)
        return self._number, pipe

    def leave(self, node: str, relay: int) -> None:
        """Ask the other end of a relay that this process has opened to answer now."""
        peer = self._peers.get(node)
        if peer is not None and relay in peer.opened:
            self._send(peer, Leave(self._nodes.node, relay))

    def close(self, node: str, relay: int, *, opened: bool, notify: bool) -> None:
        """Remove a relay. `notify`: the other end has not ended it, and gets a message."""
        peer = self._peers.get(node)
        pipe = None if peer is None else peer.pop(relay, opened=opened)
        if peer is not None and pipe is not None:
            if notify and not pipe.over:
                self._send(peer, End(self._nodes.node, relay, opened))
            pipe.end()
            self._forget(peer)

    def _pipe(self, peer: Peer, relay: int, *, opened: bool) -> Pipe:
        node = self._nodes.node

        def part(kind: str, data: bytes, more: bool) -> None:
            self._send(peer, Part(node, relay, opened, kind, data, more), lambda: pipe.on_undelivered)

        pipe = Pipe(
            part=part,
            credit=lambda size: self._send(peer, Credit(node, relay, opened, size)),
            largest=self._largest,
        )
        return pipe

    def _peer(self, node: str) -> Peer:
        peer = self._peers.get(node)
        if peer is None:
            peer = self._peers[node] = Peer(node)
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(PROBE_EVERY, self._probe)
        return peer

    def _forget(self, peer: Peer) -> None:
        if not peer.opened and not peer.served and self._peers.get(peer.node) is peer:
            del self._peers[peer.node]

    def _lose(self, peer: Peer) -> None:
        """End all relays with a process."""
        if self._peers.get(peer.node) is peer:
            del self._peers[peer.node]
        pipes = [*(relay.pipe for relay in peer.opened.values()), *peer.served.values()]
        peer.opened.clear()
        peer.served.clear()
        if pipes:
            self._lost.value += len(pipes)
        for pipe in pipes:
            pipe.end()

    # Messages

    def _send(
        self, peer: Peer, message: Message, on_undelivered: Callable[[], Callable[[], None] | None] = lambda: None
    ) -> None:
        def sent(count: int) -> None:
            if not count:
                self._lose(peer)
                undelivered = on_undelivered()
                if undelivered is not None:
                    undelivered()

        self._nodes.send(peer.node, encode(message), sent)

    def _received(self, data: bytes) -> None:
        try:
            message = decode(data)
        except msgspec.DecodeError as error:
            self._failures.failed(None, "a message from another process cannot be read", error, traceback=False)
            return
        peer = self._peers.get(message.sender)
        if peer is not None:
            peer.unanswered = 0
        if isinstance(message, Open):
            peer = self._peer(message.sender)
            pipe = peer.served[message.relay] = self._pipe(peer, message.relay, opened=False)
            self._open(peer, message, pipe)
        elif isinstance(message, Probe):
            self._answer(peer or Peer(message.sender), message)
        elif not isinstance(message, Alive):
            self._pass_on(peer, message)

    def _pass_on(self, peer: Peer | None, message: Part | Credit | End | Leave) -> None:
        # What the sender has opened is served here.
        opened = not (isinstance(message, Leave) or message.opened)
        pipe = None if peer is None else peer.pipe(message.relay, opened=opened)
        if isinstance(message, Leave):
            if pipe is not None and pipe.on_leave is not None:
                pipe.on_leave()
        elif isinstance(message, End):
            if pipe is not None:
                pipe.end()
        elif pipe is None:
            if isinstance(message, Part):
                self._end_there(peer or Peer(message.sender), message.relay, opened=opened)
        elif isinstance(message, Credit):
            pipe.receive_credit(message.bytes)
        else:
            try:
                pipe.receive_part(message.kind, message.data, message.more)
            except ValueError as error:
                self._failures.failed(None, "a relay was ended", error, traceback=False)
                self.close(message.sender, message.relay, opened=opened, notify=True)

    def _answer(self, peer: Peer, probe: Probe) -> None:
        for relay in probe.opened:
            if relay not in peer.served:
                self._end_there(peer, relay, opened=False)
        for relay in probe.served:
            if relay not in peer.opened:
                self._end_there(peer, relay, opened=True)
        self._send(peer, Alive(self._nodes.node))

    def _end_there(self, peer: Peer, relay: int, *, opened: bool) -> None:
        self._send(peer, End(self._nodes.node, relay, opened))

    def _probe(self) -> None:
        """Probe every process that there are relays with, and give up those that do not answer."""
        self._timer = None
        for peer in list(self._peers.values()):
            if peer.unanswered >= PROBES:
                logger.warning("a process of this application does not answer; its %d relays end", len(peer.opened))
                self._lose(peer)
                continue
            peer.unanswered += 1
            self._send(peer, Probe(self._nodes.node, list(peer.opened), list(peer.served)))
        if self._peers and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PROBE_EVERY, self._probe)
