"""The systems that are measured, and how each is started."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks import centrifugo, compiled
from benchmarks.compiled import Compiled

HERE = Path(__file__).parent
BUILD = HERE / "results" / "build"
WEBSOCKET_PROTOCOL = "asgi_realtime.uvicorn:WebSocketProtocol"

Dialect = Literal["json", "socketio", "centrifugo"]
Kind = Literal["broadcast", "volatile", "except"]
"""A broadcast to all clients: an ordinary one, a volatile one, or one that leaves out one client."""
Target = Literal["rooms", "users", "connections"]
"""A message to a small room, or to the user or connection that is alone in it."""


@dataclass(frozen=True, kw_only=True)
class System:
    """One server under test.

    `command` has `{port}` where the port goes. `modules` are what it cannot run without: Python
    modules, or `module:name`. `compiled` is its program, if that is compiled at first use. `settings` are
    environment variables. A system that is not `quick` is left out of a quick session. Those that are
    `compared` are also measured in the other parts of a session. A system that waits for a client that
    does not read delays all others: it is not measured with one. No system is measured with more than its
    `most_clients`. `kinds` and `targets` are ways to send that it has, besides `broadcast` and `rooms`. `tls` are
    environment variables with which it serves TLS; they contain `{certificate}` and `{key}`, the paths of the files. A
    system without them is not measured with TLS.
    """

    name: str
    dialect: Dialect
    command: tuple[str, ...]
    modules: tuple[str, ...] = ()
    compiled: Compiled | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    own: bool = False
    quick: bool = True
    compared: bool = False
    waits_for_stalled: bool = False
    most_clients: int = 1_000_000
    kinds: tuple[Kind, ...] = ()
    targets: tuple[Target, ...] = ()
    tls: Mapping[str, str] = field(default_factory=dict)

    def missing(self) -> str | None:
        """What this machine lacks to run the system, or None. Compiles its program at the first call."""
        if self.compiled is not None:
            return self.compiled.missing()
        program = self.command[0]
        if shutil.which(program) is None:
            return f"{Path(program).name} is not installed"
        if program == "node" and not (HERE / "node" / "node_modules").is_dir():
            return "its packages are not installed: npm ci --prefix benchmarks/node"
        for module in self.modules:
            if not _importable(module):
                return f"this Python has no {module}"
        return None


def _importable(what: str) -> bool:
    module, _, name = what.partition(":")
    try:
        return hasattr(importlib.import_module(module), name or "__name__")
    except ImportError:
        return False


def _uvicorn(module: str, loop: str, *options: str) -> tuple[str, ...]:
    app = f"benchmarks.systems.{module}:app"
    base = (sys.executable, "-m", "uvicorn", app, "--port", "{port}", "--log-level", "warning", "--no-access-log")
    return (*base, "--loop", loop, *options)


def _granian(module: str) -> tuple[str, ...]:
    app = f"benchmarks.systems.{module}:app"
    base = (sys.executable, "-m", "granian", "--interface", "asgi", "--port", "{port}", "--no-log")
    return (*base, "--loop", "uvloop", app)


def _hypercorn(module: str) -> tuple[str, ...]:
    app = f"benchmarks.systems.{module}:app"
    base = (sys.executable, "-m", "hypercorn", "--bind", "127.0.0.1:{port}", "--log-level", "warning")
    return (*base, "--worker-class", "uvloop", app)


_UVICORN = ("uvicorn", "uvloop", "httptools")
_UVICORN_TLS = {"UVICORN_SSL_CERTFILE": "{certificate}", "UVICORN_SSL_KEYFILE": "{key}"}


def _own(dialect: Dialect, label: str, command: tuple[str, ...], *modules: str, quick: bool = True) -> System:
    name = f"asgi_realtime {label}"
    compared = name in (*OWN_SOCKETIO, *OWN_JSON)
    return System(
        name=name,
        dialect=dialect,
        command=command,
        modules=modules,
        own=True,
        quick=quick,
        compared=compared,
        kinds=("volatile", "except"),
        targets=("users", "connections"),
        tls=_UVICORN_TLS if compared else {},
    )


_WEBSOCKET_PROTOCOL = ("--ws", WEBSOCKET_PROTOCOL)
_OWN: tuple[tuple[Dialect, str, str], ...] = (
    ("socketio", "Socket.IO", "own_socketio"),
    ("json", "JSON", "own_json"),
)

LIMIT = "C, one send() per delivery"
LIMIT_JOINED = "C, frames joined into one send()"
NODE = "Node socket.io"
NODE_WS = "Node ws, pre-framed"
SOCKETIOXIDE = "socketioxide"
CENTRIFUGO = "Centrifugo"
PYTHON_SOCKETIO = "python-socketio, uvicorn"
OWN_SOCKETIO = ("asgi_realtime Socket.IO, WebSocketProtocol, uvloop", "asgi_realtime Socket.IO, uvicorn, uvloop")
OWN_JSON = ("asgi_realtime JSON, WebSocketProtocol, uvloop", "asgi_realtime JSON, uvicorn, uvloop")
"""With and without `asgi_realtime.uvicorn:WebSocketProtocol`. The first measured one is compared with the others."""

SYSTEMS: tuple[System, ...] = (
    System(
        name=LIMIT,
        dialect="json",
        command=(str(BUILD / "limit"), "{port}", "plain"),
        compared=True,
        waits_for_stalled=True,
    ),
    System(
        name=LIMIT_JOINED,
        dialect="json",
        command=(str(BUILD / "limit"), "{port}", "joined"),
        waits_for_stalled=True,
    ),
    System(name=NODE_WS, dialect="json", command=("node", str(HERE / "node" / "ws.mjs"), "{port}")),
    System(
        name=NODE,
        dialect="socketio",
        command=("node", str(HERE / "node" / "socketio.mjs"), "{port}"),
        compared=True,
        kinds=("except",),  # a volatile event is dropped while an earlier one of the same tick is written
        tls={"TLS_CERTIFICATE": "{certificate}", "TLS_KEY": "{key}"},
    ),
    System(
        name=SOCKETIOXIDE,
        dialect="socketio",
        command=(str(compiled.SOCKETIOXIDE.program), "{port}"),
        compiled=compiled.SOCKETIOXIDE,
        compared=True,
        kinds=("except",),
    ),
    System(
        name=CENTRIFUGO,
        dialect="centrifugo",
        command=centrifugo.COMMAND,
        compiled=compiled.CENTRIFUGO,
        settings=centrifugo.SETTINGS,
        compared=True,
        tls=centrifugo.TLS,
    ),
    System(
        name="Starlette, a loop of send_text",
        dialect="json",
        command=_uvicorn("starlette_loop", "uvloop"),
        modules=_UVICORN,
        waits_for_stalled=True,
    ),
    System(
        name=PYTHON_SOCKETIO,
        dialect="socketio",
        command=_uvicorn("python_socketio", "uvloop"),
        modules=("socketio", *_UVICORN),
        compared=True,
        most_clients=10_000,
        kinds=("except",),
        tls=_UVICORN_TLS,
    ),
    System(
        name="python-socketio, granian",
        dialect="socketio",
        command=_granian("python_socketio"),
        modules=("socketio", "granian", "uvloop"),
        quick=False,
    ),
    System(
        name="Django Channels, in-memory layer",
        dialect="json",
        command=_uvicorn("django_channels", "uvloop"),
        modules=("channels", "django", *_UVICORN),
    ),
    *(
        _own(dialect, f"{label}, {server}", command, *modules, quick=quick)
        for dialect, label, module in _OWN
        for server, command, modules, quick in (
            (
                "WebSocketProtocol, uvloop",
                _uvicorn(module, "uvloop", *_WEBSOCKET_PROTOCOL),
                (*_UVICORN, WEBSOCKET_PROTOCOL),
                True,
            ),
            (
                "WebSocketProtocol, asyncio",
                _uvicorn(module, "asyncio", *_WEBSOCKET_PROTOCOL),
                (*_UVICORN, WEBSOCKET_PROTOCOL),
                dialect == "socketio",
            ),
            ("uvicorn, uvloop", _uvicorn(module, "uvloop"), _UVICORN, True),
            ("uvicorn, asyncio", _uvicorn(module, "asyncio"), _UVICORN, False),
            ("granian", _granian(module), ("granian", "uvloop"), dialect == "socketio"),
            ("hypercorn", _hypercorn(module), ("hypercorn", "uvloop"), dialect == "socketio"),
        )
    ),
)


def named(name: str) -> System:
    """The system with this name."""
    return next(system for system in SYSTEMS if system.name == name)
