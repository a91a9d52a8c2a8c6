"""Synchronous namespaces: what their threads may call, and how their waits end."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import socketio as python_socketio
from werkzeug.serving import make_server

from asgi_realtime import RealtimeMiddleware, Settings, socketio
from asgi_realtime.socketio.namespace import SyncSocketIOServer
from asgi_realtime.testing import RealtimeTestClient
from asgi_realtime.values.json import Json
from tests.support.servers import Serve

SETTINGS = Settings(drain_timeout=0.1, host_threads=2)


class Blocking(socketio.Namespace):
    def __init__(self) -> None:
        super().__init__("/")
        self.sid = ""
        self.results: list[Any] = []
        self.done = threading.Event()
        self.begun = threading.Event()
        self.go = threading.Event()

    def on_connect(self, sid: str, environ: dict[str, Any]) -> None:
        self.sid = sid

    def on_save(self, sid: str, raises: bool) -> None:
        with self.session(sid) as session:
            session["saved"] = True
            self.save_session(sid, {"in between": True})
            if raises:
                raise LookupError("of the block")

    def on_leave(self, sid: str, raises: bool) -> None:
        """A handler whose client disconnects before its block ends."""
        self._note(self._leave, sid, raises)

    def _leave(self, sid: str, raises: bool) -> None:
        with self.session(sid):
            self.disconnect(sid)
            if raises:
                raise LookupError("of the block")

    def on_ask(self, sid: str) -> None:
        """A call that the client never acknowledges."""
        self.begun.set()
        self._note(lambda: self.call("who", sid=sid, timeout=3600))

    def on_hold(self, sid: str, raises: bool) -> None:
        """A block that lasts longer than the server."""
        self._note(self._hold, sid, raises)

    def _hold(self, sid: str, raises: bool) -> None:
        with self.session(sid):
            self.begun.set()
            assert self.go.wait(20)
            if raises:
                raise LookupError("of the block")

    def on_session(self, sid: str) -> Json:
        return self.get_session(sid)

    def _note(self, call: Callable[..., Any], *arguments: Any) -> None:
        try:
            self.results.append(call(*arguments))
        except Exception as error:
            self.results.append(error)
        self.done.set()


@pytest.fixture
def blocking() -> Blocking:
    return Blocking()


@pytest.fixture
async def client(blocking: Blocking) -> AsyncIterator[RealtimeTestClient]:
    sio = socketio.AsyncServer()
    sio.register_namespace(blocking)
    async with RealtimeTestClient(RealtimeMiddleware(nothing, gateways=[sio], settings=SETTINGS)) as client:
        yield client
    blocking.go.set()


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    raise RuntimeError("no lifespan here")


async def in_a_thread(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 20)


@pytest.mark.parametrize("raises", [True, False])
async def test_a_session_is_saved_at_the_end_of_its_block(
    blocking: Blocking, client: RealtimeTestClient, raises: bool
) -> None:
    async with client.connect("/") as socket:
        await socket.send("save", raises)
        assert await socket.call("session") == {"saved": True}


@pytest.mark.parametrize("raises", [True, False])
async def test_a_client_that_leaves_during_the_block_has_no_session(
    blocking: Blocking, client: RealtimeTestClient, raises: bool
) -> None:
    async with client.connect("/") as socket:
        await socket.send("leave", raises)
        await in_a_thread(blocking.done)
        (result,) = blocking.results
        assert isinstance(result, LookupError) if raises else result is None


@pytest.mark.parametrize("raises", [True, False])
async def test_a_block_that_lasts_longer_than_the_server(
    blocking: Blocking, client: RealtimeTestClient, raises: bool
) -> None:
    async with client.connect("/") as socket:
        await socket.send("hold", raises)
        await in_a_thread(blocking.begun)
        await client.__aexit__(None, None, None)
        blocking.go.set()
        await in_a_thread(blocking.done)
    (result,) = blocking.results
    if raises:
        assert isinstance(result, LookupError)
    else:
        assert isinstance(result, RuntimeError) and "not running" in str(result)


async def test_a_call_that_waits_ends_with_the_server(blocking: Blocking, client: RealtimeTestClient) -> None:
    async with client.connect("/") as socket:
        await socket.send("ask")
        await in_a_thread(blocking.begun)
        await socket.expect("who")
        await client.__aexit__(None, None, None)
        await in_a_thread(blocking.done)
    (result,) = blocking.results
    assert isinstance(result, RuntimeError) and "stopped before" in str(result)


CALLS: dict[str, Callable[[Blocking, str], Any]] = {
    "emit": lambda namespace, sid: namespace.emit("x"),
    "send": lambda namespace, sid: namespace.send("x"),
    "call": lambda namespace, sid: namespace.call("x", sid=sid),
    "enter_room": lambda namespace, sid: namespace.enter_room(sid, "tea"),
    "leave_room": lambda namespace, sid: namespace.leave_room(sid, "tea"),
    "close_room": lambda namespace, sid: namespace.close_room("tea"),
    "get_session": lambda namespace, sid: namespace.get_session(sid),
    "save_session": lambda namespace, sid: namespace.save_session(sid, {}),
    "session": lambda namespace, sid: namespace.session(sid).__enter__(),
    "disconnect": lambda namespace, sid: namespace.disconnect(sid),
}


@pytest.mark.parametrize("method", CALLS)
async def test_where_a_method_for_threads_cannot_work(method: str, blocking: Blocking) -> None:
    call = CALLS[method]
    sio = socketio.AsyncServer()
    sio.register_namespace(blocking)
    with pytest.raises(RuntimeError, match="not mounted"):
        await asyncio.to_thread(call, blocking, "x")
    app = RealtimeMiddleware(nothing, gateways=[sio], settings=SETTINGS)
    with pytest.raises(RuntimeError, match="not running"):
        await asyncio.to_thread(call, blocking, "x")
    async with RealtimeTestClient(app) as client, client.connect("/") as socket:
        with pytest.raises(RuntimeError, match="await the method of the async class"):
            call(blocking, blocking.sid)
        await socket.expect_nothing()
        assert socket.rooms == {blocking.sid}
    with pytest.raises(RuntimeError, match="not running"):
        await asyncio.to_thread(call, blocking, "x")


def look_ups(server: Any, sid: str) -> list[Json]:
    """The look-ups of a handler in a thread, for its own client and for an unknown one."""
    environ = server.get_environ(sid, namespace="/")
    try:
        transport = server.transport("unknown")
    except KeyError as error:
        transport = repr(error)
    return [
        server.transport(sid),
        server.transport(sid, namespace="/"),
        environ["HTTP_X_COLOUR"],
        environ["REQUEST_METHOD"],
        "transport=polling" in environ["QUERY_STRING"].split("&"),
        transport,
        server.get_environ("unknown"),
        server.get_environ(sid, namespace="/other"),
    ]


@contextlib.asynccontextmanager
async def threaded_server(namespace: python_socketio.Namespace) -> AsyncIterator[str]:
    """Run python-socketio's own server for threads until the block ends."""
    sio = python_socketio.Server(async_mode="threading", monitor_clients=False)
    sio.register_namespace(namespace)
    server = make_server("127.0.0.1", 0, python_socketio.WSGIApp(sio), threaded=True)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        await asyncio.to_thread(server.shutdown)
        serving.join()
        server.server_close()


