"""Payloads and events: how data becomes JSON once, and what events exist."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import msgspec

from asgi_realtime.messages import Json
from asgi_realtime.plain_values import BINARY, TOO_DEEP, encodable
from asgi_realtime.text import repaired
from asgi_realtime.validation import check_sent, decide

_encoder = msgspec.json.Encoder()
_NESTED = frozenset({dict, list, tuple, *BINARY})


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


def encode(data: Any) -> tuple[bytes, tuple[bytes, ...]]:
    """Encode a payload: JSON, and the `bytes` inside it as attachments with placeholders in their places.

    Takes what `encodable` takes. None is JSON's `null`; `msgspec.UNSET` is no payload: `(b"", ())`.

    In texts and keys, half a surrogate pair becomes U+FFFD.

    Raises:
        TypeError: for anything else, naming the type.
    """
    if data is msgspec.UNSET:
        return b"", ()
    plain = encodable(data)
    attachments: list[bytes] = []
    try:
        if _holds_bytes(plain):  # most payloads hold none, and need no copy
            plain = replace_bytes(plain, attachments)
    except RecursionError:
        raise TypeError(TOO_DEEP) from None
    return _encode_plain(plain), tuple(attachments)


def encode_json(data: Any) -> bytes:
    """Encode a value for a place that has no attachments: as `encode`, but `bytes` become base64 text.

    Raises:
        TypeError: as `encode`.
    """
    return _encode_plain(encodable(data))


def _encode_plain(plain: Json) -> bytes:
    try:
        try:
            return _encoder.encode(plain)
        except UnicodeEncodeError:  # nearly no text has half a surrogate pair, and only one that has is looked through
            return _encoder.encode(_with_repaired_texts(msgspec.to_builtins(plain, builtin_types=BINARY)))
    except RecursionError:
        raise TypeError(TOO_DEEP) from None
    except (OverflowError, msgspec.MsgspecError) as error:
        raise TypeError(f"this payload cannot be JSON: {error}") from None


def _with_repaired_texts(value: Json) -> Json:
    kind = type(value)
    if kind is str:
        return repaired(value)
    if kind is dict:
        return {_with_repaired_texts(key): _with_repaired_texts(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [_with_repaired_texts(item) for item in value]
    return value


def _holds_bytes(value: Json) -> bool:
    """Whether there are `bytes` in a payload."""
    kind = type(value)
    if kind is dict:
        values = value.values()
    elif kind is list or kind is tuple:
        values = value
    else:
        return kind in BINARY
    # A container of numbers and texts is seen in one go, however large it is.
    if _NESTED.isdisjoint(map(type, values)):
        return False
    return any(_holds_bytes(item) for item in values if type(item) in _NESTED)


def replace_bytes(value: Json, attachments: list[bytes]) -> Json:
    """Move every `bytes` below `value` to `attachments`, depth first, and put Socket.IO placeholders there."""
    kind = type(value)
    if kind is dict:
        return {key: replace_bytes(item, attachments) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [replace_bytes(item, attachments) for item in value]
    if kind in BINARY:
        attachments.append(bytes(value))
        return {"_placeholder": True, "num": len(attachments) - 1}
    return value
