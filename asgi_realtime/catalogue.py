"""Payloads and events: how data becomes JSON once, and what events exist."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from asgi_realtime.messages import Json

_encoder = msgspec.json.Encoder()
_BINARY = (bytes, bytearray, memoryview)
_PLAIN: tuple[type[Any], ...] = (str, bytes, int, float)
_TOO_DEEP = "this payload nests too deeply (or contains itself)"


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


def encode(data: Any) -> tuple[bytes, tuple[bytes, ...]]:
    """Encode a payload: JSON, and the `bytes` inside it as attachments with placeholders in their places.

    Takes whatever `msgspec` encodes (dataclasses, Structs, attrs, datetime, UUID, Decimal, …),
    pydantic models, and `bytes`. None is JSON's `null`; `msgspec.UNSET` is no payload: `(b"", ())`.

    Raises:
        TypeError: for anything else, naming the type.
    """
    if data is msgspec.UNSET:
        return b"", ()
    plain = to_builtins(data)
    attachments: list[bytes] = []
    try:
        return _encoder.encode(replace_bytes(plain, attachments)), tuple(attachments)
    except RecursionError:
        raise TypeError(_TOO_DEEP) from None
    except (OverflowError, msgspec.MsgspecError, UnicodeEncodeError) as error:
        raise TypeError(f"this payload cannot be JSON: {error}") from None


def to_builtins(data: Any) -> Json:
    """Reduce any payload to JSON types and `bytes`.

    Raises:
        TypeError: for a type that is neither msgspec's nor pydantic's, or that nests too deeply.
    """
    try:
        return msgspec.to_builtins(data, builtin_types=_BINARY, str_keys=True, enc_hook=_encode_other)
    except RecursionError:
        raise TypeError(_TOO_DEEP) from None


def _encode_other(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return dump(by_alias=True)
    for plain in _PLAIN:
        if isinstance(value, plain):  # of a subclass, such as a template engine's safe text
            return plain(value)
    if isinstance(value, Mapping):  # such as the claims of a token
        return dict(value)
    raise TypeError(
        f"cannot encode {type(value).__qualname__}: use a dataclass, a msgspec Struct, a pydantic model or JSON types"
    )


def replace_bytes(value: Json, attachments: list[bytes]) -> Json:
    """Move every `bytes` below `value` to `attachments`, depth first, and put Socket.IO placeholders there."""
    kind = type(value)
    if kind is dict:
        return {key: replace_bytes(item, attachments) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [replace_bytes(item, attachments) for item in value]
    if kind in _BINARY:
        attachments.append(bytes(value))
        return {"_placeholder": True, "num": len(attachments) - 1}
    return value
