"""Limits and room names."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_realtime.errors import ConfigurationError, InvalidMessage
from asgi_realtime.limits import Limits, check_room_name

LIMITS = Limits()


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Limits)])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_a_limit_that_is_not_a_finite_number_above_zero_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"MEW_{field.upper()} "):
        dataclasses.replace(LIMITS, **{field: value})


@pytest.mark.parametrize(
    "room", ["general", "42", "a room", "频道", "👩‍👩‍👧", "می‌خواهم", "a/b:c#d", "x" * 200, "é" * 100]
)
def test_valid_room_names(room: str) -> None:
    check_room_name(room, LIMITS)


@pytest.mark.parametrize("room", ["", "x" * 201, "é" * 101, "a\nb", "\0", "a\x1b[0m", "\x85", "\ud800"])
def test_an_unusable_room_name_is_refused(room: str) -> None:
    with pytest.raises(InvalidMessage, match="a room name"):
        check_room_name(room, LIMITS)


@pytest.mark.parametrize("room", [None, 7, ["general"], {"room": "general"}, b"general"])
def test_a_room_name_is_a_string(room: object) -> None:
    with pytest.raises(InvalidMessage, match="a room name is a non-empty string"):
        check_room_name(room, LIMITS)


@given(st.text())
def test_a_room_name_that_passes_can_be_sent(room: str) -> None:
    try:
        check_room_name(room, LIMITS)
    except InvalidMessage:
        return
    assert 0 < len(room.encode()) <= LIMITS.room_name_bytes
