"""Payloads and events: how data becomes JSON once, how JSON becomes a handler's type, what events exist."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from asgi_realtime.errors import InvalidMessage
from asgi_realtime.messages import Json

Validate: TypeAlias = Callable[[Json], Any]

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


def validator(annotation: Any) -> Validate:
    """Return the function that turns decoded JSON into `annotation`.

    `annotation` is a msgspec Struct, a dataclass, a TypedDict, a pydantic model, or a type msgspec
    converts. Unknown fields are ignored. The function raises `InvalidMessage` with the path of the
    wrong field, never with its value.

    Raises:
        TypeError: now, for a type that cannot be converted to.
    """
    if annotation is Any or annotation is object:
        return lambda value: value
    model = getattr(annotation, "__pydantic_validator__", None)
    if model is not None:
        return functools.partial(_validate_model, model)
    try:
        schema = msgspec.json.schema(annotation)
    except TypeError:
        raise TypeError(
            f"{annotation!r} is no payload type: use a dataclass, a Struct, a TypedDict or a pydantic model"
        ) from None
    # msgspec reads an annotation anew at each conversion, which costs more than to convert; a Struct's it keeps.
    payload = msgspec.defstruct("_Payload", [("value", annotation)], array_like=True)
    # `bytes` are an attachment, never base64 text. To say so costs more than to convert.
    convert = functools.partial(msgspec.convert, builtin_types=(bytes,)) if "base64" in str(schema) else msgspec.convert
    return functools.partial(_convert, convert, payload)


def _convert(convert: Callable[..., Any], payload: type, value: Json) -> Any:
    try:
        return convert((value,), payload).value
    except msgspec.ValidationError as error:
        raise InvalidMessage(str(error).replace("`$[0]", "`$", 1)) from None
    except RecursionError:
        raise InvalidMessage("nested too deeply") from None


def _validate_model(model: Any, value: Json) -> Any:
    try:
        return model.validate_python(value)
    except ValueError as error:
        raise InvalidMessage(_describe(error)) from None


def _describe(error: ValueError) -> str:
    """The first complaint of a pydantic ValidationError, in msgspec's manner and without the input."""
    complaints: Callable[..., Sequence[dict[str, Any]]] | None = getattr(error, "errors", None)
    if complaints is None:
        return "invalid payload"
    first = complaints(include_url=False, include_context=False, include_input=False)[0]
    return f"{first['msg']} - at `$.{'.'.join(map(str, first['loc']))}`"
