"""python-socketio and this package, step by step: both behave the same, except for the differences on the page."""

from __future__ import annotations

import collections
import enum
import json
import logging
import math
from typing import Any, NamedTuple

import pytest

from tests.parity.scenario import MODULES, scenario
from tests.parity.steps import STEPS
from tests.support.servers import Serve


@pytest.mark.parametrize("name", STEPS)
async def test_a_step_gives_the_same_result_with_both_servers(
    name: str, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)  # both log the errors of handlers, python-socketio also through asyncio
    seen = []
    for module in MODULES:
        async with scenario(module, serve) as it:
            seen.append(await STEPS[name](it))
    expected, actual = seen
    assert repr(actual) == repr(expected)


class Level(enum.IntEnum):
    HIGH = 3


class Word(enum.StrEnum):
    TEA = "tea"


class Point(NamedTuple):
    x: int
    y: int


PLAIN: tuple[Any, ...] = (None, True, 0, 1.5, "", "a", [], {}, (), (1,), (1, 2), (None,), ([1], {}))
PAYLOADS: dict[str, Any] = {
    **{repr(value): value for value in PLAIN},
    **{repr(value): value for value in ([1, [2, (3, 4)]], {"a": {"b": None}}, 2**70, 1e300, -0.0, "a\0b", "é😀\u2028")},
    **{repr(value): value for value in (b"\x00\xff", b"", {"a": [b"x", {"b": b"y"}]}, (b"x", 1), {1: b"x"})},
    **{repr(key): {key: 1} for key in (1, 1.5, True, False, None, Level.HIGH, Word.TEA)},
    **{repr(value): value for value in ({"a": [{2: {3: 4}}]}, {"_placeholder": True, "num": 0}, Level.HIGH, Word.TEA)},
    "named tuple": Point(1, 2),
    "named tuple inside": [Point(1, 2)],
    "str subclass": type("Text", (str,), {})("t"),
    "int subclass": type("Whole", (int,), {})(3),
    "float subclass": type("Real", (float,), {})(2.5),
    "list subclass": type("Many", (list,), {})([1]),
    "dict subclass": type("Table", (dict,), {})(a=1),
    "tuple subclass": type("Pair", (tuple,), {})((1, 2)),
    "OrderedDict": collections.OrderedDict(b=1, a=2),
    "defaultdict": collections.defaultdict(list, a=[1]),
    "Counter": collections.Counter("aa"),
}
# Documented differences. JSON cannot represent these values, and browsers fail to parse them.
DIFFERENT: dict[str, tuple[Any, Any]] = {
    "nan": (math.nan, None),
    "inf": (math.inf, None),
    "half a surrogate pair": ("a\ud83d", "a\ufffd"),
}


async def received_for(module: Any, serve: Serve, payload: Any) -> list[Any]:
    """What a client receives for a payload: sent to it, broadcast, in a call, and as an acknowledgement."""
    async with scenario(module, serve) as it:
        it.sio.on("answer", lambda sid: payload)
        client = await it.client()
        await it.sio.emit("one", payload, to=client.sid)
        await it.sio.emit("all", payload)
        await it.sio.call("call", payload, to=client.sid)
        return [*client.received, await client.call("answer")]


@pytest.mark.parametrize("name", PAYLOADS)
async def test_a_payload_that_json_dumps_accepts_arrives_the_same(name: str, serve: Serve) -> None:
    expected, actual = [await received_for(module, serve, PAYLOADS[name]) for module in MODULES]
    assert repr(actual) == repr(expected)


@pytest.mark.parametrize("name", DIFFERENT)
async def test_values_without_a_json_form_arrive_as_documented(name: str, serve: Serve) -> None:
    payload, arrives = DIFFERENT[name]
    for value, expected in ((payload, arrives), ({"a": [payload]}, {"a": [arrives]})):
        theirs, actual = [await received_for(module, serve, value) for module in MODULES]
        assert actual == [("one", expected), ("all", expected), ("call", expected), expected]
        assert repr(theirs) != repr(actual)
        assert json.dumps(value)
