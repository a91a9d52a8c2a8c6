"""Converts any payload to JSON types and `bytes`, as FastAPI converts the same value in a response."""

from __future__ import annotations

import collections
import collections.abc
import dataclasses
import datetime
import decimal
import enum
import functools
import ipaddress
import pathlib
import re
import types
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from asgi_realtime.payloads.annotation_metadata import PYDANTIC
from asgi_realtime.payloads.annotations import requirements
from asgi_realtime.payloads.model_dumps import dumper
from asgi_realtime.values.json import Json

_Reduce: TypeAlias = Callable[[Any], Json]

BINARY = (bytes, bytearray, memoryview)
TEXT = frozenset({str})
_DATES = (datetime.datetime, datetime.date, datetime.time)
VALUES = frozenset({str, int, float, bool, types.NoneType, *_DATES, uuid.UUID, decimal.Decimal})
"""Types that msgspec's encoder writes in the same form as pydantic."""
_LEAVES = VALUES | set(BINARY)
_FIELDS = VALUES | {msgspec.UnsetType}
"""If all fields of a Struct have these types, msgspec's encoder can write it unchanged."""
_PLAIN: tuple[type[Any], ...] = (str, int, float, *BINARY)
_TEXTS = (
    *(uuid.UUID, decimal.Decimal, pathlib.PurePath, ipaddress.IPv4Address, ipaddress.IPv4Interface),
    *(ipaddress.IPv4Network, ipaddress.IPv6Address, ipaddress.IPv6Interface, ipaddress.IPv6Network),
)
_LISTS = (
    *(list, tuple, collections.deque, types.GeneratorType, collections.abc.Set),
    *(collections.abc.Sequence, collections.abc.ValuesView),
)
TOO_DEEP = "this payload nests too deeply (or contains itself)"


def encodable(data: Any) -> Any:
    """Reduce any payload to types that msgspec's encoder writes in the right form, and `bytes`.

    Accepts JSON types, `bytes`, dataclasses, msgspec Structs, attrs classes, pydantic models and dataclasses, any
    mapping, sequence, set and generator, and the types that FastAPI accepts: enums, dates, UUIDs, decimals, paths, IP
    addresses, patterns, URLs. The result consists of JSON types, `bytes`, dates, UUIDs, decimals, and Structs of these.

    Raises:
        TypeError: for any other type, and for a payload that nests too deeply. The message has the type and its place.
    """
    try:
        return _reduce(data)
    except RecursionError:
        raise TypeError(TOO_DEEP) from None
    except TypeError as error:
        where = _where(data)
        raise TypeError(f"{error} (at `${where}`)" if where else str(error)) from error.__cause__


def to_builtins(data: Any) -> Json:
    """Reduce any payload to JSON types and `bytes`. See `encodable`.

    Raises:
        TypeError: in the same cases as `encodable`.
    """
    try:
        return msgspec.to_builtins(encodable(data), builtin_types=BINARY)
    except RecursionError:
        raise TypeError(TOO_DEEP) from None


