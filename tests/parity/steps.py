"""Calls of python-socketio's API. Each step returns the results that the app and its clients see."""

from __future__ import annotations

import asyncio
import functools
import gc
from collections.abc import Awaitable, Callable
from typing import Any

from socketio import AsyncManager

from tests.parity.scenario import Client, Scenario
from tests.support.waiting import until

Step = Callable[[Scenario], Awaitable[Any]]
STEPS: dict[str, Step] = {}
ANSWERS: list[Any] = [
    None,
    0,
    1,
    "",
    False,
    [1],
    [],
    {},
    {"a": 1},
    (),
    (1,),
    (1, 2),
    (None,),
    (None, None),
    b"x",
    (b"x", 1),
]


def step(function: Step) -> Step:
    STEPS[function.__name__] = function
    return function


# Rooms


@step
async def rooms_of_a_client(it: Scenario) -> Any:
    sid, sio = (await it.client()).sid, it.sio
    seen = [sorted(it.named(sio.rooms(sid)))]
    for room in ("a", "a", "b"):
        await sio.enter_room(sid, room)
    seen.append(sorted(it.named(sio.rooms(sid))))
    for room in ("a", "nowhere"):
        await sio.leave_room(sid, room)
    seen.append(sorted(it.named(sio.rooms(sid))))
    for room in ("b", "nowhere"):
        await sio.close_room(room)
    return [*seen, sorted(it.named(sio.rooms(sid)))]


@step
async def rooms_of_an_unknown_sid(it: Scenario) -> Any:
    sio = it.sio
    return [
        await it.outcome(lambda: sio.rooms("x")),
        await it.outcome(lambda: sio.enter_room("x", "a")),
        await it.outcome(lambda: sio.leave_room("x", "a")),
        await it.outcome(lambda: sio.rooms("x", namespace="/none")),
        await it.outcome(lambda: sio.enter_room("x", "a", namespace="/none")),
        await it.outcome(lambda: sio.leave_room("x", "a", namespace="/none")),
        await it.outcome(lambda: sio.close_room("x", namespace="/none")),
    ]


@step
async def leaving_the_room_of_the_own_sid(it: Scenario) -> Any:
    client = await it.client()
    await it.sio.leave_room(client.sid, client.sid)
    await it.sio.emit("lost", to=client.sid)
    await client.call("settle")
    return [it.sio.rooms(client.sid), client.received]


@step
async def entering_the_room_of_another_sid(it: Scenario) -> Any:
    one, other = await it.client(), await it.client()
    seen = [
        await it.outcome(lambda: it.sio.enter_room(one.sid, other.sid)),
        await it.outcome(lambda: it.sio.enter_room(one.sid, one.sid)),
        await it.outcome(lambda: it.sio.close_room(other.sid)),
    ]
    await it.sio.emit("private", to=other.sid)
    await it.settle()
    return [*seen, one.received, other.received]


# Sending


@step
async def emit_recipients(it: Scenario) -> Any:
    one, other, sio = await it.client(), await it.client(), it.sio
    await sio.enter_room(one.sid, "r")
    await sio.enter_room(other.sid, "q")
    await sio.emit("all")
    await sio.emit("one", to=one.sid)
    await sio.emit("room", room="r")
    await sio.emit("both", to=["r", "q"])
    await sio.emit("once", to=["r", one.sid])
    await sio.emit("tuple", to=("r", "q"))
    await sio.emit("nowhere", to="z")
    await sio.emit("to before room", to="r", room="q")
    await sio.emit("empty to", to="", room="q")
    await sio.emit("skip", skip_sid=one.sid)
    await sio.emit("skip both", skip_sid=[one.sid, other.sid])
    await sio.emit("skip an unknown sid", skip_sid="x")
    await sio.emit("skip in a room", to="r", skip_sid=one.sid)
    await sio.emit("no such namespace", namespace="/none")
    await sio.emit("positional", 1, one.sid)
    await sio.send("hello", to=other.sid)
    await it.settle()
    return [one.received, other.received]


@step
async def unusual_event_names(it: Scenario) -> Any:
    client = await it.client()
    for name in ("", " ", "a b", "é", "message", "error", "ping", "*", "__proto__"):
        await it.sio.emit(name, name)
    await it.settle()
    return client.received


@step
async def callbacks(it: Scenario) -> Any:
    client = await it.client()
    answers: asyncio.Queue[Any] = asyncio.Queue()

    async def asynchronous(*args: Any) -> None:
        answers.put_nowait(args)

    got = []
    for client.answer in ANSWERS:
        for callback in (lambda *args: answers.put_nowait(args), asynchronous):
            await it.sio.emit("question", to=client.sid, callback=callback)
            got.append(await asyncio.wait_for(answers.get(), 5))
    return got


