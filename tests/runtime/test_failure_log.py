"""Failures of many clients with one cause are logged once a minute."""

from __future__ import annotations

import pytest

from asgi_realtime.runtime.failure_log import INTERVAL, FailureLog
from tests.support.clock import ManualClock


def test_a_cause_is_logged_once_a_minute_with_the_number_of_the_others(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    log = FailureLog(clock=clock)
    for number in range(5):
        log.failed("/chat", "no rooms", LookupError(number))
    log.failed("/mew", "no rooms", LookupError(5))
    log.failed("/chat", "no rooms", OSError(6))
    clock.now += INTERVAL
    log.failed("/chat", "no rooms", LookupError(7))
    assert [record.message for record in caplog.records] == [
        "/chat: no rooms: LookupError(0)",
        "/mew: no rooms: LookupError(5)",
        "/chat: no rooms: OSError(6)",
        "/chat: no rooms: LookupError(7); 4 more since the last line",
    ]
