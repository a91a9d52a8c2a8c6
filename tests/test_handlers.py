"""How handlers are declared, what is injected, how host code is called."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import threading
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import msgspec
import pydantic
import pytest

from asgi_realtime import (
    Broadcaster,
    ConfigurationError,
    Connection,
    Identity,
    InvalidMessage,
    SocketIOGateway,
    on,
)
from asgi_realtime.event_names import RESERVED
from asgi_realtime.gateways.handlers import beginning, declared
from asgi_realtime.host_calls import call_host
from tests.recording import World


class Say(msgspec.Struct):
    text: str


@dataclasses.dataclass
class Point:
    x: int


class Token(TypedDict):
    token: str


class Model(pydantic.BaseModel):
    n: int


CONNECTION, _ = World().connection("ann")
BROADCASTER: Any = object()


def arguments(function: Callable[..., Any], *sent: Any) -> list[Any]:
    @functools.wraps(function)
    async def given(*arguments: Any) -> list[Any]:
        return list(arguments)

    work = beginning("event", given, BROADCASTER)(CONNECTION, sent)
    with pytest.raises(StopIteration) as ended:
        work.send(None)
    found: list[Any] = ended.value.value
    return found


def test_injection_in_any_order() -> None:
    def function(say: Say, c: Connection, i: Identity, p: Point, b: Broadcaster, m: Model, t: Token) -> None: ...

    assert arguments(function, {"text": "a"}, {"x": 1}, {"n": 2}, {"token": "t"}) == [
        Say("a"),
        CONNECTION,
        CONNECTION.identity,
        Point(1),
        BROADCASTER,
        Model(n=2),
        {"token": "t"},
    ]


def test_the_usual_shapes_and_others() -> None:
    def none() -> None: ...
    def one(say: Say) -> None: ...
    def who(connection: Connection) -> None: ...
    def what_who(say: Say, connection: Connection) -> None: ...
    def who_what(connection: Connection, say: Say) -> None: ...
    def identity(say: Say, identity: Identity) -> None: ...
    def two(say: Say, times: int) -> None: ...

    sent, say = {"text": "a"}, Say("a")
    assert arguments(none, sent) == []
    assert arguments(one, sent, 2) == [say]
    assert arguments(who, sent) == [CONNECTION]
    assert arguments(what_who, sent) == [say, CONNECTION]
    assert arguments(who_what, sent) == [CONNECTION, say]
    assert arguments(identity, sent) == [say, CONNECTION.identity]
    assert arguments(two, sent, 2) == [say, 2]
    for function in (one, what_who, who_what, identity, two):
        with pytest.raises(InvalidMessage, match="a payload is missing"):
            arguments(function)
        with pytest.raises(InvalidMessage, match=r"`\$\.text`"):
            arguments(function, {"text": 1}, 2)


def test_without_annotations_as_decoded() -> None:
    def function(first, *rest): ...  # type: ignore[no-untyped-def]

    assert arguments(function, {"a": 1}, 2, b"3") == [{"a": 1}, 2, b"3"]
    assert arguments(lambda: None, 1, 2) == [], "what nobody takes is left"


def test_defaults_and_what_is_missing() -> None:
    def function(text: str, times: int = 3) -> None: ...

    assert arguments(function, "a") == ["a", 3]
    assert arguments(function, "a", 4) == ["a", 4]
    for sent in ((), ("a", "4"), (None,)):
        with pytest.raises(InvalidMessage):
            arguments(function, *sent)


def test_an_injected_parameter_after_an_optional_one() -> None:
    def function(text: str = "none", *, connection: Connection) -> None: ...

    def after(text: str, times: int = 1, connection: Connection = CONNECTION) -> None: ...

    with pytest.raises(ConfigurationError):
        beginning("event", function, BROADCASTER)
    assert arguments(after, "a", 2) == ["a", 2, CONNECTION]
    assert arguments(after, "a") == ["a", 1, CONNECTION]


def test_constraints_in_annotations_hold() -> None:
    def function(text: Annotated[str, msgspec.Meta(max_length=3)]) -> None: ...

    assert arguments(function, "abc") == ["abc"]
    with pytest.raises(InvalidMessage):
        arguments(function, "abcd")


def test_signatures_that_cannot_work_are_found_at_once() -> None:
    def keyword(*, text: str) -> None: ...

    def unknown(text: DoesNotExist) -> None: ...  # type: ignore[name-defined] # noqa: F821

    def optional(connection: Connection | None) -> None: ...

    for function in (keyword, unknown, optional):
        with pytest.raises(ConfigurationError, match="event"):
            beginning("event", function, BROADCASTER)


def test_methods_partials_and_wrapped_functions() -> None:
    class Service:
        async def handle(self, say: Say, connection: Connection) -> None: ...

    assert arguments(Service().handle, {"text": "a"}) == [Say("a"), CONNECTION]

    def original(say: Say, connection: Connection) -> None: ...

    @functools.wraps(original)
    def wrapped(*arguments: Any) -> None: ...

    assert arguments(wrapped, {"text": "a"}) == [Say("a"), CONNECTION]


def test_the_protocols_own_names_have_no_handler() -> None:
    gateway = SocketIOGateway("/")
    for name in RESERVED:
        with pytest.raises(ConfigurationError, match="on_connect"):
            on(name)
        with pytest.raises(ConfigurationError, match="on_connect"):
            gateway.on(name)


def test_declared() -> None:
    class Base(SocketIOGateway):
        @on("a")
        @on("b")
        async def first(self) -> str:
            return "base"

        @on("c")
        async def second(self) -> None: ...

    class Derived(Base):
        async def first(self) -> str:
            return "derived"

        @on("c")
        async def third(self) -> None: ...

    found = declared(Derived("/"))
    assert set(found) == {"a", "b", "c", "auth/refresh"}
    assert found["a"].__func__ is Derived.first  # type: ignore[attr-defined]
    assert found["c"].__func__ is Derived.third  # type: ignore[attr-defined]


def test_a_gateway_takes_any_callable() -> None:
    class Service:
        def handle(self, say: Say) -> None: ...

    gateway = SocketIOGateway("/")
    method = Service().handle
    assert gateway.on("a")(method) is method


async def test_sync_code_runs_in_a_thread_and_async_code_does_not() -> None:
    here = threading.get_ident()

    async def asynchronous() -> int:
        return threading.get_ident()

    def late() -> Any:
        return asynchronous()

    class Callable_:
        async def __call__(self) -> int:
            return threading.get_ident()

    assert await call_host(threading.get_ident) != here
    assert await call_host(asynchronous) == here
    assert await call_host(functools.partial(asynchronous)) == here
    assert await call_host(late) == here
    assert await call_host(Callable_()) == here


async def test_a_thread_is_left_alone_when_nobody_waits_for_it_any_more() -> None:
    release, ended = threading.Event(), threading.Event()

    def slow() -> None:
        release.wait(10)
        ended.set()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await call_host(slow)
    assert not ended.is_set()
    release.set()
    assert await asyncio.to_thread(ended.wait, 10)
