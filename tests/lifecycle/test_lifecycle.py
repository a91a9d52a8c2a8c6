"""Start and stop happen once for all callers. If a part fails, the others are undone in reverse order."""

from __future__ import annotations

import asyncio
import inspect
import signal
import threading
import weakref
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
import websockets
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from asgi_realtime import Handshake, Identity, Realtime, RealtimeMiddleware, Settings, SocketIOGateway
from asgi_realtime.lifecycle.lifecycle import Lifecycle
from asgi_realtime.values.ids import UserId
from tests.support.servers import IMPLEMENTATIONS, Implementation, Serve
from tests.support.waiting import forgotten, until

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", drain_timeout=0.05)


class OutOfOrder(Exception):
    """The error of a part that cannot start or stop."""


class Plan:
    """Selects the part that fails or waits, and records starts and stops."""

    def __init__(self) -> None:
        self.fails = ""
        self.waits = ""
        self.waiting = asyncio.Event()
        self.log: list[str] = []

    def note(self, step: str) -> None:
        if step == self.fails:
            raise OutOfOrder(step)
        self.log.append(step)

    async def awaited(self, step: str) -> None:
        if step == self.waits:
            self.waiting.set()
            await asyncio.Event().wait()
        self.note(step)

    def watch(self, part: Any, name: str, start: str, stop: str) -> None:
        """Replace a part by a subclass that records its start, before it, and its stop, after it."""
        kind = type(part)

        def started(self_: Any, *arguments: Any) -> Any:
            self.note(name)
            return getattr(kind, start)(self_, *arguments)

        async def started_later(self_: Any, *arguments: Any) -> None:
            await self.awaited(name)
            await getattr(kind, start)(self_, *arguments)

        def stopped(self_: Any) -> None:
            getattr(kind, stop)(self_)
            self.note(f"end of {name}")

        async def stopped_later(self_: Any) -> None:
            await getattr(kind, stop)(self_)
            self.note(f"end of {name}")

        methods = {
            start: started_later if inspect.iscoroutinefunction(getattr(kind, start)) else started,
            stop: stopped_later if inspect.iscoroutinefunction(getattr(kind, stop)) else stopped,
        }
        part.__class__ = type(f"Watched{kind.__name__}", (kind,), methods)


class Never:
    """A deadline in an hour."""

    def on_deadline(self, now: float) -> float | None:
        raise AssertionError("the deadline has passed")


async def accept_all(handshake: Handshake) -> Identity:
    return Identity(user_id=UserId("ann"))


class First(SocketIOGateway):
    """The hook creates each kind of resource that a failed start could leave behind."""

    def __init__(self, plan: Plan) -> None:
        super().__init__("/", authenticator=accept_all)
        self._plan = plan

    async def on_start(self) -> None:
        self.context.tasks.spawn(asyncio.Event().wait(), name="background of a gateway")
        self.context.wheel.schedule(asyncio.get_running_loop().time() + 3600, Never())
        await self.broadcaster.broadcast_to_all("started")
        await self._plan.awaited("/")


class Second(SocketIOGateway):
    """The hook runs in a thread."""

    def __init__(self, plan: Plan) -> None:
        super().__init__("/second", authenticator=accept_all)
        self._plan = plan

    def on_start(self) -> None:  # type: ignore[override]
        self.broadcaster.sync.broadcast_to_all("started")
        self._plan.note("/second")


PARTS = ["tasks", "broker", "presence", "wheel", "threads", "signals", "/", "/second"]
"""In the order in which they start."""


def ends(parts: list[str]) -> list[str]:
    """The expected stops. Tasks end before the parts that they use, and once more at the end."""
    undone = {"threads": ["end of tasks", "end of threads"], "/": [], "/second": []}  # nothing undoes an `on_start`
    return [end for part in reversed(parts) for end in undone.get(part, [f"end of {part}"])]


