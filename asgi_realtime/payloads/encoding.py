"""Encodes a payload as JSON, once for all recipients."""

from __future__ import annotations

from typing import Any

import msgspec

from asgi_realtime.payloads.plain_values import BINARY, TEXT, TOO_DEEP, VALUES, encodable
from asgi_realtime.values.json import Json
from asgi_realtime.values.text import repaired

_encoder = msgspec.json.Encoder()
_NESTED = frozenset({dict, list, tuple, *BINARY})
_RESERVED = (
    "this payload has `bytes` and an object with `_placeholder`, which clients would take for an attachment; they "
    "would close the connection"
)


def encode(data: Any) -> tuple[bytes, tuple[bytes, ...]]:
    """Encode a payload as JSON and attachments. Each `bytes` becomes an attachment, with a placeholder in its place.

    The payload may be anything that `encodable` accepts. None is JSON's `null`. `msgspec.UNSET` means no payload and
    gives `(b"", ())`. In texts and keys, half a surrogate pair becomes U+FFFD.

    Raises:
        TypeError: for any other type; the message names it. Also for `bytes` beside an object with `_placeholder`.
    """
    if data is msgspec.UNSET:
        return b"", ()
    if type(data) is dict and VALUES.issuperset(map(type, data.values())) and TEXT.issuperset(map(type, data)):
        return _encode_plain(data), ()  # as below: most payloads are an object of texts and numbers
    plain = encodable(data)
    attachments: list[bytes] = []
    try:
        if _holds_bytes(plain):  # most payloads have none and need no copy
            plain = replace_bytes(plain, attachments)
    except RecursionError:
        raise TypeError(TOO_DEEP) from None
    return _encode_plain(plain), tuple(attachments)


def encode_json(data: Any) -> bytes:
    """Encode a value as JSON without attachments: as `encode`, but `bytes` become base64 text.

    Raises:
        TypeError: in the same cases as `encode`.
    """
    return _encode_plain(encodable(data))


def _encode_plain(plain: Json) -> bytes:
    try:
        try:
            return _encoder.encode(plain)
        except UnicodeEncodeError:  # half a surrogate pair is rare, so texts are searched only after an error
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
    """Whether a payload contains `bytes`."""
    kind = type(value)
    if kind is dict:
        values = value.values()
    elif kind is list or kind is tuple:
        values = value
    else:
        return kind in BINARY
    # One C call is enough for a container of numbers and texts, however large it is.
    if _NESTED.isdisjoint(map(type, values)):
        return False
    return any(_holds_bytes(item) for item in values if type(item) in _NESTED)


def replace_bytes(value: Json, attachments: list[bytes]) -> Json:
    """Return a copy of `value` in which Socket.IO placeholders replace `bytes`, which go to `attachments`.

    Raises:
        TypeError: for an object that is a placeholder already. It may be of a client, and Socket.IO has no escape.
    """
    kind = type(value)
    if kind is dict:
        if value.get("_placeholder"):
            raise TypeError(_RESERVED)
        return {key: replace_bytes(item, attachments) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [replace_bytes(item, attachments) for item in value]
    if kind in BINARY:
        attachments.append(bytes(value))
        return {"_placeholder": True, "num": len(attachments) - 1}
    return value