def _reduce(value: Any) -> Json:
    kind = type(value)
    if kind in _LEAVES:
        return value
    if kind is dict:
        if _LEAVES.issuperset(map(type, value.values())) and TEXT.issuperset(map(type, value)):
            return value
        return {key if type(key) is str else _key(key): _reduce(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return value if _LEAVES.issuperset(map(type, value)) else [_reduce(item) for item in value]
    return _reducer(kind)(value)  # type: ignore[arg-type]  # a type is hashable


def _key(key: Any) -> str:
    plain = msgspec.to_builtins(_reduce(key), builtin_types=BINARY)
    if isinstance(plain, str):
        return plain
    if plain is None or isinstance(plain, bool | int | float):
        return msgspec.json.encode(plain).decode()
    raise TypeError(f"cannot encode a key of the type {type(key).__qualname__}: JSON's keys are texts")


@functools.lru_cache(maxsize=1024)
def _reducer(kind: type) -> _Reduce:
    """The function that reduces the values of a type. Cached."""
    if issubclass(kind, enum.Enum):
        return lambda value: _reduce(value.value)
    if hasattr(kind, "__pydantic_serializer__") or hasattr(kind, "__get_pydantic_core_schema__"):
        return dumper(kind, _reduce)  # models, pydantic's dataclasses, URLs, secrets, colours
    if issubclass(kind, msgspec.Struct):
        return _struct_reducer(kind)
    if dataclasses.is_dataclass(kind):
        return _dataclass_reducer(kind)
    if hasattr(kind, "__attrs_attrs__"):
        return _fields_reducer([field.name for field in kind.__attrs_attrs__ if not field.name.startswith("_")])
    for plain in _PLAIN:
        if issubclass(kind, plain):  # a subclass, such as the safe text of a template engine
            return plain
    if issubclass(kind, _DATES):
        return _moment
    if issubclass(kind, datetime.timedelta):
        return _duration
    if issubclass(kind, _TEXTS):
        return str
    return _other_reducer(kind)


def _other_reducer(kind: type) -> _Reduce:
    if issubclass(kind, re.Pattern):
        return lambda value: _reduce(value.pattern)
    if issubclass(kind, Mapping):  # such as the claims of a token
        return lambda value: _reduce(dict(value))
    if hasattr(kind, "keys") and hasattr(kind, "__getitem__"):  # database rows of asyncpg and sqlite3
        return lambda value: _reduce({key: value[key] for key in value.keys()})
    if issubclass(kind, _LISTS):
        return lambda value: _reduce(list(value))
    if issubclass(kind, msgspec.Raw):
        return msgspec.json.decode
    raise TypeError(
        f"cannot encode {kind.__qualname__}: use a dataclass, a msgspec Struct, a pydantic model or JSON types"
    )


def _struct_reducer(kind: type[msgspec.Struct]) -> _Reduce:
    config = kind.__struct_config__
    names = kind.__struct_encode_fields__
    head = {} if config.tag_field is None else {config.tag_field: config.tag}
    values_of = msgspec.structs.astuple

    def reduce(value: msgspec.Struct) -> Json:
        values = values_of(value)
        if _FIELDS.issuperset(map(type, values)):
            return value
        if config.array_like:
            return [*head.values(), *map(_reduce, values)]
        omitted: set[str] = set()
        if config.omit_defaults:
            omitted = {field.encode_name for field in msgspec.structs.fields(value) if _is_default(value, field)}
        fields = ((name, item) for name, item in zip(names, values, strict=True) if name not in omitted)
        return head | {name: _reduce(item) for name, item in fields if item is not msgspec.UNSET}

    return reduce


def _is_default(value: msgspec.Struct, field: msgspec.structs.FieldInfo) -> bool:
    """Whether msgspec omits a field: its value is the default, or an empty list, dict or set made by its factory."""
    item = getattr(value, field.name)
    return item is field.default or (
        field.default_factory in (list, dict, set) and type(item) is field.default_factory and not item
    )


def _dataclass_reducer(kind: Any) -> _Reduce:
    if _has_serializers(kind):
        return dumper(kind, _reduce)
    return _fields_reducer([field.name for field in dataclasses.fields(kind)])


def _has_serializers(kind: type) -> bool:
    """Whether a dataclass configures its serialization for pydantic, by `Field(…)` or decorators."""
    try:
        return any(part.package == PYDANTIC and "the pydantic" not in part.what for part in requirements(kind))
    except TypeError:
        return False


def _fields_reducer(names: Sequence[str]) -> _Reduce:
    """A function that makes a dict of these attributes."""

    def reduce(value: object) -> Json:
        items = {name: getattr(value, name) for name in names}
        if _LEAVES.issuperset(map(type, items.values())):
            return items
        return {name: _reduce(item) for name, item in items.items() if item is not msgspec.UNSET}

    return reduce


def _moment(value: datetime.datetime | datetime.date | datetime.time) -> str:
    text = value.isoformat()
    return f"{text.removesuffix('+00:00')}Z" if text.endswith("+00:00") else text


def _duration(value: datetime.timedelta) -> str:
    """ISO 8601, as pydantic writes it: a year is 365 days."""
    sign, value = ("-", -value) if value.days < 0 else ("", value)
    years, days = divmod(value.days, 365)
    minutes, seconds = divmod(value.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    date = "".join(f"{n}{unit}" for n, unit in ((years, "Y"), (days, "D")) if n)
    part = f"{seconds}.{value.microseconds:06}".rstrip("0").rstrip(".") if value.microseconds else str(seconds)
    time = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M")) if n) + (
        f"{part}S" if part != "0" else ""
    )
    return f"{sign}P{date}{'T' if time else ''}{time}" if date or time else "PT0S"


def _where(value: Any) -> str:
    """The path of the value that cannot be reduced."""
    for name, item in _inside(value):
        try:
            _reduce(item)
        except TypeError:
            return f"{name}{_where(item)}"
        except RecursionError:
            break
    return ""


def _inside(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield f".{key}"[:64], item
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield f"[{number}]", item
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield f".{name}", getattr(value, name)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield f".{field.name}", getattr(value, field.name)
