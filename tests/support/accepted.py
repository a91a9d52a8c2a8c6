"""The first frame to a client of a JSON gateway."""

from __future__ import annotations

from typing import Any


def accepted_user(frame: tuple[str, Any]) -> str:
    """The user of an `auth_success`, given as type and data. It must have exactly the fields of a new client."""
    kind, data = frame
    assert kind == "auth_success"
    assert set(data) == {"userId", "recovery"}
    check_new(data["recovery"])
    user_id: str = data["userId"]
    return user_id


def check_new(recovery: Any) -> None:
    """Check the field `recovery` of a client that is new."""
    assert set(recovery) == {"id", "position", "recovered"}
    assert recovery["recovered"] is False
