"""One line in a minute for each cause."""

from __future__ import annotations

from asgi_realtime.runtime.log_limit import INTERVAL, LogLimit
from tests.support.clock import ManualClock


def test_one_line_a_minute_is_allowed_for_each_cause_and_the_others_are_counted() -> None:
    clock = ManualClock()
    limit = LogLimit(clock=clock)
    assert [limit.more("one") for _ in range(4)] == ["", None, None, None]
    assert [limit.more(cause) for cause in ("two", "two", None)] == ["", None, ""]
    clock.now += INTERVAL - 1
    assert limit.more("one") is None
    clock.now += 1
    assert [limit.more("one") for _ in range(2)] == ["; 4 more since the last line", None]
    clock.now += 2 * INTERVAL
    assert limit.more("one") == "; 1 more since the last line"
    clock.now += 2 * INTERVAL
    assert limit.more("one") == ""


def test_the_number_of_causes_that_are_stored_is_limited() -> None:
    limit = LogLimit()
    assert [limit.more(number) for number in range(501)] == [""] * 501
    assert limit.more(0) == ""
    assert limit.more(500) is None
