"""Failures of many clients with one cause are logged once a minute."""

from __future__ import annotations

import pytest

from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.runtime.failure_log import FailureLog
from asgi_realtime.runtime.log_limit import INTERVAL
from tests.support.clock import ManualClock


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as found:
        return found


def test_a_cause_is_logged_once_a_minute_with_the_number_of_the_others(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    log = FailureLog(clock=clock)
    for number in range(5):
        log.failed("/chat", "no rooms", LookupError(number))
    log.failed("/mew", "no rooms", LookupError(5))
    log.failed("/chat", "no rooms", OSError(6))
    log.failed("/chat", "no users", OSError(7))
    clock.now += INTERVAL
    log.failed("/chat", "no rooms", LookupError(8), about="user 'ada'")
    assert [record.message for record in caplog.records] == [
        "/chat: no rooms: LookupError(0)",
        "/mew: no rooms: LookupError(5)",
        "/chat: no rooms: OSError(6)",
        "/chat: no users: OSError(7)",
        "/chat: no rooms (user 'ada'): LookupError(8); 4 more since the last line",
    ]


def test_an_error_that_is_raised_at_another_line_is_another_cause(caplog: pytest.LogCaptureFixture) -> None:
    log = FailureLog()
    for number in range(3):
        log.failed("/chat", "ask failed", raised(LookupError(number)))
    try:
        raise LookupError(3)
    except LookupError as error:
        log.failed("/chat", "ask failed", error)
    assert [record.message[-14:] for record in caplog.records] == ["LookupError(0)", "LookupError(3)"]
    assert all(record.exc_info for record in caplog.records)


@pytest.mark.parametrize("error", [TimeoutError(), BrokerUnavailable("away")])
def test_an_error_of_something_that_is_away_has_no_traceback(
    caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    FailureLog().failed("/chat", "ask failed", raised(error))
    [record] = caplog.records
    assert record.exc_info is None


def test_the_number_of_causes_that_are_remembered_is_limited(caplog: pytest.LogCaptureFixture) -> None:
    log = FailureLog()
    for number in range(501):
        log.failed("/chat", f"{number} failed", LookupError())
    log.failed("/chat", "0 failed", LookupError())
    assert len(caplog.records) == 502
