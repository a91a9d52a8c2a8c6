"""Frames that are kept for clients that have missed the same events."""

from __future__ import annotations

from asgi_realtime.hub.replayed_frames import ReplayedFrames
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.values.publications import Position


def test_a_frame_is_kept_by_its_position() -> None:
    frames, frame = ReplayedFrames(), Frame("text")
    frames.put(Position("e-1"), frame)
    assert frames.get(Position("e-1")) is frame
    assert frames.get(Position("e-2")) is None


def test_long_frames_are_not_kept() -> None:
    frames = ReplayedFrames()
    frames.put(Position("e-1"), Frame("x" * 2_000, b"x" * 2_097))
    assert frames.get(Position("e-1")) is None


def test_their_number_is_bounded() -> None:
    frames = ReplayedFrames()
    for number in range(1_001):
        frames.put(Position(f"e-{number}"), Frame("text"))
    assert frames.get(Position("e-0")) is None
    assert frames.get(Position("e-1000")) is not None
