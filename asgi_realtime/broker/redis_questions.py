"""Questions to every process, through Redis: asked on one channel, answered on the channel of the process that asks.

Redis returns how many processes a question has reached. When all of these have answered, the answer is there. It is
complete if all processes that have a lease are among them. A process that is cut off from Redis, or has died, has one
for `MEW_NODE_LEASE`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Final, cast

import hiredis
import msgspec

from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.redis.gateway_links import GatewayLinks
from asgi_realtime.redis.keys import SHARED
from asgi_realtime.redis.link import Link, LinkLost, Reply
from asgi_realtime.runtime.failure_log import FailureLog
from asgi_realtime.values.questions import CommandDone, NodeAnswer, NodeAnswers, Question

MOST_PENDING: Final = 1_000
"""Most questions of this process that wait for answers. Over: `BrokerUnavailable`."""
MOST_A_SECOND: Final = 1_000
"""Most questions that this process answers in a second. Others are not answered, so their answers are not complete."""


class _Asked(msgspec.Struct, array_like=True, frozen=True):
    node: str
    number: int
    question: Question | CommandDone


class _Answered(msgspec.Struct, array_like=True, frozen=True):
    node: str
    number: int
    answer: NodeAnswer


_encoder = msgspec.msgpack.Encoder()
_asked_decoder = msgspec.msgpack.Decoder(_Asked)
_answered_decoder = msgspec.msgpack.Decoder(_Answered)


class _Pending:
    """A question that waits for answers."""

    __slots__ = ("answers", "done", "expected")

    def __init__(self) -> None:
        self.answers: dict[str, NodeAnswer] = {}
        self.expected: int | None = None
        """How many processes it has reached. None: Redis has not returned it yet."""
        self.done = asyncio.Event()

    def check(self) -> None:
        """Check whether all answers are there."""
        if self.expected is not None and len(self.answers) >= self.expected:
            self.done.set()


class Questions:
    """Asks questions, and answers those of others.

    Args:
        when_done: calls the function when a command is carried out here.
    """

    def __init__(self, links: GatewayLinks, *, when_done: Callable[[CommandDone, Callable[[], None]], object]) -> None:
        self._links = links
        self._failures = FailureLog()
        self._when_done = when_done
        self._keys = links.keys(SHARED)
        self._questions = self._keys.channel("questions")
        self._numbers = itertools.count()
        self._pending: dict[int, _Pending] = {}
        self._second = 0
        self._answered = 0
        self.answer: Callable[[Question], NodeAnswer] | None = None
        """What answers for this process. None: it has no connections, and answers nothing."""

    def subscribe_on(self, link: Link) -> None:
        """Subscribe on a new link."""
        link.subscribe([self._answers_of(self._links.node), *([self._questions] if self.answer is not None else [])])

    def received(self, channel: bytes, payload: bytes) -> None:
        """A message has come on one of the channels of this object, or on one that is unsubscribed from."""
        name = channel.decode()
        try:
            if name == self._questions:
                self._reply(_asked_decoder.decode(payload))
            elif name == self._answers_of(self._links.node):
                self._take(_answered_decoder.decode(payload))
        except msgspec.DecodeError as error:
            self._failures.failed(None, "a question or an answer in Redis cannot be read", error, traceback=False)

    async def ask(self, link: Link, question: Question | CommandDone, seconds: float) -> NodeAnswers:
        """Ask every process, and wait for `seconds` at most.

        Raises:
            BrokerUnavailable: the connection to Redis was lost, Redis refused, or too many questions wait.
        """
        if len(self._pending) >= MOST_PENDING:
            raise BrokerUnavailable(f"{MOST_PENDING} questions wait for their answers")
        number = next(self._numbers)
        pending = self._pending[number] = _Pending()
        reached, leases = 0, frozenset[str]()
        try:
            async with asyncio.timeout(seconds):
                data = _encoder.encode(_Asked(self._links.node, number, question))
                reached, leases = await asyncio.gather(
                    link.ask(self._links.publish_command, self._questions, data, read=_as_number),
                    link.ask("ZRANGE", self._keys.nodes, 0, -1, read=_processes),
                )
                pending.expected = reached
                pending.check()
                await pending.done.wait()
        except TimeoutError:
            if pending.expected is None:
                raise BrokerUnavailable(f"Redis did not answer within {seconds:g} s") from None
        except (LinkLost, hiredis.ReplyError) as error:
            raise BrokerUnavailable(f"the question could not be asked: {error}") from error
        finally:
            del self._pending[number]
        answers = pending.answers
        missing = tuple(sorted(leases - answers.keys()))
        complete = not missing and len(answers) >= reached and not any(each.cut for each in answers.values())
        return NodeAnswers(answers, complete, missing)

    def _answers_of(self, asker: str) -> str:
        return self._keys.channel(f"answers:{asker}")

    def _reply(self, asked: _Asked) -> None:
        second = int(asyncio.get_running_loop().time())
        if second != self._second:
            self._second, self._answered = second, 0
        self._answered += 1
        if self._answered > MOST_A_SECOND:
            return
        if isinstance(asked.question, CommandDone):
            self._when_done(asked.question, lambda: self._send(asked, self._encode(asked, NodeAnswer())))
        elif self.answer is not None:
            try:
                data = self._encode(asked, self.answer(asked.question))
            except Exception as error:  # of what a client or the host has chosen. The link must not end with it
                self._failures.failed(None, "a question of a process cannot be answered", error)
                data = self._encode(asked, NodeAnswer(cut=True))
            self._send(asked, data)

    def _encode(self, asked: _Asked, answer: NodeAnswer) -> bytes:
        return _encoder.encode(_Answered(self._links.node, asked.number, answer))

    def _send(self, asked: _Asked, data: bytes) -> None:
        link = self._links.current()
        if link is None:
            return  # the process that asks gets an incomplete answer
        try:
            link.send(lambda reply: None, self._links.publish_command, self._answers_of(asked.node), data)
        except LinkLost:
            pass

    def _take(self, answered: _Answered) -> None:
        pending = self._pending.get(answered.number)
        if pending is not None:
            pending.answers[answered.node] = answered.answer
            pending.check()


def _as_number(reply: Reply) -> int:
    return cast("int", reply)


def _processes(reply: Reply) -> frozenset[str]:
    # A node is called as its process, with a part that changes if its lease was lost.
    return frozenset(node.decode().partition(".")[0] for node in cast("list[bytes]", reply))
