"""Payloads as the other side gets them."""

from __future__ import annotations

import json
from typing import Any

from asgi_realtime.payloads.encoding import encode
from asgi_realtime.values.json import Json


def as_sent(data: Any) -> Json:
    """A payload in JSON types, with `bytes` in the places of Socket.IO attachments.

    Raises:
        TypeError: it cannot be sent; see `encode`.
    """
    (value,) = as_received(*encode(data))
    return value


def as_received(payload: bytes, attachments: tuple[bytes, ...]) -> tuple[Json, ...]:
    """The arguments that a client gets of an encoded payload: one, or none if there is no payload."""
    return (_with_attachments(json.loads(payload), attachments),) if payload else ()


def _with_attachments(value: Any, attachments: tuple[bytes, ...]) -> Any:
    """Put `bytes` into the places that Socket.IO marks with `{"_placeholder": true, "num": 0}`."""
    if not attachments:
        return value
    if isinstance(value, dict):
        if value.get("_placeholder") is True:
            return attachments[value["num"]]
        return {name: _with_attachments(each, attachments) for name, each in value.items()}
    return [_with_attachments(each, attachments) for each in value] if isinstance(value, list) else value
