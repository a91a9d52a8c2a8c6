"""When others fight for the interpreter's lock: how long descriptors are let alone."""

from __future__ import annotations

from asgi_realtime.contention import Contention


def test_each_time_it_is_noticed_again_the_pause_is_longer_up_to_a_minute() -> None:
    contention = Contention()
    now, pauses = 100.0, []
    for _ in range(9):
        contention.noticed(now)
        pause = 0.0
        while contention.lasts(now + pause):
            pause += 0.5
        pauses.append(pause)
        now += pause
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_one_fan_out_without_makes_the_next_pause_short_again() -> None:
    contention = Contention()
    for now in (100.0, 200.0, 300.0):
        contention.noticed(now)
    contention.gone()
    assert contention.lasts(303.9) and not contention.lasts(304.0)
    contention.noticed(400.0)
    assert contention.lasts(400.9) and not contention.lasts(401.0)
