"""Clients that return: what one costs, and how long many take that return at once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks.catalogue import BUILD, NODE, OWN_SOCKETIO, System, named
from benchmarks.generator import Generator, Returned
from benchmarks.plan import TEXT_BYTES, Figures
from benchmarks.processes import Processors
from benchmarks.recovery.results import RecoveryPlan
from benchmarks.server import BrokenRun, Server

_WARM_UP_CLIENTS = 50
_TOGETHER = 1_000_000
"""More than there are: all return at once."""

Loss = Literal["cut", "stopped", "killed"]
"""Clients lose their connections and return to the same process; or their process gets SIGTERM or SIGKILL, and they
return to another process."""


@dataclass(frozen=True, kw_only=True)
class Returning:
    """One system whose clients return."""

    name: str
    system: str
    redis: bool
    losses: tuple[Loss, ...]
    one: bool
    """Whether a single client is measured too."""
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def own(self) -> bool:
        """Whether this is asgi_realtime."""
        return self.system in OWN_SOCKETIO

    def environment(self, redis_url: str | None) -> dict[str, str]:
        """The variables of a process. History is as long as by default."""
        common = {"MEW_HISTORY_SIZE": "1000", "RECOVERY": "1", **self.variables}
        return common if redis_url is None else {**common, "REDIS_URL": redis_url}


RETURNING = (
    Returning(name="asgi_realtime, one process", system=OWN_SOCKETIO[0], redis=False, losses=("cut",), one=True),
    Returning(
        name="asgi_realtime, Redis",
        system=OWN_SOCKETIO[0],
        redis=True,
        losses=("cut", "stopped", "killed"),
        one=True,
    ),
    *(
        Returning(
            name=f"asgi_realtime, {name}, without recovery",
            system=OWN_SOCKETIO[0],
            redis=redis,
            losses=("cut",),
            one=False,
            variables={"MEW_RECOVERY_WINDOW": "0"},
        )
        for name, redis in (("one process", False), ("Redis", True))
    ),
    Returning(name="Node socket.io, one process", system=NODE, redis=False, losses=("cut",), one=True),
    Returning(
        name="Node socket.io, streams adapter",
        system=NODE,
        redis=True,
        losses=("stopped", "killed"),
        one=False,
        variables={"ADAPTER": "streams"},
    ),
)


class _Processes:
    """One server, or two that a Redis joins, and one generator for the clients of both."""

    def __init__(
        self, case: Returning, plan: RecoveryPlan, where: Processors, tokens: Path, redis_url: str | None
    ) -> None:
        self._system: System = named(case.system)
        self._variables = case.environment(redis_url)
        self._where = where
        self._plan = plan
        self._stack = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            self.server = stack.enter_context(self._start("server"))
            self.load = stack.enter_context(Generator(self.server.port, "recovery", tokens, where.load))
            self._stack = stack.pop_all()

    def __enter__(self) -> _Processes:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _start(self, name: str) -> Server:
        return Server(self._system, self._where.server, BUILD / f"{name}.log", self._variables)

    def another(self) -> Server:
        """Start another process."""
        return self._stack.enter_context(self._start("another"))

    def warm_up(self) -> None:
        """Some clients lose their connections, and return."""
        self.load.connect(_WARM_UP_CLIENTS + 1)
        self.load.broadcast(1, 0, TEXT_BYTES)
        self.load.lose(_WARM_UP_CLIENTS)
        self.load.broadcast(self._plan.missed, 0, TEXT_BYTES)
        self.load.return_lost(_TOGETHER, 0, TEXT_BYTES)
        self.load.disconnect()
        self.server.settled_cpu()


def _shares(case: Returning, done: Returned) -> Figures:
    """Which clients recovered, and which of these did not get all events.

    Raises:
        BrokenRun: if this is asgi_realtime and events were lost.
    """
    if done.incomplete and case.own:
        raise BrokenRun(f"{done.incomplete} clients that recovered did not get all events")
    return {"share": done.recovered / done.returned, "incomplete": done.incomplete / done.returned}


def one_client(
    case: Returning, plan: RecoveryPlan, where: Processors, tokens: Path, redis_url: str | None
) -> Iterator[Figures]:
    """Milliseconds of the server for a client that has missed events, beside those for a new client.

    One client stays, and shows that all events were sent.
    """
    with _Processes(case, plan, where, tokens, redis_url) as processes:
        server, load, count = processes.server, processes.load, plan.missing
        processes.warm_up()
        load.connect(1)
        before = server.settled_cpu()
        load.connect(1 + count)
        yield {"handshake": server.settled_cpu().since(before).total / count * 1e3}
        load.broadcast(1, 0, TEXT_BYTES)  # now each client knows a position
        for _ in range(plan.missing_windows):
            load.lose(count)
            load.broadcast(plan.missed, 0, TEXT_BYTES)
            before = server.settled_cpu()
            done = load.return_lost(1, 0, TEXT_BYTES)
            used = server.settled_cpu().since(before)
            yield {"return": used.total / count * 1e3, **_shares(case, done)}


def all_at_once(
    case: Returning, loss: Loss, plan: RecoveryPlan, where: Processors, tokens: Path, redis_url: str | None
) -> Figures:
    """Seconds until all are back, and the longest time that a broadcast to others took, in milliseconds.

    The others are clients of the process to which all return.
    """
    with _Processes(case, plan, where, tokens, redis_url) as processes:
        server, load, count = processes.server, processes.load, plan.returning
        processes.warm_up()
        load.connect(plan.others)
        lost = server if loss == "cut" else processes.another()
        load.connect_to(lost.port)
        load.connect(plan.others + count)
        load.broadcast(1, 0, TEXT_BYTES)
        lost.settled_cpu()
        quiet = load.pace(plan.rate, 1.0, TEXT_BYTES)
        if loss == "cut":
            load.lose(count)
        else:
            load.ended_by(count, lost.kill if loss == "killed" else lost.terminate)
        load.broadcast(plan.missed, 0, TEXT_BYTES)
        load.connect_to(server.port)
        before = server.settled_cpu()
        done = load.return_lost(_TOGETHER, plan.rate, TEXT_BYTES)
        used = server.cpu().since(before)
        return {
            "seconds": done.seconds,
            **_shares(case, done),
            "refused": float(done.refused),
            "longest": done.longest,
            "p99 before": quiet.p99,
            "processor": used.total / count * 1e3,
            "broadcasts": float(done.messages),
        }
