"""The calls in this process that wait until their command was carried out here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.runtime.tasks import Tasks


class CommandCall:
    """A call of `command` in this process."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.begun: asyncio.Future[object] = loop.create_future()
        """Done when the command has come back from Redis and was applied here."""
        self.outcome: asyncio.Future[object] = loop.create_future()
        """Done when it is carried out."""
        self.outcome.add_done_callback(_retrieve)


class CommandCalls:
    """Gives each call the outcome of its command.

    Args:
        tasks: owns the tasks that wait until a command is carried out.
    """

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._calls: dict[str, CommandCall] = {}
        self._working: dict[str, asyncio.Task[None]] = {}  # the commands of any process that are being carried out here
        self._expected: dict[str, list[Callable[[], None]]] = {}  # what to call for those that have not come yet

    def begin(self, origin: str) -> CommandCall:
        """Expect the command with this origin."""
        call = self._calls[origin] = CommandCall()
        return call

    def end(self, origin: str) -> None:
        """Expect it no longer."""
        del self._calls[origin]

    def stop(self) -> None:
        """End all calls with `BrokerUnavailable`."""
        for call in self._calls.values():
            _settle(call.begun, None)
            _settle(call.outcome, BrokerUnavailable("the application has stopped"))

    def commanded(self, origin: str, outcome: Awaitable[object] | Exception | None) -> None:
        """A command was applied here. If it came from here, its caller gets the outcome."""
        call = self._calls.get(origin)
        if call is not None:
            _settle(call.begun, None)
        if isinstance(outcome, Exception):
            if call is None:
                self._tasks.failures.failed(None, "a command of another process failed here", outcome)
            else:
                _settle(call.outcome, outcome)
        elif outcome is not None:
            work = self._working[origin] = self._tasks.spawn(self._carry_out(origin, outcome), name="command")
            work.add_done_callback(lambda done: self._working.pop(origin, None))
        elif call is not None:
            _settle(call.outcome, None)
        for done in self._expected.pop(origin, ()):
            self.when_done(origin, done)

    def when_done(self, origin: str, done: Callable[[], None], *, seconds: float = 0.0) -> None:
        """Call a function when the command with this origin, of any process, is carried out here.

        `seconds`: how long to wait for a command that has not come yet. 0: there is none, so that it is called now.
        """
        work = self._working.get(origin)
        if work is not None:
            work.add_done_callback(lambda work: done())
        elif not seconds:
            done()
        else:
            self._expected.setdefault(origin, []).append(done)
            asyncio.get_running_loop().call_later(seconds, self._expected.pop, origin, None)

    async def _carry_out(self, origin: str, work: Awaitable[object]) -> None:
        error: Exception | None = None
        try:
            await work
        except Exception as raised:
            if origin not in self._calls:
                raise  # another process asked for it, or the caller was cancelled
            error = raised
        call = self._calls.get(origin)
        if call is not None:
            _settle(call.outcome, error)


def _settle(call: asyncio.Future[object], outcome: Exception | None) -> None:
    if not call.done():
        if outcome is None:
            call.set_result(None)
        else:
            call.set_exception(outcome)


def _retrieve(call: asyncio.Future[object]) -> None:
    if not call.cancelled():
        call.exception()  # avoids asyncio's warning if no caller awaits it
