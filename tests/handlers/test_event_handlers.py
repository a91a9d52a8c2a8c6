"""How handlers are declared, what is injected, how host code is called."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import functools
import inspect
import threading
from collections.abc import Callable
from typing import Annotated, Any, Optional, TypedDict

import fastapi
import msgspec
import pydantic
import pytest
from annotated_types import MaxLen
from pydantic import Field

from asgi_realtime import (
    Broadcaster,
    ConfigurationError,
    Connection,
    Handshake,
    Identity,
    InvalidMessage,
    MewBroadcaster,
    SocketIOGateway,
    on,
)
from asgi_realtime.handlers.event_handlers import bind_handler, declared
from asgi_realtime.runtime.host_calls import call_host
from asgi_realtime.values.event_names import RESERVED
from tests.support.recording import World


class Say(msgspec.Struct):
    text: str


@dataclasses.dataclass
class Point:
    x: int


class Token(TypedDict):
    token: str


class Model(pydantic.BaseModel):
    n: int


CONNECTION = World().connection("ann")[0].public
BROADCASTER: Any = object()


def arguments(function: Callable[..., Any], *sent: Any, connection: Connection = CONNECTION) -> list[Any]:
    @functools.wraps(function)
    async def given(*arguments: Any) -> list[Any]:
        return list(arguments)

    work = bind_handler("event", given, BROADCASTER)(connection, sent)
    with pytest.raises(StopIteration) as ended:
        work.send(None)
    found: list[Any] = ended.value.value
    return found


def test_parameters_are_injected_in_any_order() -> None:
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


def test_the_usual_handler_signatures_get_their_arguments() -> None:
    def none() -> None: ...
    def one(say: Say) -> None: ...
    def connected(connection: Connection) -> None: ...
    def event_connection(say: Say, connection: Connection) -> None: ...
    def connection_event(connection: Connection, say: Say) -> None: ...
    def identity(say: Say, identity: Identity) -> None: ...
    def two(say: Say, times: int) -> None: ...

    sent, say = {"text": "a"}, Say("a")
    assert arguments(none, sent) == []
    assert arguments(one, sent, 2) == [say]
    assert arguments(connected, sent) == [CONNECTION]
    assert arguments(event_connection, sent) == [say, CONNECTION]
    assert arguments(connection_event, sent) == [CONNECTION, say]
    assert arguments(identity, sent) == [say, CONNECTION.identity]
    assert arguments(two, sent, 2) == [say, 2]
    for function in (one, event_connection, connection_event, identity, two):
        with pytest.raises(InvalidMessage, match="a payload is missing"):
            arguments(function)
        with pytest.raises(InvalidMessage, match=r"`\$\.text`"):
            arguments(function, {"text": 1}, 2)


def test_parameters_without_annotations_get_the_decoded_values() -> None:
    def function(first, *rest): ...  # type: ignore[no-untyped-def]

    assert arguments(function, {"a": 1}, 2, b"3") == [{"a": 1}, 2, b"3"]
    assert arguments(lambda: None, 1, 2) == [], "arguments without a parameter are dropped"


def test_a_missing_argument_is_refused_unless_it_has_a_default() -> None:
    def function(text: str, times: int = 3) -> None: ...

    assert arguments(function, "a") == ["a", 3]
    assert arguments(function, "a", 4) == ["a", 4]
    for sent in ((), ("a", "4"), (None,)):
        with pytest.raises(InvalidMessage):
            arguments(function, *sent)


def test_an_injected_parameter_may_follow_an_optional_one_but_not_as_keyword_only() -> None:
    def function(text: str = "none", *, connection: Connection) -> None: ...

    def after(text: str, times: int = 1, connection: Connection = CONNECTION) -> None: ...

    with pytest.raises(ConfigurationError):
        bind_handler("event", function, BROADCASTER)
    assert arguments(after, "a", 2) == ["a", 2, CONNECTION]
    assert arguments(after, "a") == ["a", 1, CONNECTION]


def test_constraints_in_annotations_hold() -> None:
    def function(text: Annotated[str, msgspec.Meta(max_length=3)]) -> None: ...

    assert arguments(function, "abc") == ["abc"]
    with pytest.raises(InvalidMessage):
        arguments(function, "abcd")


class Member(Identity, frozen=True, kw_only=True):
    role: str = "guest"


class OurConnection(Connection):
    pass


def test_injected_types_are_found_in_every_form_of_annotation() -> None:
    def function(
        a: Connection | None,
        b: Optional[Identity],  # noqa: UP045
        c: Annotated[Broadcaster, "to all"],
        d: Annotated[Connection | None, "who"] = None,
        e: str = "",
    ) -> None: ...

    assert arguments(function, "sent") == [CONNECTION, CONNECTION.identity, BROADCASTER, CONNECTION, "sent"]


def test_an_identity_class_of_the_host_is_injected_and_never_read_from_the_client() -> None:
    def function(member: Member, text: str) -> None: ...

    member = Member(user_id=CONNECTION.identity.user_id, role="owner")
    mine, _ = World().connection("ann")
    mine.identity = member
    assert arguments(function, "a", connection=mine.public) == [member, "a"]
    with pytest.raises(TypeError, match="no Member"):
        arguments(function, {"user_id": "root", "role": "owner"}, "a")


def current_user() -> str:
    return "ann"


def annotated(**annotations: Any) -> Callable[..., Any]:
    """A function with these parameters and annotations."""
    found: dict[str, Any] = {}
    exec(f"def function({', '.join(annotations)}): ...", found)
    found["function"].__annotations__ = annotations
    return found["function"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("marker", [fastapi.Depends(current_user), fastapi.Security(current_user)])
def test_dependencies_within_an_annotation_are_refused(marker: Any) -> None:
    for function in (
        annotated(user=list[Annotated[str, marker]]),
        annotated(user=dict[str, Annotated[str, marker]] | None),
        annotated(connection=Annotated[Connection, marker] | None),
    ):
        name = type(marker).__name__
        message = rf"handler .*function of 'event': parameter '\w+'.*{name}\(…\).*fills a whole parameter"
        with pytest.raises(ConfigurationError, match=message):
            bind_handler("event", function, BROADCASTER)


@pytest.mark.parametrize(
    "make", [fastapi.Body, fastapi.Query, fastapi.Header, fastapi.Cookie, fastapi.Form, fastapi.File]
)
def test_markers_of_http_are_refused(make: Callable[..., Any]) -> None:
    for marker in (make(), make(...), make(None), make(max_length=3)):

        def default(text: str = marker) -> None: ...

        for function in (default, annotated(text=Annotated[str, make()]), annotated(text=list[Annotated[str, make()]])):
            with pytest.raises(ConfigurationError, match=rf"parameter 'text': {type(marker).__name__}\(…\)"):
                bind_handler("event", function, BROADCASTER)


def test_unknown_injected_parameters_are_refused_by_name() -> None:
    def own(connection: OurConnection) -> None: ...
    def one_of(connection: Connection | str) -> None: ...
    def several(connections: list[Connection]) -> None: ...
    def handshake(handshake: Handshake) -> None: ...
    def request(request: fastapi.Request) -> None: ...
    def websocket(websocket: fastapi.WebSocket | None) -> None: ...
    def typed(broadcaster: MewBroadcaster) -> None: ...

    for function in (own, one_of, several, handshake, request, websocket, typed):
        name = next(iter(inspect.signature(function).parameters))
        with pytest.raises(ConfigurationError, match=f"parameter '{name}'"):
            bind_handler("event", function, BROADCASTER)


@pytest.mark.parametrize("name", ["connection", "identity", "broadcaster", "sid", "socket", "websocket", "request"])
def test_a_name_that_means_something_injected_needs_an_annotation(name: str) -> None:
    found: dict[str, Any] = {}
    exec(f"def bare(data, {name}): ...\ndef said(data, {name}: str): ...", found)
    with pytest.raises(ConfigurationError, match=f"parameter '{name}'.*annotate it"):
        bind_handler("event", found["bare"], BROADCASTER)
    assert arguments(found["said"], 1, "a") == [1, "a"]


def test_pydantic_fields_as_defaults_are_honoured() -> None:
    made: list[int] = []

    def counted() -> int:
        made.append(1)
        return len(made)

    def required(text: str = Field(max_length=3)) -> None: ...
    def default(text: str = Field("a", max_length=3)) -> None: ...
    def annotated(text: Annotated[str, Field("a", max_length=3)]) -> None: ...
    def both(text: Annotated[str, Field(max_length=3)] = "a") -> None: ...
    def factory(n: int = Field(default_factory=counted)) -> None: ...
    def bare(text=Field(max_length=3)): ...  # type: ignore[no-untyped-def] # noqa: B008

    for function in (required, default, annotated, both, bare):
        assert arguments(function, "abc") == ["abc"]
        with pytest.raises(InvalidMessage, match="at most 3"):
            arguments(function, "abcd")
    for function in (required, bare):
        with pytest.raises(InvalidMessage, match="missing"):
            arguments(function)
    for function in (default, annotated, both):
        assert arguments(function) == ["a"]
    assert arguments(factory) == [1]
    assert arguments(factory) == [2]
    assert arguments(factory, 9) == [9]


def test_pydantic_fields_without_effect_on_a_parameter_are_refused() -> None:
    def alias(text: str = Field(alias="t")) -> None: ...
    def validation_alias(text: Annotated[str, Field(validation_alias="t")]) -> None: ...
    def excluded(text: str = Field("", exclude=True)) -> None: ...
    def frozen(text: str = Field("", frozen=True)) -> None: ...
    def data(n: int = Field(default_factory=lambda data: len(data))) -> None: ...
    def validated(n: int = Field("7", validate_default=True)) -> None: ...

    for function in (alias, validation_alias, excluded, frozen, data, validated):
        with pytest.raises(ConfigurationError, match="parameter"):
            bind_handler("event", function, BROADCASTER)


class Service:
    pass


MISSING = object()


@pytest.mark.parametrize(
    ("annotation", "default"),
    [
        (str, ...),
        (list[int], dataclasses.field(default_factory=list)),
        (list[int], msgspec.field(default_factory=list)),
        (Any, dataclasses.field(default_factory=list)),
        (str, msgspec.Meta(max_length=3)),
        (str, MaxLen(3)),
        (Any, MaxLen(3)),
        (str, 5),
        (Any, Service()),
        (int, Service()),
        (Model, Say("a")),
    ],
)
def test_defaults_that_are_no_values_are_refused(annotation: Any, default: Any) -> None:
    def function(value: Any = default) -> None: ...

    function.__annotations__ = {"value": annotation}
    with pytest.raises(ConfigurationError, match="parameter 'value': its default"):
        bind_handler("event", function, BROADCASTER)


@pytest.mark.parametrize(
    ("annotation", "default"),
    [
        (str, None),
        (str, MISSING),
        (Model, Model(n=1)),
        (list[Model], [Model(n=1)]),
        (Annotated[str, Field(min_length=1)], ""),
        (datetime.datetime, datetime.datetime(2026, 1, 2)),
        (str | msgspec.UnsetType, msgspec.UNSET),
        (Any, 5),
        (Point | None, Point(1)),
    ],
)
def test_defaults_of_every_kind_are_used(annotation: Any, default: Any) -> None:
    def function(value: Any = default) -> None: ...

    function.__annotations__ = {"value": annotation}
    assert arguments(function) == [default]


def test_mutable_defaults_are_copied_for_each_event() -> None:
    def function(points: list[int] = [], model: Model = Model(n=1), say: Say = Say("a")) -> None: ...  # noqa: B006, B008

    for found in (arguments(function), arguments(function)):
        assert found == [[], Model(n=1), Say("a")]
        found[0].append(1)
        found[1].n = 2
        found[2].text = "b"


def test_variadic_arguments_are_validated() -> None:
    def function(first: str, *rest: Model) -> None: ...

    assert arguments(function, "a", {"n": 1}, {"n": 2}) == ["a", Model(n=1), Model(n=2)]
    with pytest.raises(InvalidMessage, match=r"`\$\.1\.n`"):
        arguments(function, "a", {"n": 1}, {"n": "x"})


def test_variadic_arguments_are_validated_in_one_call() -> None:
    def numbers(*rest: int) -> None: ...

    def anything(*rest: Any) -> None: ...

    assert arguments(numbers) == arguments(anything) == []
    assert arguments(numbers, *range(50_000)) == list(range(50_000))
    assert arguments(anything, 1, "a", None) == [1, "a", None]
    with pytest.raises(InvalidMessage, match=r"`\$\[2\]`"):
        arguments(numbers, 1, 2, "a")


def test_impossible_signatures_are_refused_at_registration() -> None:
    def keyword(*, text: str) -> None: ...

    def unknown(text: DoesNotExist) -> None: ...  # type: ignore[name-defined] # noqa: F821

    for function in (keyword, unknown):
        with pytest.raises(ConfigurationError, match="event"):
            bind_handler("event", function, BROADCASTER)


def test_methods_partials_and_wrapped_functions_are_handlers() -> None:
    class Service:
        async def handle(self, say: Say, connection: Connection) -> None: ...

    assert arguments(Service().handle, {"text": "a"}) == [Say("a"), CONNECTION]

    def original(say: Say, connection: Connection) -> None: ...

    @functools.wraps(original)
    def wrapped(*arguments: Any) -> None: ...

    assert arguments(wrapped, {"text": "a"}) == [Say("a"), CONNECTION]


def test_reserved_event_names_have_no_handler() -> None:
    gateway = SocketIOGateway("/")
    for name in RESERVED:
        with pytest.raises(ConfigurationError, match="on_connect"):
            on(name)
        with pytest.raises(ConfigurationError, match="on_connect"):
            gateway.on(name)


def test_declared_returns_the_handlers_of_a_class_and_its_bases() -> None:
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


class Decorated(SocketIOGateway):
    @on("static below")
    @staticmethod
    async def static_below(say: Say, connection: Connection) -> None: ...

    @staticmethod
    @on("static above")
    async def static_above(say: Say, connection: Connection) -> None: ...

    @on("class below")
    @classmethod
    async def class_below(cls, say: Say, connection: Connection) -> None: ...

    @classmethod
    @on("class above")
    async def class_above(cls, say: Say, connection: Connection) -> None: ...

    @on("partial of")
    async def whole(self, times: int, say: Say, connection: Connection) -> None: ...

    part = on("partial")(functools.partialmethod(whole, 3))  # type: ignore[type-var]


@pytest.mark.parametrize("event", ["static below", "static above", "class below", "class above", "partial"])
def test_a_handler_of_every_kind_of_method_is_declared_and_read(event: str) -> None:
    gateway = Decorated("/")
    assert event in declared(gateway)
    begin = bind_handler(event, gateway.functions[event], BROADCASTER)
    work = begin(CONNECTION, [{"text": "a"}])
    work.close()
    with pytest.raises(InvalidMessage, match=r"`\$\.text`"):
        work = begin(CONNECTION, [{"text": 1}])


def test_a_partial_method_with_its_own_event_does_not_change_its_functions_event() -> None:
    found = declared(Decorated("/"))
    assert found["partial of"].__func__ is Decorated.whole  # type: ignore[attr-defined]
    assert isinstance(found["partial"], functools.partial)


def test_an_object_that_is_not_a_handler_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r'@on\("message"\)'):

        @on  # type: ignore[arg-type]
        def bare() -> None: ...

    with pytest.raises(ConfigurationError, match=r'@on\("message"\)'):
        SocketIOGateway("/").on(bare_function)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="not a property"):
        on("event")(property(lambda self: None))  # type: ignore[type-var]
    with pytest.raises(ConfigurationError, match="is a class"):
        bind_handler("event", Service, BROADCASTER)


def bare_function() -> None: ...


def test_a_gateway_accepts_any_callable_as_a_handler() -> None:
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


async def test_an_abandoned_thread_is_not_interrupted() -> None:
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
