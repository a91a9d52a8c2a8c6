"""Deadlines for authentication, on a timer wheel that the test advances."""

from __future__ import annotations

import asyncio

from asgi_realtime.runtime.timers import TimerWheel
from asgi_realtime.transports.json_websocket.auth_deadlines import AuthDeadlines
from tests.support.waiting import until


class AwaitingAuth:
    def __init__(self) -> None:
        self.notified = 0

    def on_token_deadline(self) -> None:
        self.notified += 1


async def test_only_the_expired_connection_is_notified_and_once() -> None:
    auth_deadlines = AuthDeadlines(TimerWheel(tick=1), 10)
    now = asyncio.get_running_loop().time()
    early, sent, late = AwaitingAuth(), AwaitingAuth(), AwaitingAuth()
    auth_deadlines.add(early)
    auth_deadlines.add(sent)
    auth_deadlines.discard(sent)
    deadline = auth_deadlines.on_deadline(now)
    assert deadline is not None and now + 10 <= deadline < now + 20
    assert early.notified == 0
    assert auth_deadlines.on_deadline(deadline + 1) is None
    auth_deadlines.add(late)
    assert (early.notified, sent.notified, late.notified) == (1, 0, 0)
    assert auth_deadlines.on_deadline(deadline + 100) is None
    assert (early.notified, sent.notified, late.notified) == (1, 0, 1)


async def test_a_client_that_connects_after_the_notification_is_notified_too() -> None:
    wheel = TimerWheel(tick=0.01)
    auth_deadlines = AuthDeadlines(wheel, 0.01)
    for _ in range(3):
        client = AwaitingAuth()
        auth_deadlines.add(client)
        await until(lambda client=client: client.notified == 1)  # type: ignore[misc]
    wheel.close()
