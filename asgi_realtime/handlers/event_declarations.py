"""Declarations of a gateway's events, with the types of their payloads."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import msgspec

from asgi_realtime.payloads.validation import check_sent, decide


class EventDeclaration(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a gateway, for documentation and client types. Made by `up` and `down`.

    `payload` is its type. None: no payload; a TypeVar: a type of the host. `acknowledgement` is the type of the
    server's answer. `target` says in words who receives the event, or what it does. In a JSON frame, the fields of a
    `flat` payload are beside `type`, not under `data`.
    """

    name: str
    direction: Literal["up", "down"]
    payload: Any = None
    acknowledgement: Any = None
    target: str = ""
    flat: bool = False


def down(name: str, payload: Any = None, *, to: str, flat: bool = False) -> EventDeclaration:
    """Declare an event that the server sends. `to` names the recipients, in words."""
    return EventDeclaration(name=name, direction="down", payload=payload, target=to, flat=flat)


def up(
    name: str, payload: Any = None, *, effect: str, acknowledgement: Any = None, flat: bool = False
) -> EventDeclaration:
    """Declare an event that clients send, if no handler's signature describes it. `effect` says what it does."""
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
