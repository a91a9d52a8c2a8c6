"""The outbox: frames that wait for one client."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from asgi_realtime.outbound.outbox import Outbox
from asgi_realtime.protocols.frame import Frame


def frame(size: int) -> Frame:
    return Frame("x" * size)


class Owner:
    def __init__(self) -> None:
        self.overflows = 0

    def overflowed(self) -> None:
        self.overflows += 1


def test_frames_keep_their_order_and_the_size_is_counted() -> None:
    outbox = Outbox(100, Owner())
    frames = [frame(size) for size in (10, 20, 30)]
    for item in frames:
        outbox.push(item)
    assert (len(outbox), outbox.size) == (3, 60)
    assert outbox.take(30) == frames[:2]
    assert outbox.size == 30
    assert outbox.take(1) == frames[2:], "at least one frame of any size"
    assert (outbox.take(), outbox.take(5), outbox.size) == ([], [], 0)


def test_overflow_is_reported_once_and_clears_the_outbox() -> None:
    owner = Owner()
    outbox = Outbox(100, owner)
    outbox.push(frame(60))
    outbox.push(frame(60))
    outbox.push(frame(1))
    assert (owner.overflows, outbox.sealed) == (1, True)
    assert (outbox.take(), outbox.size) == ([], 0)


def test_one_large_frame_passes_an_empty_outbox() -> None:
    owner = Owner()
    outbox = Outbox(100, owner)
    outbox.push(frame(5000))
    assert not owner.overflows
    outbox.push(frame(0))
    assert owner.overflows


def test_an_outbox_tells_whether_it_has_room() -> None:
    owner = Owner()
    outbox = Outbox(100, owner)
    assert outbox.has_room(frame(5000)), "alone it may be larger"
    outbox.push(frame(60))
    assert (outbox.has_room(frame(40)), outbox.has_room(frame(41))) == (True, False)
    outbox.take()
    assert outbox.has_room(frame(41))
    outbox.seal()
    assert not outbox.has_room(frame(1))


def test_wake_is_called_for_each_push_until_cleared() -> None:
    woken: list[int] = []
    outbox = Outbox(100, Owner())
    outbox.wake = lambda: woken.append(len(outbox))
    outbox.push(frame(1))
    outbox.push(frame(1))
    outbox.wake = None
    outbox.push(frame(1))
    assert woken == [1, 2]


def test_an_outbox_over_half_full_is_behind() -> None:
    outbox = Outbox(100, Owner())
    outbox.push(frame(50))
    assert not outbox.behind
    outbox.push(frame(1))
    assert outbox.behind


@given(
    limit=st.integers(1, 200),
    steps=st.lists(st.tuples(st.integers(0, 80), st.none() | st.integers(0, 300)), max_size=40),
)
def test_an_outbox_never_exceeds_its_limit_and_loses_nothing(limit: int, steps: list[tuple[int, int | None]]) -> None:
    owner = Owner()
    outbox = Outbox(limit, owner)
    pushed: list[Frame] = []
    taken: list[Frame] = []
    for size, take in steps:
        item = frame(size)
        outbox.push(item)
        if not owner.overflows:
            pushed.append(item)
        assert outbox.size <= limit or len(outbox) == 1
        if take is not None:
            batch = outbox.take(take)
            assert len(batch) <= 1 or sum(item.size for item in batch) <= take
            taken += batch
        waiting = [] if owner.overflows else pushed[len(taken) :]
        assert len(outbox) == len(waiting)
        assert outbox.size == sum(item.size for item in waiting)
    if not owner.overflows:
        taken += outbox.take()
        assert taken == pushed
    else:
        assert owner.overflows == 1
        assert taken == pushed[: len(taken)]
