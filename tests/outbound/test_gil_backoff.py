"""How long the fan-out avoids descriptors after contention for the GIL."""

from __future__ import annotations

from asgi_realtime.outbound.gil_backoff import GilBackoff


def test_each_new_contention_lengthens_the_pause_up_to_a_minute() -> None:
    gil_backoff = GilBackoff()
    now, pauses = 100.0, []
    for _ in range(9):
        gil_backoff.contended(now)
        pause = 0.0
        while gil_backoff.active(now + pause):
            pause += 0.5
        pauses.append(pause)
        now += pause
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_one_fan_out_without_contention_resets_the_pause() -> None:
    gil_backoff = GilBackoff()
    for now in (100.0, 200.0, 300.0):
        gil_backoff.contended(now)
    gil_backoff.undisturbed()
    assert gil_backoff.active(303.9) and not gil_backoff.active(304.0)
    gil_backoff.contended(400.0)
    assert gil_backoff.active(400.9) and not gil_backoff.active(401.0)