@step
async def callbacks_of_a_room(it: Scenario) -> Any:
    one, other = await it.client(), await it.client()
    answers: asyncio.Queue[Any] = asyncio.Queue()
    one.answer, other.answer = 1, 2
    for client in (one, other):
        await it.sio.enter_room(client.sid, "r")
    await it.sio.emit("question", to="r", callback=lambda *args: answers.put_nowait(args))
    return sorted([await asyncio.wait_for(answers.get(), 5) for _ in range(2)])


@step
async def calls(it: Scenario) -> Any:
    client, sio, seen = await it.client(), it.sio, []
    for client.answer in ANSWERS:
        seen.append(await it.outcome(lambda: sio.call("question", {"x": 1}, to=client.sid, timeout=5)))
    seen.append(await it.outcome(lambda: sio.call("question", sid=client.sid, timeout=5)))
    seen.append(await it.outcome(lambda: sio.call("question", timeout=5)))
    seen.append(await it.outcome(lambda: sio.call("question", to="x", timeout=0.1)))
    return [*seen, client.received]


@step
async def call_in_a_handler(it: Scenario) -> Any:
    async def ask(sid: str) -> Any:
        return await it.outcome(lambda: it.sio.call("question", to=sid, timeout=5))

    it.sio.on("ask", ask)
    client = await it.client()
    client.answer = "yes"
    return await client.call("ask")


@step
async def calls_in_the_connect_handler(it: Scenario) -> Any:
    async def connect(sid: str, environ: Any) -> None:
        await it.sio.emit("hello", 1, to=sid)
        await it.sio.enter_room(sid, "r")
        await it.sio.save_session(sid, {"a": 1})

    it.sio.on("connect", connect)
    client = await it.client()
    await it.settle()
    return [client.received, sorted(it.named(it.sio.rooms(client.sid))), await it.sio.get_session(client.sid)]


# Receiving


@step
async def handler_arguments(it: Scenario) -> Any:
    got: list[Any] = []
    it.sio.on("e", lambda sid, *args: got.append(args))
    client = await it.client()
    for data in (None, 1, (), (1,), (1, 2), [1], {"a": b"x"}, b"x", (b"x", b"y"), True, "", {}, {"a": None}, (None,)):
        await client.emit("e", data)
        await it.settle()  # python-socketio runs the handlers of a client's events concurrently
    return got


@step
async def acknowledgements(it: Scenario) -> Any:
    values = iter(ANSWERS)
    it.sio.on("e", lambda sid: next(values))
    client = await it.client()
    return [await it.outcome(lambda: client.call("e")) for _ in ANSWERS]


@step
async def failing_handlers(it: Scenario) -> Any:
    async def bad(sid: str) -> None:
        raise ValueError("bad")

    it.sio.on("bad", bad)
    it.sio.on("without parameters", lambda sid: 1)
    it.sio.on("good", lambda sid: "ok")
    client, seen = await it.client(), []
    # python-socketio leaves the errors to the event loop, this package logs them.
    loop = asyncio.get_running_loop()
    handler = loop.get_exception_handler()
    loop.set_exception_handler(lambda loop, context: None)
    for event, data in (("bad", None), ("without parameters", (1, 2)), ("without a handler", None), ("good", None)):
        timeout = 5 if event == "good" else 0.3
        seen.append(await it.outcome(functools.partial(client.call, event, data, timeout)))
    gc.collect()
    loop.set_exception_handler(handler)
    return seen


@step
async def catch_all_handlers(it: Scenario) -> Any:
    got: list[Any] = []
    it.sio.on("*", lambda event, sid, *args: got.append((event, args)))
    it.sio.on("own", lambda sid, *args: got.append(("own handler", args)))
    it.sio.on("*", lambda event, namespace, sid, *args: got.append(("any", event, namespace, args)), namespace="*")
    it.sio.on("special", lambda namespace, sid, *args: got.append(("special", namespace, args)), namespace="*")
    one, other = await it.client(), await it.client("/chat")
    for event in ("own", "other", "special"):
        await one.emit(event, (1, 2))
        await it.settle()
        await other.emit(event, 3)
        await it.settle()
    return got


