"""Event declarations: which events a gateway has, with the types of their payloads."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import msgspec

from asgi_realtime.payloads.validation import check_sent, decide


class EventDeclaration(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a gateway, as documentation and client types need it. Made by `up` and `down`.

    `payload` is its type (None: no payload; a TypeVar: the host's own type), `acknowledgement` what
    the server answers with when it accepts, `target` who receives it or what it does, in words.
    A `flat` payload's fields stand beside `type` in a JSON frame, not under `data`.
    """

    name: str
    direction: Literal["up", "down"]
    payload: Any = None
    acknowledgement: Any = None
    target: str = ""
    flat: bool = False


def down(name: str, payload: Any = None, *, to: str, flat: bool = False) -> EventDeclaration:
    """Declare an event that the server sends. `to` says to whom, in words."""
    return EventDeclaration(name=name, direction="down", payload=payload, target=to, flat=flat)


def up(
    name: str, payload: Any = None, *, effect: str, acknowledgement: Any = None, flat: bool = False
) -> EventDeclaration:
    """Declare an event that clients send and no handler's signature describes. `effect` says what it does."""
    return EventDeclaration(
        name=name, direction="up", payload=payload, acknowledgement=acknowledgement, target=effect, flat=flat
    )


def check_payloads(declaration: EventDeclaration) -> None:
    """Check the types of a declaration, once, at start-up.

    Raises:
        TypeError: for a part of a type that neither pydantic nor msgspec understands. The message names it.
    """
    check_payload = decide if declaration.direction == "up" else check_sent
    for annotation, check in ((declaration.payload, check_payload), (declaration.acknowledgement, check_sent)):
        if annotation is not None and not isinstance(annotation, TypeVar):  # None: no payload
            check(annotation)
