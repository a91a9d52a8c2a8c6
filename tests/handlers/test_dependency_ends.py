"""How dependencies end: what is after `yield`, exceptions of handlers and dependencies, events that take too long.

Annotations are no text here, since functions within tests have them.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from typing import Annotated, Any

import fastapi
import pydantic
import pytest

from asgi_realtime import (
    Depends,
    Forbidden,
    Limits,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
)
from asgi_realtime.testing import RealtimeTestClient
from tests.support.waiting import until

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", presence_grace=0.0)


def app_of(*gateways: Any) -> RealtimeMiddleware:
    return RealtimeMiddleware(fastapi.FastAPI(), gateways=gateways, settings=SETTINGS)


class Log(list[str]):
    """What happened, in order."""

    def plain(self) -> Iterator[str]:
        with self._around("plain"):
            yield "plain"

    async def asynchronous(self) -> AsyncIterator[str]:
        with self._around("async"):
            yield "async"

    @contextlib.contextmanager
    def _around(self, name: str) -> Iterator[None]:
        self.append(f"{name} begins")
        try:
            yield
            self.append(f"{name} commits")
        except BaseException as error:
            self.append(f"{name} gets {type(error).__name__}")
            raise
        finally:
            self.append(f"{name} ends")


def gateway_of(log: Log, work: Callable[[], Any], *, limits: Limits | None = None) -> SocketIOGateway:
    gateway = SocketIOGateway("/", limits=limits)

    @gateway.on("work")
    async def handler(
        first: Annotated[str, Depends(log.plain)], second: Annotated[str, Depends(log.asynchronous)]
    ) -> str:
        log.append("handler")
        result = work()
        if asyncio.iscoroutine(result):
            await result
        return "done"

    return gateway


BEGUN = ["plain begins", "async begins", "handler"]


async def test_what_is_after_yield_runs_before_the_answer_and_the_last_first() -> None:
    log = Log()
    async with RealtimeTestClient(app_of(gateway_of(log, lambda: None))) as app:
        async with app.connect(token=app.token("ann")) as ann:
            assert await ann.call("work") == "done"
            # The answer has come, so no more is to follow.
            assert log == [*BEGUN, "async commits", "async ends", "plain commits", "plain ends"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Forbidden("no"), "FORBIDDEN"),
        (fastapi.HTTPException(409, "taken"), "CONFLICT"),
        (ValueError("broken"), "INTERNAL"),
    ],
)
async def test_an_exception_of_the_handler_is_raised_at_yield(error: Exception, code: str) -> None:
    log = Log()

    def fail() -> None:
        raise error

    async with RealtimeTestClient(app_of(gateway_of(log, fail))) as app:
        async with app.connect(token=app.token("ann")) as ann:
            assert (await ann.call("work"))["code"] == code
            name = type(error).__name__
            ends = [f"async gets {name}", "async ends", f"plain gets {name}", "plain ends"]
            assert log == [*BEGUN, *ends]


async def test_a_handler_that_takes_too_long_ends_its_dependencies() -> None:
    log = Log()
    gateway = gateway_of(log, asyncio.Event().wait, limits=Limits(handler_timeout=0.3))
    async with RealtimeTestClient(app_of(gateway)) as app:
        async with app.connect(token=app.token("ann")) as ann:
            assert (await ann.call("work"))["code"] == "INTERNAL"
            ends = ["async gets CancelledError", "async ends", "plain gets CancelledError", "plain ends"]
            assert log == [*BEGUN, *ends]


async def test_a_commit_that_fails_is_what_the_client_gets() -> None:
    async def session() -> AsyncIterator[str]:
        yield "session"
        raise fastapi.HTTPException(409, "another user was faster")

    async def broken() -> AsyncIterator[str]:
        yield "session"
        raise OSError("disk full")

    gateway = SocketIOGateway("/")
    handled: list[str] = []

    @gateway.on("save")
    async def save(session: Annotated[str, Depends(session)]) -> str:
        handled.append("save")
        return "saved"

    @gateway.on("lose", once="id")
    async def lose(id: str, session: Annotated[str, Depends(broken)]) -> str:
        handled.append("lose")
        return "saved"

    async with RealtimeTestClient(app_of(gateway)) as app:
        async with app.connect(token=app.token("ann")) as ann:
            answer = await ann.call("save")
            assert answer == {"success": False, "code": "CONFLICT", "message": "another user was faster"}
            assert (await ann.call("lose", "1"))["code"] == "INTERNAL"
            assert (await ann.call("lose", "1"))["code"] == "INTERNAL"
    assert handled == ["save", "lose", "lose"], "what was not committed is handled again"


async def test_a_generator_that_swallows_an_exception_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    async def quiet() -> AsyncIterator[str]:
        with contextlib.suppress(ValueError):
            yield "quiet"

    def changes() -> Iterator[str]:
        try:
            yield "changes"
        except ValueError:
            raise Forbidden("not like this") from None

    gateway = SocketIOGateway("/")

    @gateway.on("quiet")
    async def be_quiet(quiet: Annotated[str, Depends(quiet)]) -> None:
        raise ValueError

    @gateway.on("change")
    async def change(changes: Annotated[str, Depends(changes)]) -> None:
        raise ValueError

    async with RealtimeTestClient(app_of(gateway)) as app:
        async with app.connect(token=app.token("ann")) as ann:
            assert (await ann.call("quiet"))["code"] == "INTERNAL"
            assert "caught ValueError at its `yield` and did not raise it again" in caplog.text
            assert (await ann.call("change"))["code"] == "FORBIDDEN"


async def test_a_dependency_refuses_as_a_handler_does() -> None:
    def invalid() -> None:
        pydantic.TypeAdapter(int).validate_python("x")

    async def denied() -> None:
        raise fastapi.HTTPException(403)

    async def limited() -> None:
        raise Forbidden("not you")

    gateway = SocketIOGateway("/")
    called: list[str] = []

    def handler(dependency: Callable[[], Any]) -> None:
        @gateway.on(dependency.__name__)
        async def handle(text: str, nothing: Annotated[None, Depends(dependency)]) -> None:
            called.append(dependency.__name__)

    for dependency in (denied, limited, invalid):
        handler(dependency)
    async with RealtimeTestClient(app_of(gateway)) as app:
        async with app.connect(token=app.token("ann")) as ann:
            assert await ann.call("denied", "a") == {"success": False, "code": "FORBIDDEN", "message": "Forbidden"}
            assert await ann.call("limited", "a") == {"success": False, "code": "FORBIDDEN", "message": "not you"}
            assert (await ann.call("invalid", "a"))["code"] == "INTERNAL"
            assert (await ann.call("denied", 1))["code"] == "INVALID_MESSAGE", "the payload is validated first"
    assert called == []


async def test_a_plain_generator_that_begins_too_late_is_ended_by_its_thread() -> None:
    may_begin, ended = threading.Event(), threading.Event()
    found: list[str] = []

    def slow() -> Iterator[None]:
        may_begin.wait(10)
        try:
            yield
        except BaseException as error:
            found.append(type(error).__name__)
            raise
        finally:
            ended.set()

    gateway = SocketIOGateway("/", limits=Limits(handler_timeout=0.3))

    @gateway.on("slow")
    async def handle(slow: Annotated[None, Depends(slow)]) -> None:
        found.append("handled")

    async with RealtimeTestClient(app_of(gateway)) as app:
        async with app.connect(token=app.token("ann")) as ann:
            assert (await ann.call("slow"))["code"] == "INTERNAL"
            may_begin.set()
            assert await asyncio.to_thread(ended.wait, 10)
    assert found == ["CancelledError"]


async def test_a_plain_generator_that_fails_too_late_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    may_fail = threading.Event()

    def slow() -> Iterator[None]:
        if may_fail.wait(10):
            raise OSError("no connection")
        yield

    gateway = SocketIOGateway("/", limits=Limits(handler_timeout=0.3))

    @gateway.on("slow")
    async def handle(slow: Annotated[None, Depends(slow)]) -> None: ...

    async with RealtimeTestClient(app_of(gateway)) as app:
        async with app.connect(token=app.token("ann")) as ann:
            assert (await ann.call("slow"))["code"] == "INTERNAL"
            may_fail.set()
            await until(lambda: "no connection" in caplog.text)
    assert "slow failed after its event was given up" in caplog.text


async def test_plain_generators_that_fail_too_late_are_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    may_fail, failed = threading.Event(), threading.Semaphore(0)

    def slow() -> Iterator[None]:
        if may_fail.wait(10):
            failed.release()
            raise OSError("no connection")
        yield

    gateway = SocketIOGateway("/", limits=Limits(handler_timeout=0.05))

    @gateway.on("slow")
    async def handle(slow: Annotated[None, Depends(slow)]) -> None: ...

    async with RealtimeTestClient(app_of(gateway)) as app:
        async with app.connect(token=app.token("ann")) as ann:
            for _ in range(10):
                assert (await ann.call("slow"))["code"] == "INTERNAL"
            may_fail.set()
            for _ in range(10):
                assert await asyncio.to_thread(failed.acquire, timeout=10)
            await until(lambda: "no connection" in caplog.text)
    lines = [record.getMessage() for record in caplog.records if "given up" in record.getMessage()]
    assert len(lines) == 1
    assert lines[0].endswith("slow failed after its event was given up: OSError('no connection')")


async def test_a_generator_resets_the_context_variables_that_it_has_set() -> None:
    request = ContextVar("request", default="none")
    values: list[str] = []

    def plain() -> Iterator[str]:
        token = request.set("plain")
        yield request.get()
        request.reset(token)
        values.append(request.get())

    async def asynchronous() -> AsyncIterator[str]:
        token = request.set("async")
        yield request.get()
        request.reset(token)
        values.append(request.get())

    gateway = SocketIOGateway("/")

    @gateway.on("work")
    async def handle(first: Annotated[str, Depends(plain)], second: Annotated[str, Depends(asynchronous)]) -> list[str]:
        return [first, second, request.get()]

    async with RealtimeTestClient(app_of(gateway)) as app:
        async with app.connect(token=app.token("ann")) as ann:
            assert await ann.call("work") == ["plain", "async", "async"]
    assert values == ["none", "none"]


async def test_what_is_after_yield_in_a_thread_runs_though_its_event_was_given_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    may_end, ended = threading.Event(), threading.Event()

    def slow() -> Iterator[None]:
        yield
        may_end.wait(10)
        ended.set()
        raise OSError("disk full")

    gateway = SocketIOGateway("/", limits=Limits(handler_timeout=0.3))

    @gateway.on("slow")
    async def handle(slow: Annotated[None, Depends(slow)]) -> str:
        return "done"

    async with RealtimeTestClient(app_of(gateway)) as app:
        async with app.connect(token=app.token("ann")) as ann:
            assert (await ann.call("slow"))["code"] == "INTERNAL"
            may_end.set()
            assert await asyncio.to_thread(ended.wait, 10)
            await until(lambda: "disk full" in caplog.text)
    assert "slow failed after its event was given up" in caplog.text