@step
async def class_namespaces(it: Scenario) -> Any:
    got: list[Any] = []

    class Handlers(it.module.AsyncNamespace):  # type: ignore[misc, name-defined]
        def on_connect(self, sid: str, environ: Any, auth: Any) -> None:
            got.append("connect")

        async def on_disconnect(self, sid: str, reason: str) -> None:
            got.append(reason)

        async def on_settle(self, sid: str) -> None: ...

        async def on_echo(self, sid: str, *args: Any) -> Any:
            await self.emit("echoed", args, to=sid)
            await self.enter_room(sid, "r")
            await self.save_session(sid, {"x": 1})
            return sorted(it.named(self.rooms(sid))), await self.get_session(sid)

        def on_bad_name(self, sid: str) -> str:
            return "with an underscore"

    it.sio.register_namespace(Handlers("/class"))
    client = await it.client("/class")
    seen = [
        await it.outcome(lambda: client.call("echo", (1, 2))),
        await it.outcome(lambda: client.call("bad_name")),
        await it.outcome(lambda: client.call("unknown", timeout=0.3)),
    ]
    await client.socket.disconnect()
    await until(lambda: len(got) == 2)
    return [seen, got, client.received]


@step
async def registering_handlers(it: Scenario) -> Any:
    sio = it.sio
    seen = [await it.outcome(lambda: sio.on("x", lambda sid: 1)), await it.outcome(lambda: sio.register_namespace(1))]

    @sio.on("y")  # type: ignore[untyped-decorator]
    async def y(sid: str) -> str:
        return "y"

    @sio.event  # type: ignore[untyped-decorator]
    async def z(sid: str) -> str:
        return "z"

    @sio.event(namespace="/chat")  # type: ignore[untyped-decorator]
    async def w(sid: str) -> str:
        return "w"

    one, other = await it.client(), await it.client("/chat")
    return [*seen, *map(callable, (y, z, w)), await one.call("y"), await one.call("z"), await other.call("w")]


@step
async def long_polling(it: Scenario) -> Any:
    got: list[Any] = []
    it.sio.on("e", lambda sid, *args: got.append(args))
    client = await it.client(transport="polling")
    for data in (b"x", {"a": "é"}):
        await client.emit("e", data)
        await it.settle()
    await it.sio.emit("p", (b"y", 1), to=client.sid)
    await it.settle()
    return [it.sio.transport(client.sid), got, client.received]


# Sessions


@step
async def sessions(it: Scenario) -> Any:
    sio, sid = it.sio, (await it.client()).sid
    seen: list[Any] = [dict(await sio.get_session(sid))]
    (await sio.get_session(sid))["a"] = 1
    seen.append(dict(await sio.get_session(sid)))
    await sio.save_session(sid, {"b": 2})
    seen.append(dict(await sio.get_session(sid)))
    async with sio.session(sid) as session:
        session["c"] = 3
    seen.append(dict(await sio.get_session(sid)))
    try:
        async with sio.session(sid) as session:
            session["d"] = 4
            raise KeyError("of the host")
    except KeyError as error:
        seen.append(str(error))
    seen.append(dict(await sio.get_session(sid)))
    for value in (None, "text", 5):
        await sio.save_session(sid, value)
        seen.append(await sio.get_session(sid))
    return seen


@step
async def sessions_of_an_unknown_sid(it: Scenario) -> Any:
    sio, sid = it.sio, (await it.client()).sid

    async def block() -> None:
        async with sio.session("x"):
            pass

    return [
        await it.outcome(lambda: sio.get_session("x")),
        await it.outcome(lambda: sio.save_session("x", {})),
        await it.outcome(block),
        await it.outcome(lambda: sio.get_session(sid, namespace="/none")),
        await it.outcome(lambda: sio.save_session(sid, {}, namespace="/none")),
    ]


@step
async def get_session_returns_the_saved_object(it: Scenario) -> Any:
    sio, sid = it.sio, (await it.client()).sid
    mine = {"a": 1}
    await sio.save_session(sid, mine)
    mine["b"] = 2
    found = await sio.get_session(sid)
    return [found, found is mine, (await sio.get_session(sid)) is found]


@step
async def each_namespace_has_a_session(it: Scenario) -> Any:
    sio, one, other = it.sio, await it.client(), await it.client("/chat")
    await sio.save_session(one.sid, {"of": "/"})
    await sio.save_session(other.sid, {"of": "/chat"}, namespace="/chat")
    return [
        await sio.get_session(one.sid),
        await sio.get_session(other.sid, namespace="/chat"),
        await it.outcome(lambda: sio.get_session(other.sid)),
    ]