def make(plan: Plan, settings: Settings = SETTINGS) -> Realtime:
    realtime = Realtime(gateways=[First(plan), Second(plan)], settings=settings)
    plan.watch(realtime.broker, "broker", "start", "stop")
    plan.watch(realtime.presence, "presence", "start", "stop")
    plan.watch(realtime.wheel, "wheel", "open", "close")
    plan.watch(realtime.host_threads, "threads", "start", "stop")
    plan.watch(realtime.tasks, "tasks", "start", "aclose")
    plan.watch(realtime.signals, "signals", "install", "remove")
    return realtime


@pytest.fixture
def handlers() -> Iterator[None]:
    """Signal handlers are the defaults of Python before and after the test."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    yield
    after = [signal.getsignal(number) for number in numbers]
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)
    assert after == [signal.default_int_handler] * 2


async def check_nothing_is_left(realtime: Realtime, tasks: set[asyncio.Task[Any]]) -> None:
    """No task, no thread, no bound broadcaster, and no signal handler; timers are checked by what they keep."""
    assert asyncio.all_tasks() == tasks
    await until(lambda: not [each for each in threading.enumerate() if each.name.startswith("asgi_realtime host")])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    assert not realtime.loop_bridge.running
    with pytest.raises(RuntimeError, match="not running"):
        await asyncio.to_thread(realtime.broadcaster.sync.broadcast_to_all, "x")


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("fails", PARTS)
async def test_a_part_that_fails_to_start_leaves_nothing_behind(fails: str) -> None:
    plan = Plan()
    plan.fails = fails
    realtime = make(plan)
    tasks = asyncio.all_tasks()
    for _ in range(2):
        with pytest.raises(OutOfOrder, match=f"^{fails}$"):
            await realtime.start()
        stood = PARTS[: PARTS.index(fails)]
        assert plan.log == [*stood, *ends(stood)]
        await check_nothing_is_left(realtime, tasks)
        plan.log.clear()
    plan.fails = ""
    async with realtime:
        assert plan.log == PARTS
        assert (await realtime.broadcaster.broadcast_to_all("x")).delivered_locally == 0
    assert plan.log == [*PARTS, *ends(PARTS)]
    await check_nothing_is_left(realtime, tasks)
    parts = [weakref.ref(part) for part in (realtime, realtime.wheel, realtime.tasks, realtime.broadcaster)]
    del realtime
    await forgotten(parts)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("waits", ["broker", "presence", "/"])
async def test_a_start_that_is_cancelled_leaves_nothing_behind(waits: str) -> None:
    plan = Plan()
    plan.waits = waits
    realtime = make(plan)
    tasks = asyncio.all_tasks()
    starting = asyncio.create_task(realtime.start())
    await plan.waiting.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    stood = PARTS[: PARTS.index(waits)]
    assert plan.log == [*stood, *ends(stood)]
    await check_nothing_is_left(realtime, tasks)
    plan.waits = ""
    plan.log.clear()
    async with realtime:
        assert plan.log == PARTS


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("part", PARTS[:6])
async def test_a_part_that_fails_to_stop_holds_up_no_other(part: str) -> None:
    plan = Plan()
    plan.fails = f"end of {part}"
    realtime = make(plan)
    tasks = asyncio.all_tasks()
    await realtime.start()
    plan.log.clear()
    with pytest.raises(OutOfOrder, match=plan.fails):
        await realtime.stop()
    assert plan.log == [end for end in ends(PARTS) if end != plan.fails]
    await check_nothing_is_left(realtime, tasks)
    plan.fails = ""
    plan.log.clear()
    async with realtime:
        assert plan.log == PARTS


@pytest.mark.usefixtures("handlers")
async def test_the_error_of_a_start_is_raised_also_when_undoing_it_fails(caplog: pytest.LogCaptureFixture) -> None:
    plan = Plan()

    class Fails(SocketIOGateway):
        async def on_start(self) -> None:
            plan.fails = "end of tasks"
            raise LookupError("no database")

    realtime = Realtime(gateways=[Fails()], settings=SETTINGS)
    plan.watch(realtime.tasks, "tasks", "start", "aclose")
    plan.watch(realtime.broker, "broker", "start", "stop")
    with pytest.raises(LookupError, match="no database"):
        await realtime.start()
    assert plan.log == ["tasks", "broker", "end of broker"]
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [OutOfOrder]


@pytest.mark.usefixtures("handlers")
async def test_a_stop_that_is_cancelled_stops_every_part() -> None:
    plan = Plan()
    realtime = make(plan, Settings(jwt_secret=SETTINGS.jwt_secret, drain_timeout=3600))
    tasks = asyncio.all_tasks()
    await realtime.start()  # one of the tasks never ends
    stopping = asyncio.create_task(realtime.stop())
    second = asyncio.create_task(realtime.stop())
    await until(lambda: realtime.lifecycle.stopping is not None)
    stopping.cancel()
    async with asyncio.timeout(10):
        await second
    assert plan.log == [*PARTS, *ends(PARTS)]
    with pytest.raises(asyncio.CancelledError):
        await stopping
    await check_nothing_is_left(realtime, tasks)


# Many callers


class Gate:
    """A service whose start waits for an event, and may fail."""

    def __init__(self) -> None:
        self.starts = 0
        self.ends = 0
        self.entered = asyncio.Event()
        self.go = asyncio.Event()
        self.error: BaseException | None = None
        self.lifecycle = Lifecycle(self._start)

    async def _start(self, stack: AsyncExitStack) -> None:
        self.starts += 1
        stack.callback(self._end)
        self.entered.set()
        await self.go.wait()
        if self.error is not None:
            raise self.error

    def _end(self) -> None:
        self.ends += 1


async def test_a_start_goes_on_as_long_as_one_caller_waits() -> None:
    gate = Gate()
    callers = [asyncio.create_task(gate.lifecycle.start()) for _ in range(5)]
    await gate.entered.wait()
    for caller in callers[:4]:
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
    assert not callers[4].done()
    gate.go.set()
    await callers[4]
    await gate.lifecycle.start()
    assert (gate.starts, gate.ends) == (1, 0)
    await gate.lifecycle.stop()
    await gate.lifecycle.stop()
    assert (gate.starts, gate.ends) == (1, 1)


async def test_a_caller_that_comes_while_a_start_is_undone_starts_again() -> None:
    undoing, undone = asyncio.Event(), asyncio.Event()
    starts = 0

    async def undo() -> None:
        undoing.set()
        await undone.wait()

    async def start(stack: AsyncExitStack) -> None:
        nonlocal starts
        starts += 1
        stack.push_async_callback(undo)
        if starts == 1:
            await asyncio.Event().wait()

    lifecycle = Lifecycle(start)
    first = asyncio.create_task(lifecycle.start())
    await asyncio.sleep(0)
    first.cancel()
    await undoing.wait()
    second = asyncio.create_task(lifecycle.start())
    await asyncio.sleep(0)
    assert starts == 1 and not first.done()
    undone.set()
    await second
    with pytest.raises(asyncio.CancelledError):
        await first
    assert starts == 2 and lifecycle.loop is asyncio.get_running_loop()


async def test_a_caller_cancelled_before_the_first_step_blocks_no_other_caller() -> None:
    gate = Gate()
    gate.go.set()
    caller = asyncio.create_task(gate.lifecycle.start())
    asyncio.get_running_loop().call_soon(caller.cancel)  # order: the caller, this task, the start
    with pytest.raises(asyncio.CancelledError):
        await caller
    async with asyncio.timeout(5):
        await gate.lifecycle.start()
    assert gate.starts == 1


@pytest.mark.parametrize("error", [LookupError("no database"), SystemExit(3), asyncio.CancelledError()])
async def test_all_callers_get_the_error_of_their_start(error: BaseException) -> None:
    gate = Gate()
    gate.error = error
    callers = [asyncio.create_task(caught(gate.lifecycle)) for _ in range(5)]
    await gate.entered.wait()
    gate.go.set()
    assert await asyncio.gather(*callers) == [error] * 5
    assert (gate.starts, gate.ends) == (1, 1)
    gate.error = None
    await gate.lifecycle.start()
    assert gate.starts == 2


async def caught(lifecycle: Lifecycle) -> BaseException | None:
    try:
        await lifecycle.start()
    except BaseException as error:
        return error
    return None


# First requests on servers without a lifespan


class Slow(SocketIOGateway):
    def __init__(self) -> None:
        super().__init__("/", authenticator=accept_all)
        self.starts = 0
        self.entered = asyncio.Event()
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def on_start(self) -> None:
        self.starts += 1
        self.entered.set()
        await self.go.wait()
        if self.error is not None:
            raise self.error


async def requests(app: RealtimeMiddleware, number: int) -> list[asyncio.Task[httpx.Response]]:
    """First requests, each of which has reached the app."""
    arrived = 0

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal arrived
        arrived += 1
        await app(scope, receive, send)

    paths = ["/", "/socket.io/?EIO=4&transport=polling"]
    client = httpx.AsyncClient(transport=httpx.ASGITransport(counted), base_url="http://test")
    tasks = [asyncio.create_task(client.get(paths[each % 2])) for each in range(number)]
    await until(lambda: arrived == number)
    return tasks


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_five_first_requests_wait_for_one_start(implementation: Implementation, serve: Serve) -> None:
    slow = Slow()
    app = RealtimeMiddleware(PlainTextResponse("well"), gateways=[slow], settings=SETTINGS)
    arrived = 0

    async def without_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal arrived
        if scope["type"] == "lifespan":
            raise RuntimeError("no lifespan here")
        arrived += 1
        await app(scope, receive, send)

    server = await serve(without_lifespan, implementation)
    async with httpx.AsyncClient(base_url=server.url) as http, AsyncExitStack() as sockets:
        paths = ["/", "/socket.io/?EIO=4&transport=polling", "/other"]
        first = [asyncio.create_task(http.get(path)) for path in paths]
        url = f"{server.websocket_url}/socket.io/?EIO=4&transport=websocket"
        connections = [websockets.connect(url) for _ in range(2)]
        opening = [asyncio.create_task(sockets.enter_async_context(each)) for each in connections]
        await until(lambda: arrived == 5)
        assert slow.entered.is_set()
        assert not any(request.done() for request in (*first, *opening))
        slow.go.set()
        assert [(await request).status_code for request in first] == [200] * 3
        for connection in opening:
            assert str(await (await connection).recv()).startswith("0{")
    assert slow.starts == 1
    await app.realtime.stop()


async def test_the_first_request_is_cancelled_and_the_others_are_served() -> None:
    slow = Slow()
    app = RealtimeMiddleware(PlainTextResponse("well"), gateways=[slow], settings=SETTINGS)
    first, *others = await requests(app, 5)
    await slow.entered.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert not any(request.done() for request in others)
    slow.go.set()
    assert [answer.status_code for answer in await asyncio.gather(*others)] == [200] * 4
    assert slow.starts == 1
    await app.realtime.stop()


async def test_first_requests_of_a_start_that_fails_get_500_and_the_log_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    slow = Slow()
    slow.error = LookupError("no database")
    app = RealtimeMiddleware(PlainTextResponse("well"), gateways=[slow], settings=SETTINGS)
    first = await requests(app, 5)
    slow.go.set()
    answers = [*await asyncio.gather(*first), *await asyncio.gather(*await requests(app, 2))]
    assert [answer.status_code for answer in answers] == [500] * 7
    assert slow.starts == 1
    assert ["no database" in record.message for record in caplog.records] == [True]
