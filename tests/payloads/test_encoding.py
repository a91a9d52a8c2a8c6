"""Encoding of outbound payloads."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import json
import uuid
from typing import Any

import attrs
import msgspec
import pydantic
import pydantic.dataclasses
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_realtime.payloads.encoding import encode


class Struct(msgspec.Struct, rename="camel"):
    user_id: str
    at: datetime.datetime


@dataclasses.dataclass
class Data:
    name: str
    inner: Struct | None = None


@attrs.define
class Attrs:
    name: str


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(populate_by_name=True)
    user_id: str = pydantic.Field(alias="userId", max_length=5)
    at: datetime.datetime | None = None
    blob: bytes | None = None


@pydantic.dataclasses.dataclass
class PydanticData:
    n: int


class Colour(enum.Enum):
    RED = "red"


class Text(str):
    """A `str` subclass, such as the safe text of a template engine."""


NOON = datetime.datetime(2026, 1, 2, 12, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (Struct("u", NOON), {"userId": "u", "at": "2026-01-02T12:00:00Z"}),
        (Data("n", Struct("u", NOON)), {"name": "n", "inner": {"userId": "u", "at": "2026-01-02T12:00:00Z"}}),
        (Attrs("n"), {"name": "n"}),
        (Model(userId="u", at=NOON), {"userId": "u", "at": "2026-01-02T12:00:00Z", "blob": None}),
        ([Model(userId="u")], [{"userId": "u", "at": None, "blob": None}]),
        ({"m": {"n": Model(userId="u")}}, {"m": {"n": {"userId": "u", "at": None, "blob": None}}}),
        (PydanticData(3), {"n": 3}),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (decimal.Decimal("1.50"), "1.50"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        ((1, (2, 3)), [1, [2, 3]]),
        ({1: "a"}, {"1": "a"}),
        (frozenset({1}), [1]),
        (Colour.RED, "red"),
        (Text("text"), "text"),
        (collections.OrderedDict(a=[1]), {"a": [1]}),
        (float("nan"), None),
        (2**70, 2**70),
        (0, 0),
        ("", ""),
        (False, False),
        ([], []),
    ],
)
def test_payloads_are_encoded_as_json(payload: Any, expected: Any) -> None:
    encoded, attachments = encode(payload)
    assert json.loads(encoded) == expected
    assert attachments == ()


def test_none_is_null_and_unset_is_no_payload() -> None:
    assert encode(msgspec.UNSET) == (b"", ())
    assert encode(None) == (b"null", ())
    assert encode([None]) == (b"[null]", ())


@pytest.mark.parametrize("binary", [b"\x00\xff", bytearray(b"\x00\xff"), memoryview(b"\x00\xff")])
@pytest.mark.parametrize("around", [lambda b: b, lambda b: {"a": [b]}, lambda b: ({"x": (b,)},), lambda b: Data(b)])
def test_bytes_become_attachments_wherever_they_are(binary: Any, around: Any) -> None:
    encoded, attachments = encode(around(binary))
    assert attachments == (b"\x00\xff",)
    assert type(attachments[0]) is bytes
    assert b'{"_placeholder":true,"num":0}' in encoded


@pytest.mark.parametrize("reserved", [{"_placeholder": True, "num": 7}, {"_placeholder": True}, {"_placeholder": 1}])
def test_what_clients_would_take_for_an_attachment_is_refused_beside_one(reserved: dict[str, Any]) -> None:
    for payload in ({"sent": reserved, "picture": b"1"}, [b"1", [reserved]]):
        with pytest.raises(TypeError, match="_placeholder"):
            encode(payload)
    assert encode({"sent": reserved}) == (msgspec.json.encode({"sent": reserved}), ())
    data, attachments = encode({"sent": {"_placeholder": False}, "picture": b"1"})
    assert json.loads(data)["sent"] == {"_placeholder": False}
    assert attachments == (b"1",)


def test_attachments_are_numbered_in_order() -> None:
    encoded, attachments = encode({"a": b"1", "b": [b"2", {"c": b"3"}], "m": Model(userId="u", blob=b"4")})
    assert attachments == (b"1", b"2", b"3", b"4")
    decoded = json.loads(encoded)
    assert [decoded["a"]["num"], decoded["b"][0]["num"], decoded["b"][1]["c"]["num"]] == [0, 1, 2]
    assert decoded["m"]["blob"]["num"] == 3


def _nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


_itself: list[Any] = []
_itself.append(_itself)


@pytest.mark.parametrize(
    "payload",
    [object(), lambda: None, 1j, Struct, {(1, 2): 3}, {b"a": 1}, _itself, [object()]],
)
def test_values_that_are_not_json_raise_type_error(payload: Any) -> None:
    with pytest.raises(TypeError):
        encode(payload)


@pytest.mark.parametrize("depth", [10, 300, 450, 600, 900, 5_000, 100_000])
def test_only_payloads_nested_too_deep_raise_type_error(depth: int) -> None:
    try:
        encode(_nested(depth))
    except TypeError as error:
        assert depth > 300
        assert "deeply" in str(error)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_json_values_are_unchanged_by_encoding(value: Any) -> None:
    encoded, attachments = encode([value])
    assert json.loads(encoded) == [value]
    assert attachments == ()


class WithContext(pydantic.BaseModel):
    """A class whose own serializer reads pydantic's context, in a model that has `bytes` before it."""

    blob: bytes
    name: str

    @pydantic.field_serializer("name")
    def _name(self, name: str, info: pydantic.FieldSerializationInfo) -> str:
        return name if info.context is None else info.context.get("name", name)


def test_serializers_of_the_host_get_the_context_that_fastapi_gives_them() -> None:
    assert encode({"outer": WithContext(blob=b"\0\1", name="ann")}) == (
        b'{"outer":{"blob":{"_placeholder":true,"num":0},"name":"ann"}}',
        (b"\0\1",),
    )
