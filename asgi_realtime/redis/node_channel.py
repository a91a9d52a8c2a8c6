"""The channel of each process: messages from one process to another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from asgi_realtime.redis.gateway_links import GatewayLinks
from asgi_realtime.redis.link import LinkLost, Reply


class RedisNodeChannel:
    """Sends messages to other processes by their ids, and receives those for this process.

    They are published on the link like everything else, so messages between two processes keep their order. They are
    not kept: what is sent while the recipient has no link is lost, and then `send` says that there was no recipient.

    Args:
        links: the links of this process.
        kind: what the messages are about. Each kind has a channel of its own.
    """

    def __init__(self, links: GatewayLinks, kind: str = "node") -> None:
        self.kind = kind
        self._links = links
        self._received: Callable[[bytes], None] = lambda message: None
        self._lost: Callable[[], None] = lambda: None

    @property
    def node(self) -> str:
        """The id of this process. Empty until the links are open."""
        return self._links.node

    def listen(self, *, received: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        """From now on call `received` for each message, and `lost` when messages may have been lost."""
        self._received = received
        self._lost = lost

    def send(self, node: str, message: bytes, done: Callable[[int], None]) -> None:
        """Send a message. `done` is called with the number of processes that it was sent to: 1, or 0.

        It is 0 if that process has ended, or if the connection was lost. Never waits and never raises.
        """

        def replied(reply: Reply) -> None:
            done(reply if isinstance(reply, int) else 0)

        link = self._links.current()
        try:
            if link is None:
                raise LinkLost
            link.send(replied, self._links.publish_command, self._links.own_channel(self.kind, node), message)
        except LinkLost:
            asyncio.get_running_loop().call_soon(done, 0)

    # For the link

    def receive(self, message: bytes) -> None:
        """A message has come on the channel of this process."""
        self._received(message)

    def link_lost(self) -> None:
        """The link was lost, and messages with it."""
        self._lost()
