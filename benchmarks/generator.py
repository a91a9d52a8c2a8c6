"""The Python side of the load generator. `load/main.c` describes the commands."""

from __future__ import annotations

import select
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeVar

import msgspec

from benchmarks import processes
from benchmarks.build import LOAD, LOAD_TLS
from benchmarks.catalogue import Dialect, Kind, Target
from benchmarks.server import BrokenRun

T = TypeVar("T")


class _Void(msgspec.Struct):
    """The reason if the measurement is not valid."""

    error: str = ""


class Entered(msgspec.Struct):
    """Clients that were accepted."""

    connected: int
    seconds: float


class Delivered(msgspec.Struct):
    """Broadcasts that all clients received, and the latency from the request, in milliseconds."""

    messages: int
    deliveries: int
    seconds: float
    p50: float
    p99: float


class Counted(msgspec.Struct):
    """Events that the server has counted."""

    events: int
    seconds: float


class Mixed(msgspec.Struct):
    """Broadcasts that reached all clients in the room, while some left and joined."""

    messages: int
    moves: int


class Stalled(msgspec.Struct):
    """Clients that did not read, how many of them were disconnected, and the close code that arrived, if any."""

    stalled: int
    cut: int = 0
    code: int = 0


class Returned(msgspec.Struct):
    """Clients that had lost their connections and are in the room again."""

    returned: int
    recovered: int
    """How many got their earlier session."""
    incomplete: int
    """How many of these did not get all events."""
    refused: int
    """How often the server closed the connection of one of them. It tried again after a second."""
    seconds: float
    """Until the last of them was in the room."""
    longest: float
    """The longest time from the request for a broadcast until another client received it, in milliseconds."""
    messages: int
    """Broadcasts until then."""


class Generator:
    """The clients of one server. Use it with `with`.

    The dialect `recovery` is Socket.IO, with clients that can recover missed events. If the server's `certificate` is
    given, all connections use TLS.

    Raises:
        BrokenRun: from every method, if a client lost a message, had one twice or out of order, or was refused.
    """

    def __init__(
        self,
        port: int,
        dialect: Dialect | Literal["recovery"],
        tokens: Path,
        processor: int | None,
        certificate: Path | None = None,
    ) -> None:
        program, files = (LOAD, [tokens]) if certificate is None else (LOAD_TLS, [tokens, certificate])
        command = [str(program), str(port), dialect, *map(str, files)]
        with processes.pinned(processor):
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Generator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, command: str) -> None:
        """Send a command. `answer` returns its answer."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(command + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise BrokenRun("the load generator has ended") from None

    def answer(self, kind: type[T]) -> T:
        """Wait for the answer to the last command."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BrokenRun("the load generator died")
        reason = msgspec.json.decode(line, type=_Void).error
        if reason:
            raise BrokenRun(reason)
        return msgspec.json.decode(line, type=kind)

    def answers_within(self, seconds: float) -> bool:
        """Whether the answer to the last command arrives within this many seconds."""
        assert self._process.stdout is not None
        return bool(select.select([self._process.stdout], [], [], seconds)[0])

    def _do(self, command: str, kind: type[T]) -> T:
        self.ask(command)
        return self.answer(kind)

    def connect(self, clients: int) -> Entered:
        """Connect or disconnect clients until this many are in the room."""
        return self._do(f"connect {clients}", Entered)

    def broadcast(
        self, width: int, seconds: float, size: int, *, kind: Kind = "broadcast", together: int = 1
    ) -> Delivered:
        """Send this many broadcasts at a time, and again when every client has received them.

        The server begins `together` of them at once.
        """
        return self._do(f"broadcast {width} {seconds} {size} {kind} {together}", Delivered)

    def enter(self, rooms: int, members: int) -> Entered:
        """Every client enters this many more small rooms, of this many members."""
        return self._do(f"enter {rooms} {members}", Entered)

    def target(self, kind: Target, width: int, seconds: float, size: int) -> Delivered:
        """Send messages to this many random rooms of those entered last, and again when all members have them."""
        return self._do(f"target {kind} {width} {seconds} {size}", Delivered)

    def pace(self, rate: float, seconds: float, size: int) -> Delivered:
        """Send this many broadcasts per second."""
        return self._do(f"pace {rate} {seconds} {size}", Delivered)

    def inbound(self, burst: int, seconds: float, clients: int) -> Counted:
        """Clients each send a burst of events, and again when the server has counted them."""
        return self._do(f"inbound {burst} {seconds} {clients}", Counted)

    def mixed(self, seconds: float, size: int) -> Mixed:
        """Send sixteen broadcasts at a time while clients join, leave, get answers and read slowly."""
        return self._do(f"mixed {seconds} {size}", Mixed)

    def idle(self, seconds: float) -> None:
        """Clients only answer heartbeats for so long."""
        self._do(f"idle {seconds}", dict[str, int])

    def stall(self, clients: int) -> Stalled:
        """Connect this many more clients, which do not read."""
        return self._do(f"stall {clients}", Stalled)

    def wake_stalled(self) -> Stalled:
        """Let these clients read, and return how many were disconnected."""
        return self._do("stalled", Stalled)

    def lose(self, clients: int) -> None:
        """The clients that entered last close their connections without a word."""
        self._do(f"lose {clients}", dict[str, int])

    def ended_by(self, clients: int, end: Callable[[], object]) -> None:
        """Call `end`, which makes the server end the connections of the clients that entered last."""
        self.ask(f"ended {clients}")
        end()
        self.answer(dict[str, int])

    def return_lost(self, width: int, rate: float, size: int) -> Returned:
        """Lost clients return, so many at a time. There are so many broadcasts per second, which others receive too."""
        return self._do(f"return {width} {rate} {size}", Returned)

    def connect_to(self, port: int) -> None:
        """Clients connect to this port from now on. Broadcasts are still requested where they were before."""
        self._do(f"port {port}", dict[str, int])

    def disconnect(self) -> None:
        """Disconnect all clients."""
        self._do("disconnect", dict[str, int])
