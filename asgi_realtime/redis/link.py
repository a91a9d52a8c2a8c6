"""One connection to Redis, in RESP3: replies and messages arrive on it in the order in which Redis made them.

Redis runs one command at a time. It queues the messages of a PUBLISH before that command's reply, and before everything
that a later command causes. So with both on one connection, when a reply has come, every message that Redis had
published to this process before has come too. Only the copies of the command's own messages come directly after the
reply, from Redis 7.2 on. Then the reply is held until they are handled. This is why publishing, subscribing and reading
history share a link:

- the copy of a node's own publication is handled directly before the reply to it;
- after the reply to a command that follows SUBSCRIBE, nothing published later is missed;
- an answer about history is never ahead of what was delivered.

Nothing is awaited for a message. hiredis parses what a read returns, and the callback is called for each message.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias, TypeVar, cast

import hiredis

from asgi_realtime.redis.server_clock import ServerClock
from asgi_realtime.runtime.fair_turns import SECONDS_A_TURN

Reply: TypeAlias = object
"""A value of Redis: bytes, int, None, or a list of these. An exception: the command failed, or the link was lost."""

Argument: TypeAlias = str | bytes | int
"""One word of a command."""

T = TypeVar("T")

CountCopies: TypeAlias = Callable[[Reply], int]
"""From the reply to a command that publishes: how many of its messages come on the same link."""

UNSENT_BYTES: Final = 16 * 1024 * 1024
"""Most bytes of commands that wait because Redis does not read. Over: commands are refused with `LinkLost`."""
SUBSCRIBE_AT_ONCE: Final = 512
"""Most channels in one command, so that Redis serves other clients in between."""
ELSEWHERE: Final = ("MOVED ", "READONLY ", "MASTERDOWN ", "CLUSTERDOWN", "LOADING ")
"""How errors begin of a server that is not, or not yet, the right one. The command was not carried out."""
_MORE: Final = object()


class LinkLost(Exception):
    """The connection to Redis is lost. It is not known whether the command was carried out."""


class Link(asyncio.Protocol):
    """One connection to Redis that is established and authenticated.

    It ends when the connection is lost, when it is given up, and when Redis replies that it is the wrong server.

    Args:
        on_message: called with channel and payload of each message, in order.
        on_lost: called once, when the link has ended.
        sharded: whether channels belong to the slots of a Redis Cluster.
    """

    def __init__(
        self, *, on_message: Callable[[bytes, bytes], None], on_lost: Callable[[Link], None], sharded: bool = False
    ) -> None:
        self._on_message = on_message
        self._on_lost = on_lost
        self._subscribe, self._unsubscribe = ("SSUBSCRIBE", "SUNSUBSCRIBE") if sharded else ("SUBSCRIBE", "UNSUBSCRIBE")
        self._reader = hiredis.Reader(notEnoughData=_MORE)
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Callable[[Reply], None]] = deque()
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._reading = False
        self.lost = False
        self._sharded = sharded
        self._removed: Counter[bytes] = Counter()
        """How many confirmations of SUNSUBSCRIBE are due. One that is not: the slot was moved to another server."""
        self.bytes_received = 0
        self.refusal: str | None = None
        """What Redis replied, if the link was given up for that."""
        self.connection: object = None
        """What opened the connection. It must live as long as the link."""
        self.clock = ServerClock()
        """That of the server."""
        self.copies_follow = False
        """Whether Redis sends this link the copies of its own messages after the reply, as it does from 7.2 on."""
        self._copies_due = 0
        """How many copies must still come before the reply is handled that is held."""
        self._held_reply: Reply = None
        self._on_held: Callable[[Reply], None] = lambda reply: None

    # Commands

    def send(self, on_reply: Callable[[Reply], None], *command: Argument) -> None:
        """Send a command: at once if no reply is due, else at the end of this iteration of the loop, with others.

        `on_reply` is called with the reply, in order with the messages. It must not raise.

        Raises:
            LinkLost: the connection is lost, or Redis does not read.
        """
        self._send_packed(on_reply, pack(*command))

    def _send_packed(self, on_reply: Callable[[Reply], None], command: bytes) -> None:
        if self.lost or self._transport is None:
            raise LinkLost("there is no connection to Redis")
        if self._unsent_bytes + self._transport.get_write_buffer_size() > UNSENT_BYTES:
            raise LinkLost(f"Redis does not read: more than {UNSENT_BYTES} bytes wait")
        self._write(command)
        self._waiting.append(on_reply)

    def ask(
        self, *command: Argument, read: Callable[[Reply], T], copies: CountCopies | None = None
    ) -> asyncio.Future[T]:
        """Send a command. The result is what `read` returns for its reply. See `ask_packed`."""
        return self.ask_packed(pack(*command), read, copies)

    def ask_packed(
        self, command: bytes, read: Callable[[Reply], T], copies: CountCopies | None = None
    ) -> asyncio.Future[T]:
        """Send a command. The result is what `read` returns for its reply; it is called in order with the messages.

        `copies`: the command publishes. Its own messages are handled before the reply, also if Redis sends them after
        it (`copies_follow`).

        The future raises `LinkLost`, or `hiredis.ReplyError` if Redis refused the command.

        Raises:
            LinkLost: the connection is lost, or Redis does not read.
        """
        answer: asyncio.Future[T] = self._loop.create_future()

        def replied(reply: Reply) -> None:
            if answer.done():  # the caller was cancelled
                return
            if isinstance(reply, Exception):
                answer.set_exception(reply)
            else:
                answer.set_result(read(reply))

        if copies is not None and self.copies_follow:
            self._send_packed(functools.partial(self._handle_after_copies, replied, copies), command)
        else:
            self._send_packed(replied, command)
        return answer

    def _handle_after_copies(self, on_reply: Callable[[Reply], None], copies: CountCopies, reply: Reply) -> None:
        due = 0 if isinstance(reply, Exception) else copies(reply)
        if due:
            # Redis sends them directly after the reply, before anything else.
            self._copies_due, self._held_reply, self._on_held = due, reply, on_reply
        else:
            on_reply(reply)

    def _copy_came(self) -> None:
        self._copies_due -= 1
        if not self._copies_due:
            self._on_held(self._held_reply)

    def subscribe(self, channels: Iterable[str]) -> None:
        """Subscribe. A reply to any later command says that it is done.

        Redis confirms with messages, and has no reply. Only a refusal has one, and that would be taken for the reply
        to another command. So a PING follows each, and if its reply is another, the link is given up.
        """
        names = list(channels)
        for start in range(0, len(names), SUBSCRIBE_AT_ONCE):
            self._write(pack(self._subscribe, *names[start : start + SUBSCRIBE_AT_ONCE]))
            self.send(self._check_pong, "PING")

    def unsubscribe(self, channels: Iterable[str]) -> None:
        """Unsubscribe. See `subscribe`."""
        names = list(channels)
        for start in range(0, len(names), SUBSCRIBE_AT_ONCE):
            some = names[start : start + SUBSCRIBE_AT_ONCE]
            if self._sharded:
                self._removed.update(name.encode() for name in some)
            self._write(pack(self._unsubscribe, *some))
            self.send(self._check_pong, "PING")

    def _check_pong(self, reply: Reply) -> None:
        if isinstance(reply, hiredis.ReplyError):
            self._refused(str(reply))

    def _refused(self, text: str) -> None:
        self.refusal = text
        self.abort()

    def _write(self, data: bytes) -> None:
        # A caller that awaits each command must not wait for another iteration of the loop. Of a burst, the first
        # command is written here, and the others together.
        if not self._waiting and not self._unsent and self._transport is not None:
            self._transport.write(data)
            return
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(data)
        self._unsent_bytes += len(data)

    def _flush(self) -> None:
        unsent, self._unsent, self._unsent_bytes = self._unsent, [], 0
        if self._transport is not None and not self.lost:
            self._transport.write(unsent[0] if len(unsent) == 1 else b"".join(unsent))

    def check(self) -> None:
        """Check that the link has not ended.

        Raises:
            LinkLost: it has.
        """
        if self.lost:
            raise LinkLost(self.refusal or "the connection was lost")

    @property
    def receiving(self) -> bool:
        """Whether received messages wait for the next turn of the event loop."""
        return self._reading

    def abort(self) -> None:
        """Give the connection up. The link has ended when this returns."""
        if self._transport is not None:
            self._transport.abort()
        self._end(LinkLost(self.refusal or "the connection to Redis was given up"))

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is ready."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse replies and messages, and handle them in order."""
        self.bytes_received += len(data)
        self._reader.feed(data)
        if not self._reading and not self.lost:  # else `_resume` is scheduled
            self._read()

    def _read(self) -> None:
        """Handle what was received, for at most one turn of the event loop: a message may have many recipients."""
        until = time.monotonic() + SECONDS_A_TURN
        gets, message, self._reading = self._reader.gets, self._on_message, False
        try:
            while (reply := gets()) is not _MORE:
                if type(reply) is hiredis.PushNotification:
                    if len(reply) == 3 and reply[0] in (b"message", b"smessage"):
                        message(reply[1], reply[2])
                        if self._copies_due:
                            self._copy_came()
                        if time.monotonic() > until:
                            self._yield()
                            return
                        continue
                    if len(reply) == 3 and reply[0] == b"sunsubscribe":
                        self._unsubscribed(reply[1])
                elif type(reply) is hiredis.ReplyError and is_elsewhere(reply):
                    self._refused(str(reply))
                elif self._waiting:
                    self._waiting.popleft()(reply)
                else:
                    raise hiredis.ProtocolError(f"a reply to no command: {reply!r:.100}")
                if self.lost:
                    return
        except hiredis.ProtocolError:
            self.abort()
        except BaseException:
            self.abort()  # what was received behind it cannot be handled in order any more; the next link reads it
            raise

    def _unsubscribed(self, channel: bytes) -> None:
        if self._removed[channel]:
            self._removed[channel] -= 1
            if not self._removed[channel]:
                del self._removed[channel]
        else:
            self._refused("MOVED: the slot of its channels is on another server now")

    def _yield(self) -> None:
        assert self._transport is not None
        self._reading = True
        if not self._transport.is_closing():
            self._transport.pause_reading()
        self._loop.call_soon(self._resume)

    def _resume(self) -> None:
        if self.lost:  # the next link reads the rest from history
            self._reading = False
            return
        self._read()
        if not self._reading and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """The connection has ended."""
        self._end(LinkLost(f"the connection to Redis was lost: {error!r}" if error else "Redis closed the connection"))

    def _end(self, reason: LinkLost) -> None:
        if self.lost:
            return
        self.lost = True
        self._on_lost(self)  # before callers that get an error try again
        if self._copies_due:  # as if the reply was lost: the copies must be read from history
            self._copies_due = 0
            self._on_held(reason)
        while self._waiting:
            self._waiting.popleft()(reason)


def is_elsewhere(error: hiredis.ReplyError) -> bool:
    """Whether a reply says that another server must be asked, or this one later."""
    text = str(error)
    return text.startswith(ELSEWHERE) or "-READONLY " in text  # Redis 6.2 puts errors of scripts into its own


def pack(*command: Argument) -> bytes:
    """The bytes of a command."""
    # hiredis declares that it takes tuples of one item.
    packed: bytes = hiredis.pack_command(cast("Any", command))
    return packed