@step
async def two_namespaces_of_one_transport(it: Scenario) -> Any:
    sio, manager = it.sio, it.sio.manager
    client = await it.client()
    await client.socket.disconnect()
    await client.socket.connect(it.url, namespaces=["/", "/chat"], transports=["websocket"])
    one, other = client.socket.get_sid("/"), client.socket.get_sid("/chat")
    await sio.save_session(one, {"n": 1})
    await sio.save_session(other, {"n": 2}, namespace="/chat")
    transport = manager.eio_sid_from_sid(one, "/")
    seen = [
        one == other,
        await sio.get_session(one),
        await sio.get_session(other, namespace="/chat"),
        transport == manager.eio_sid_from_sid(other, "/chat"),
        manager.sid_from_eio_sid(transport, "/chat") == other,
    ]
    await sio.disconnect(other, namespace="/chat")
    await until(lambda: "/chat" not in client.socket.namespaces)
    return [*seen, manager.is_connected(one, "/"), manager.is_connected(other, "/chat"), client.socket.connected]


@step
async def calls_in_the_disconnect_handler(it: Scenario) -> Any:
    sio, seen = it.sio, []

    async def on_disconnect(sid: str, reason: str) -> None:
        seen.append(
            [
                it.named(sid),
                reason,
                await it.outcome(lambda: sio.get_session(sid)),
                sorted(it.named(sio.rooms(sid))),
                sio.get_environ(sid) is not None,
                await it.outcome(lambda: sio.enter_room(sid, "late")),
                await it.outcome(lambda: sio.emit("x", to=sid)),
                sio.manager.is_connected(sid, "/"),
            ]
        )

    sio.on("disconnect", on_disconnect)
    client = await it.client()
    sid = client.sid
    await sio.save_session(sid, {"a": 1})
    await sio.enter_room(sid, "r")
    await client.socket.disconnect()
    await until(lambda: bool(seen) and sio.get_environ(sid) is None)
    return [seen, await it.outcome(lambda: sio.get_session(sid)), sio.rooms(sid)]


# Connecting and disconnecting


@step
async def disconnects(it: Scenario) -> Any:
    sio, reasons = it.sio, []
    sio.on("disconnect", lambda sid, reason: reasons.append((it.named(sid), reason)))
    one, two, three = await it.client(), await it.client(), await it.client()
    sid = one.sid
    await sio.disconnect(sid)
    await until(lambda: len(reasons) == 1)
    await two.socket.disconnect()
    await until(lambda: len(reasons) == 2)
    seen = [
        await it.outcome(lambda: sio.disconnect(sid)),
        await it.outcome(lambda: sio.disconnect("x")),
        await it.outcome(lambda: sio.disconnect(three.sid, namespace="/none")),
    ]
    await it.settle()
    return [reasons, one.received, two.received, three.received, seen, one.socket.connected]


@step
async def emit_before_disconnect(it: Scenario) -> Any:
    client = await it.client()
    sid = client.sid
    await it.sio.emit("bye", to=sid)
    await it.sio.disconnect(sid)
    await it.sio.emit("too late", to=sid)
    await client.until("disconnect")
    return client.received


@step
async def refusals(it: Scenario) -> Any:
    refused = it.module.exceptions.ConnectionRefusedError
    seen: list[Any] = []
    for outcome in (
        *(False, None, True, 0, ""),
        *(refused(), refused("no"), refused("no", {"a": 1}), refused("no", 1, 2), refused({"a": 1})),
        ConnectionRefusedError("the built-in one"),
    ):

        async def connect(sid: str, environ: Any, auth: Any, outcome: Any = outcome) -> Any:
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        it.sio.on("connect", connect)
        try:
            await it.client()
            seen.append((repr(outcome), "in"))
        except Exception as error:
            seen.append((repr(outcome), type(error).__name__, str(error), it.clients[-1].received))
    return seen


@step
async def signatures_of_connect_and_disconnect(it: Scenario) -> Any:
    seen: list[Any] = []

    async def legacy(sid: str, environ: Any) -> None:
        seen.append("a coroutine")

    for connect in (lambda sid, environ: seen.append("two"), lambda sid, environ, auth: seen.append(auth), legacy):
        it.sio.on("connect", connect)
        await it.client()
    for disconnect in (lambda sid: seen.append("one"), lambda sid, reason: seen.append(reason)):
        it.sio.on("disconnect", disconnect)
        count = len(seen) + 2
        await (await it.client()).socket.disconnect()
        await until(functools.partial(_has, seen, count))
    return seen


def _has(seen: list[Any], count: int) -> bool:
    return len(seen) == count