async def test_threads_look_up_transport_and_environ_as_in_python_socketio(serve: Serve) -> None:
    class Stock(python_socketio.Namespace):  # type: ignore[misc]  # published without types
        def on_look(self, sid: str) -> list[Json]:
            return look_ups(self.server, sid)

    class Own(socketio.Namespace):
        def on_look(self, sid: str) -> list[Json]:
            assert isinstance(self.server, SyncSocketIOServer)
            assert threading.current_thread() is not threading.main_thread()
            return look_ups(self.server, sid)

    sio = socketio.AsyncServer()
    sio.register_namespace(Own("/"))
    own = await serve(socketio.ASGIApp(sio))

    async def look(url: str) -> Json:
        async with python_socketio.AsyncSimpleClient() as client:
            await client.connect(url, transports=["polling"], headers={"X-Colour": "green"})
            return await client.call("look", timeout=10)

    async with threaded_server(Stock("/")) as url:
        expected = await look(url)
    assert expected[:4] == ["polling", "polling", "green", "GET"]
    assert await look(own.url) == expected


async def test_a_thread_sees_that_a_client_has_a_websocket(serve: Serve) -> None:
    class Own(socketio.Namespace):
        def on_look(self, sid: str) -> Json:
            return self.server.transport(sid)

    sio = socketio.AsyncServer()
    sio.register_namespace(Own("/"))
    server = await serve(socketio.ASGIApp(sio))
    async with python_socketio.AsyncSimpleClient() as client:
        await client.connect(server.url, transports=["websocket"])
        assert await client.call("look", timeout=10) == "websocket"


def test_the_class_for_threads_has_the_methods_and_signatures_of_the_server() -> None:
    tried = {name for name in CALLS if name != "session"}
    for name in tried:
        method, sync = getattr(socketio.AsyncServer, name), getattr(SyncSocketIOServer, name)
        assert inspect.iscoroutinefunction(method) and not inspect.iscoroutinefunction(sync)
        assert inspect.signature(sync) == inspect.signature(method), name
    coroutines = {name for name, member in vars(socketio.AsyncServer).items() if inspect.iscoroutinefunction(member)}
    assert coroutines - tried == {"sleep", "shutdown"}  # threads use time.sleep, and do not end the server
    for name in ("rooms", "transport", "get_environ"):
        assert inspect.signature(getattr(SyncSocketIOServer, name)) == inspect.signature(
            getattr(socketio.AsyncServer, name)
        )


@pytest.mark.parametrize("kind", [socketio.Namespace, socketio.AsyncNamespace])
async def test_a_call_of_a_namespace_without_a_timeout_ends(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asgi_realtime.socketio.server._CALL_SECONDS", 0.05)
    ended = threading.Event()

    class Asks(kind):  # type: ignore[misc]
        async def trigger_event(self, event: str, *arguments: Json) -> Any:
            try:
                await super().trigger_event(event, *arguments)
            except socketio.exceptions.TimeoutError:
                ended.set()

        def on_ask(self, sid: str) -> Any:
            return self.call("who", sid=sid)

    sio = socketio.AsyncServer()
    sio.register_namespace(Asks("/"))
    app = RealtimeMiddleware(nothing, gateways=[sio], settings=SETTINGS)
    async with RealtimeTestClient(app) as client, client.connect("/") as socket:
        await socket.send("ask")
        await socket.expect("who")
        await in_a_thread(ended)
