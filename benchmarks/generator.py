"""The load generator, as Python sees it. What the commands mean is said in `load/main.c`."""

from __future__ import annotations

import select
import subprocess
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import msgspec

from benchmarks import processes
from benchmarks.build import LOAD
from benchmarks.catalogue import Dialect
from benchmarks.server import BrokenRun

T = TypeVar("T")


class _Void(msgspec.Struct):
    """Why everything measured is void, if it is."""

    error: str = ""


class Entered(msgspec.Struct):
    """Clients that were let in."""

    connected: int
    seconds: float


class Delivered(msgspec.Struct):
    """Broadcasts that all clients received; how long after they were asked for, in milliseconds."""

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
    """Broadcasts that reached everybody who was in the room, while some left and entered."""

    messages: int
    moves: int


class Stalled(msgspec.Struct):
    """Clients that did not read; how many the server cut off, and the code that was still heard, if any."""

    stalled: int
    cut: int = 0
    code: int = 0


class Generator:
    """A crowd of clients of one server. Use it with `with`.

    Raises:
        BrokenRun: from every method, if a client lost a message, had one twice or out of order, or was refused.
    """

    def __init__(self, port: int, dialect: Dialect, tokens: Path, processor: int | None) -> None:
        with processes.pinned(processor):
            self._process = subprocess.Popen(
                [str(LOAD), str(port), dialect, str(tokens)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )

    def __enter__(self) -> Generator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, command: str) -> None:
        """Give a command; its answer is taken by `answer`."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(command + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise BrokenRun("the load generator has ended") from None

    def answer(self, kind: type[T]) -> T:
        """Wait for the answer to the command given last."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BrokenRun("the load generator died")
        reason = msgspec.json.decode(line, type=_Void).error
        if reason:
            raise BrokenRun(reason)
        return msgspec.json.decode(line, type=kind)

    def answers_within(self, seconds: float) -> bool:
        """Whether the answer to the command given last has come, or comes within some seconds."""
        assert self._process.stdout is not None
        return bool(select.select([self._process.stdout], [], [], seconds)[0])

    def _do(self, command: str, kind: type[T]) -> T:
        self.ask(command)
        return self.answer(kind)

    def connect(self, clients: int) -> Entered:
        """Have this many clients in the room."""
        return self._do(f"connect {clients}", Entered)

    def broadcast(self, width: int, seconds: float, size: int) -> Delivered:
        """So many broadcasts at a time, again when every client has every one."""
        return self._do(f"broadcast {width} {seconds} {size}", Delivered)

    def pace(self, rate: float, seconds: float, size: int) -> Delivered:
        """So many broadcasts a second."""
        return self._do(f"pace {rate} {seconds} {size}", Delivered)

    def inbound(self, burst: int, seconds: float, clients: int) -> Counted:
        """Clients that each send a burst of events, again when they were counted."""
        return self._do(f"inbound {burst} {seconds} {clients}", Counted)

    def mixed(self, seconds: float, size: int) -> Mixed:
        """Sixteen broadcasts at a time among joins, leaves, answers to single clients and slow readers."""
        return self._do(f"mixed {seconds} {size}", Mixed)

    def stall(self, clients: int) -> Stalled:
        """So many more clients, which do not read."""
        return self._do(f"stall {clients}", Stalled)

    def wake_stalled(self) -> Stalled:
        """Let those read what there is, and learn who was cut off."""
        return self._do("stalled", Stalled)

    def disconnect(self) -> None:
        """Everybody leaves."""
        self._do("disconnect", dict[str, int])