@step
async def auth_argument_of_connect(it: Scenario) -> Any:
    seen: list[Any] = []
    it.sio.on("connect", lambda sid, environ, auth: seen.append(auth))
    for auth in (None, {}, {"token": 1}, {"a": {"b": [None]}}):
        await it.client(auth=auth)
    return seen


@step
async def connecting_to_an_unknown_namespace(it: Scenario) -> Any:
    seen: list[Any] = []
    for namespace in ("/none", "/chat", "/chat/x"):
        try:
            await it.client(namespace)
            seen.append((namespace, "in"))
        except Exception as error:
            seen.append((namespace, type(error).__name__, str(error)))
    return seen


# Lookups


async def three_clients(it: Scenario) -> tuple[Client, Client, Client]:
    one, two, three = await it.client(), await it.client(), await it.client("/chat")
    for client in (one, two):
        await it.sio.enter_room(client.sid, "r")
    return one, two, three


@step
async def participants_and_rooms(it: Scenario) -> Any:
    (one, _, _), manager = await three_clients(it), it.sio.manager

    def sids(namespace: str, room: Any) -> list[str]:
        return sorted(it.named([sid for sid, _ in manager.get_participants(namespace, room)]))

    return [
        sorted(manager.get_namespaces()),
        *(sids("/", room) for room in ("r", None, ["r", one.sid], ["none", "r"], one.sid, "none")),
        sids("/none", "r"),
        sorted(it.named(manager.get_rooms(one.sid, "/"))),
        *(manager.get_rooms(sid, namespace) for sid, namespace in (("x", "/"), ("x", "/none"), (one.sid, "/chat"))),
        *(manager.is_connected(sid, where) for sid, where in ((one.sid, "/"), (one.sid, "/chat"), ("x", "/none"))),
        # Older versions of python-socketio have no such method.
        *(hasattr(AsyncManager, "is_sid_room") and manager.is_sid_room("/", room) for room in (one.sid, "r", "none")),
    ]


@step
async def transport_ids(it: Scenario) -> Any:
    (one, _, _), manager = await three_clients(it), it.sio.manager
    transport = manager.eio_sid_from_sid(one.sid, "/")
    return [
        manager.sid_from_eio_sid(transport, "/") == one.sid,
        *(manager.sid_from_eio_sid(*where) for where in ((transport, "/chat"), ("x", "/"), (transport, "/none"))),
        *(manager.eio_sid_from_sid(*where) for where in (("x", "/"), (one.sid, "/none"), (one.sid, "/chat"))),
        [(it.named(sid), other == transport) for sid, other in manager.get_participants("/", one.sid)],
    ]


@step
async def rooms_attribute(it: Scenario) -> Any:
    (one, _, _), rooms = await three_clients(it), it.sio.manager.rooms
    transport = it.sio.manager.eio_sid_from_sid(one.sid, "/")
    seen = [
        sorted(rooms),
        sorted(map(repr, it.named(list(rooms["/"])))),
        *(sorted(it.named(list(rooms["/"][room]))) for room in ("r", None)),
        len(rooms["/"][None]),
        *(room in rooms["/"] for room in ("r", "none", None)),
        rooms["/"]["r"][one.sid] == transport,
        rooms["/"].get("none"),
        await it.outcome(lambda: rooms["/"]["none"]),
        await it.outcome(lambda: rooms["/none"]),
    ]
    sid = one.sid
    await one.socket.disconnect()
    await until(lambda: not it.sio.manager.is_connected(sid, "/"))
    return [*seen, sorted(it.named(list(it.sio.manager.rooms["/"]["r"])))]


@step
async def attributes(it: Scenario) -> Any:
    client, sio = await it.client(), it.sio
    environ = sio.get_environ(client.sid)
    return [
        sio.async_mode,
        sio.is_asyncio_based(),
        sio.transport(client.sid),
        await it.outcome(lambda: sio.transport("x")),
        sio.get_environ("x"),
        [environ[name] for name in ("PATH_INFO", "REQUEST_METHOD", "SCRIPT_NAME")],
        sorted(name for name in environ if name.startswith("HTTP_SEC_WEBSOCKET_V")),
        [sio.reason.CLIENT_DISCONNECT, sio.reason.SERVER_DISCONNECT, sio.reason.PING_TIMEOUT],
    ]


@step
async def background_tasks(it: Scenario) -> Any:
    got = []

    async def work(a: int, b: int = 0) -> int:
        await it.sio.sleep(0)
        got.append((a, b))
        return 7

    return [await it.sio.start_background_task(work, 1, b=2), got]
