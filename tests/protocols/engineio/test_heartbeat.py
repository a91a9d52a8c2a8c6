from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from asgi_realtime.protocols.engineio.heartbeat import Heartbeat, HeartbeatAction

seconds = st.floats(0.05, 60)


def test_a_ping_is_due_an_interval_after_the_start_and_after_each_pong() -> None:
    heartbeat = Heartbeat(25, 20, 0.0)
    assert heartbeat.check(24.9, reading=True) is HeartbeatAction.NONE
    assert heartbeat.next_check(24.9) == 25.0
    assert heartbeat.check(25.0, reading=True) is HeartbeatAction.PING
    heartbeat.pong(30.0)
    assert heartbeat.check(54.9, reading=True) is HeartbeatAction.NONE
    assert heartbeat.check(55.0, reading=True) is HeartbeatAction.PING


@given(interval=seconds, timeout=seconds, delays=st.lists(st.floats(0, 1, exclude_max=True), max_size=20))
def test_a_client_that_answers_in_time_never_times_out(interval: float, timeout: float, delays: list[float]) -> None:
    heartbeat = Heartbeat(interval, timeout, 0.0)
    now = 0.0
    for delay in delays:
        action = HeartbeatAction.NONE
        while action is HeartbeatAction.NONE:
            now = heartbeat.next_check(now)
            action = heartbeat.check(now, reading=True)
        assert action is HeartbeatAction.PING
        answer = now + delay * timeout
        while (look := heartbeat.next_check(now)) < answer:
            now = look
            assert heartbeat.check(now, reading=True) is HeartbeatAction.NONE
        now = max(now, answer)
        heartbeat.pong(now)


@given(interval=seconds, timeout=seconds, tick=st.floats(0.001, 1))
def test_a_silent_client_times_out_in_time(interval: float, timeout: float, tick: float) -> None:
    heartbeat = Heartbeat(interval, timeout, 0.0)
    now, pings = 0.0, 0
    while True:
        now = heartbeat.next_check(now) + tick  # the delay of a timer wheel
        action = heartbeat.check(now, reading=True)
        pings += action is HeartbeatAction.PING
        if action is HeartbeatAction.EXPIRED:
            break
    assert pings == 1
    assert interval + timeout <= now <= interval + timeout + 3 * tick + 1e-6


@given(timeout=seconds, steps=st.lists(st.floats(0, 200)))
def test_no_client_is_closed_while_the_server_reads_nothing(timeout: float, steps: list[float]) -> None:
    heartbeat = Heartbeat(1, timeout, 0.0)
    now = 1.0
    heartbeat.check(now, reading=True)
    for step in steps:
        now += step
        assert heartbeat.check(now, reading=False) is HeartbeatAction.NONE
        assert heartbeat.next_check(now) >= now
