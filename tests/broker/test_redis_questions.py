"""Questions through Redis that a process cannot answer."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import pytest

from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.values.ids import RoomName
from asgi_realtime.values.inspections import RoomRow
from asgi_realtime.values.questions import NodeAnswer, NodeStatus, Question
from tests.support.recording_receiver import RecordingReceiver
from tests.support.redis_server import RedisProcess


class Answering(RecordingReceiver):
    """Answers with what the function returns."""

    def __init__(self, found: Callable[[], NodeAnswer]) -> None:
        super().__init__()
        self._found = found

    def answer(self, question: Question) -> NodeAnswer:
        return self._found()


def with_half_a_surrogate_pair() -> NodeAnswer:
    return NodeAnswer(rooms=(RoomRow(RoomName("\ud800"), 1),))


def with_a_large_number() -> NodeAnswer:
    return NodeAnswer(members=1 << 64)


def with_an_error() -> NodeAnswer:
    raise ValueError("of an object of the host")


@pytest.mark.parametrize("found", [with_half_a_surrogate_pair, with_a_large_number, with_an_error])
async def test_an_answer_that_cannot_be_given_is_cut_and_ends_no_link(
    found: Callable[[], NodeAnswer], redis_process: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    prefix = f"test-{secrets.token_hex(4)}"
    asked, asking = [RedisBroker(RedisServer(redis_process.url), prefix=prefix, timeout=10.0) for _ in range(2)]
    await asked.start(Answering(found))
    await asking.start(RecordingReceiver())
    link = asked.links.current()
    answers = await asking.ask(NodeStatus(), seconds=10.0)
    assert answers.by_node == {asked.node: NodeAnswer(cut=True), asking.node: NodeAnswer()}
    assert not answers.complete
    assert link is not None and asked.links.current() is link
    [record] = [each for each in caplog.records if each.levelname == "ERROR"]
    assert "a question of a process cannot be answered" in record.getMessage()
    await asking.stop()
    await asked.stop()
