"""Outbound payloads have the same JSON as a FastAPI response with the same values."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import ipaddress
import json
import pathlib
import re
import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Generic, NamedTuple, TypedDict, TypeVar

import attrs
import fastapi
import httpx
import msgspec
import pydantic
import pydantic.dataclasses
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, RootModel, computed_field, field_serializer, model_serializer
from pydantic.alias_generators import to_camel

from asgi_realtime.payloads.encoding import encode
from asgi_realtime.payloads.plain_values import to_builtins
from tests.support.new_python import printed_by

T = TypeVar("T")
UTC = datetime.UTC
NOON = datetime.datetime(2026, 1, 2, 12, tzinfo=UTC)


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Url(BaseModel):
    avatar: pydantic.HttpUrl = pydantic.HttpUrl("https://pictures.example/a.png")
    database: pydantic.PostgresDsn = pydantic.PostgresDsn("postgres://a:b@db.example/x")


class Addresses(BaseModel):
    v4: ipaddress.IPv4Address = ipaddress.IPv4Address("10.0.0.1")
    v6: ipaddress.IPv6Network = ipaddress.IPv6Network("::/64")


class File(BaseModel):
    path: pathlib.PurePosixPath = pathlib.PurePosixPath("/a")
    name: re.Pattern[str] = re.compile("^a")


class Secret(BaseModel):
    key: pydantic.SecretStr = pydantic.SecretStr("secret")
    raw: pydantic.SecretBytes = pydantic.SecretBytes(b"secret")


class Money(BaseModel):
    cents: int = 150

    @field_serializer("cents", when_used="json")
    def text(self, cents: int) -> str:
        return f"{cents / 100:.2f}"


class Aliased(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    user_id: str = Field(default="a", alias="userId")
    room: str = Field(default="b", serialization_alias="roomName")
    hidden: str = Field(default="c", exclude=True)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def label(self) -> str:
        return f"{self.user_id} in {self.room}"


class Camel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)
    first_name: str = "Ann"


class Whole(BaseModel):
    a: int = 1

    @model_serializer
    def whole(self) -> dict[str, int]:
        return {"b": self.a + 1}


class Times(BaseModel):
    at: datetime.datetime = NOON
    local: datetime.datetime = datetime.datetime(2026, 1, 2, 12)
    day: datetime.date = datetime.date(2026, 1, 2)
    clock: datetime.time = datetime.time(12, 30, tzinfo=UTC)
    after: datetime.timedelta = datetime.timedelta(days=1, hours=1, microseconds=5)


class Various(BaseModel):
    id: uuid.UUID = uuid.UUID(int=1)
    price: decimal.Decimal = decimal.Decimal("1.50")
    colour: Colour = Colour.RED
    level: Level = Level.HIGH
    tags: set[str] = {"a"}
    pair: tuple[int, str] = (1, "a")
    queue: collections.deque[int] = collections.deque([1, 2])
    by_number: dict[int, str] = {1: "a"}
    nothing: None = None
    anything: Any = None


class Nested(BaseModel):
    one: Aliased = Aliased()
    many: list[Money] = [Money()]
    by_name: dict[str, Url] = {"a": Url()}


class Box(BaseModel, Generic[T]):
    item: T


Numbers = RootModel[list[int]]


@pydantic.dataclasses.dataclass
class Point:
    x_of: int = Field(alias="x")
    at: datetime.datetime = NOON

    @field_serializer("at", when_used="json")
    def year(self, at: datetime.datetime) -> int:
        return at.year


@dataclasses.dataclass
class Data:
    name: str
    inside: Any = None
    hidden: str = dataclasses.field(default="shown", repr=False)


@dataclasses.dataclass
class Described:
    cents: int

    @field_serializer("cents", when_used="json")
    def text(self, cents: int) -> str:
        return f"{cents / 100:.2f}"


class Typed(TypedDict):
    money: Money


class Named(NamedTuple):
    a: int
    b: Money


MODELS: dict[str, tuple[Any, Any]] = {
    "URLs": (Url(), Url),
    "IP addresses": (Addresses(), Addresses),
    "paths and patterns": (File(), File),
    "secrets": (Secret(), Secret),
    "a serializer for JSON": (Money(), Money),
    "aliases, excluded and computed fields": (Aliased(), Aliased),
    "an alias generator": (Camel(), Camel),
    "a serializer of the whole": (Whole(), Whole),
    "dates and durations": (Times(), Times),
    "everything else": (Various(), Various),
    "values of any type": (Various(anything=[Money(), {"a": Aliased()}, Colour.RED, NOON]), Various),
    "models in models": (Nested(), Nested),
    "a generic model": (Box[Money](item=Money()), Box[Money]),
    "a RootModel": (Numbers([1, 2]), Numbers),
    "a pydantic dataclass": (Point(x=1), Point),
    "a list of models": ([Money(), Money()], list[Money]),
    "a dict of models": ({"a": Aliased()}, dict[str, Aliased]),
    "a TypedDict with a model": (Typed(money=Money()), dict[str, Money]),
    "a NamedTuple with a model": (Named(1, Money()), tuple[int, Money]),
    "a dataclass with a model": (Data("a", Money()), Data),
    "a dataclass with a pydantic dataclass": (Data("a", [Point(x=1)]), Data),
    "a dataclass with serializers": (Described(150), Described),
    "an optional model": (Money(), Money | None),
}
"""With the annotation of a route that returns it."""

PLAIN: dict[str, tuple[Any, Any]] = {
    "an enum": (Colour.RED, Colour),
    "an IntEnum": (Level.HIGH, Level),
    "a path": (pathlib.PurePosixPath("/a/b"), pathlib.PurePosixPath),
    "IPv4Address": (ipaddress.IPv4Address("10.0.0.1"), ipaddress.IPv4Address),
    "IPv4Interface": (ipaddress.IPv4Interface("10.0.0.1/8"), ipaddress.IPv4Interface),
    "IPv4Network": (ipaddress.IPv4Network("10.0.0.0/8"), ipaddress.IPv4Network),
    "IPv6Address": (ipaddress.IPv6Address("::1"), ipaddress.IPv6Address),
    "IPv6Interface": (ipaddress.IPv6Interface("::1/64"), ipaddress.IPv6Interface),
    "IPv6Network": (ipaddress.IPv6Network("::/64"), ipaddress.IPv6Network),
    "a pattern": (re.compile("^a+"), re.Pattern),
    "a set": ({1}, set[int]),
    "a frozenset": (frozenset({"a"}), frozenset[str]),
    "a deque": (collections.deque([1, 2]), collections.deque[int]),
    "a UUID": (uuid.UUID(int=7), uuid.UUID),
    "a date": (datetime.date(2026, 1, 2), datetime.date),
    "a local datetime": (datetime.datetime(2026, 1, 2, 12, 0, 0, 120), datetime.datetime),
    "a datetime with an offset": (NOON.astimezone(datetime.timezone(datetime.timedelta(hours=2))), datetime.datetime),
    "a URL": (pydantic.HttpUrl("https://a.example/b"), pydantic.HttpUrl),
    "a secret": (pydantic.SecretStr("secret"), pydantic.SecretStr),
    "keys of other types": ({1: "a", 2: "b"}, dict[int, str]),
    "keys that are enums": ({Colour.RED: 1}, dict[Colour, int]),
    "keys that are UUIDs": ({uuid.UUID(int=7): 1}, dict[uuid.UUID, int]),
    "an OrderedDict": (collections.OrderedDict(a=1), dict[str, int]),
    "a defaultdict": (collections.defaultdict(int, a=1), dict[str, int]),
    "a tuple": ((1, "a"), tuple[int, str]),
    "a dataclass": (Data("a", [1, None]), Data),
}
"""The response of a route with and without an annotation."""

BY_ANNOTATION: dict[str, tuple[Any, Any]] = {
    "a datetime in UTC": (NOON, datetime.datetime),
    "a time in UTC": (datetime.time(12, tzinfo=UTC), datetime.time),
    "a decimal": (decimal.Decimal("1.50"), decimal.Decimal),
    "an exponent": (decimal.Decimal("1E+5"), decimal.Decimal),
    **{
        f"a duration, {duration}": (duration, datetime.timedelta)
        for duration in (
            *(datetime.timedelta(), datetime.timedelta(hours=1), datetime.timedelta(days=1)),
            *(datetime.timedelta(days=400), datetime.timedelta(days=-1, seconds=5)),
            *(datetime.timedelta(seconds=90061, microseconds=500_000), datetime.timedelta(microseconds=1)),
        )
    },
}
"""The response of a route with an annotation. Without one: `+00:00` for `Z`, a float for a decimal, seconds."""


ALL = MODELS | PLAIN | BY_ANNOTATION


async def response(value: Any, annotation: Any) -> Any:
    """The response of a FastAPI route that returns a value. Its annotation is the type, or none for an ellipsis."""
    app = fastapi.FastAPI()

    def route() -> Any:
        return value

    route.__annotations__ = {} if annotation is ... else {"return": annotation}
    app.get("/")(route)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        answer = await client.get("/")
    assert answer.status_code == 200
    return answer.json()


def sent(value: Any) -> Any:
    payload, attachments = encode(value)
    assert attachments == ()
    return json.loads(payload)


@pytest.mark.parametrize("name", ALL)
async def test_a_value_is_sent_as_a_route_of_fastapi_returns_it(name: str) -> None:
    value, annotation = ALL[name]
    assert sent(value) == await response(value, annotation)


@pytest.mark.parametrize("name", PLAIN)
async def test_a_plain_value_is_sent_as_a_route_without_annotation_returns_it(name: str) -> None:
    value, _ = PLAIN[name]
    assert sent(value) == await response(value, ...)


class Struct(msgspec.Struct):
    value: Any


@attrs.define
class Attrs:
    value: Any


class Holder(BaseModel):
    value: Any


@dataclasses.dataclass(slots=True)
class Slots:
    value: Any


@pytest.mark.parametrize(
    "around", [Struct, Attrs, lambda value: Holder(value=value), Slots, lambda value: {"value": value}]
)
@pytest.mark.parametrize("name", ALL)
def test_a_value_is_the_same_wherever_it_is(name: str, around: Any) -> None:
    value, _ = ALL[name]
    assert sent(around(value)) == {"value": sent(value)}
    assert sent([around([value])]) == [{"value": [sent(value)]}]


def generator() -> Iterator[int]:
    yield from (1, 2)


class Rows(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        return {"a": 1}[key]

    def __iter__(self) -> Iterator[str]:
        return iter("a")

    def __len__(self) -> int:
        return 1


class Moment(datetime.datetime):
    pass


def row() -> Any:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    found = connection.execute("select 1 as a, 'b' as b").fetchone()
    connection.close()
    return found


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (generator(), [1, 2]),
        (range(3), [0, 1, 2]),
        ({"a": 1}.keys(), ["a"]),
        ({"a": 1}.values(), [1]),
        (collections.UserList([1]), [1]),
        (Rows(), {"a": 1}),
        (row(), {"a": 1, "b": "b"}),
        (Moment(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00Z"),
        (type("Text", (str,), {})("a"), "a"),
        (type("Count", (int,), {})(1), 1),
        (msgspec.Raw(b'{"a":[1]}'), {"a": [1]}),
        ({None: 1, True: 2, 1.5: 3, NOON: 4}, {"null": 1, "true": 2, "1.5": 3, "2026-01-02T12:00:00Z": 4}),
        ([float("nan"), float("inf"), {"a": float("-inf")}], [None, None, {"a": None}]),
    ],
)
def test_iterators_mappings_and_subclasses_become_plain_json(value: Any, expected: Any) -> None:
    assert sent(value) == expected


@pytest.mark.parametrize(
    "around", [Struct, Attrs, lambda value: Holder(value=value), Slots, lambda value: {"value": value}]
)
def test_half_a_surrogate_pair_is_repaired_wherever_it_is(around: Any) -> None:
    assert sent(around("a\ud83d")) == {"value": "a\ufffd"}
    assert sent(around({"\ud83d": ["\ud83d"]})) == {"value": {"\ufffd": ["\ufffd"]}}


def test_values_without_a_json_form_become_null_in_models_too() -> None:
    class Ratio(BaseModel):
        value: float = float("nan")
        anything: Any = float("inf")

    assert sent(Ratio()) == {"value": None, "anything": None}


# Structs with a field that is not a plain value: the package converts them as msgspec converts other Structs


class Renamed(msgspec.Struct, rename="camel"):
    user_id: Any
    note: Any = msgspec.UNSET


class Omitting(msgspec.Struct, omit_defaults=True):
    value: Any
    text: str = ""
    items: list[Any] = []
    number: int | None = None


class Tagged(msgspec.Struct, tag_field="kind", tag="t"):
    value: Any


class Array(msgspec.Struct, array_like=True, tag="t"):
    value: Any
    other: int = 1


values = st.none() | st.text() | st.integers(-(2**60), 2**60) | st.booleans() | st.lists(st.integers(0, 9), max_size=2)


@given(values, st.sampled_from([Renamed, Omitting, Tagged, Array]), st.sampled_from(["", "a"]), st.booleans())
def test_structs_are_written_as_msgspec_writes_them(value: Any, kind: Any, text: str, more: bool) -> None:
    one = kind(value)
    if kind is Omitting:
        one = Omitting(value, text, [value] if more else [], 1 if more else None)
    assert to_builtins(one) == msgspec.to_builtins(one)
    assert to_builtins(kind([one])) == msgspec.to_builtins(kind([one]))
    assert msgspec.json.decode(encode([one])[0]) == msgspec.json.decode(msgspec.json.encode([one]))


# Attachments


class Upload(BaseModel):
    name: str = "a"
    data: bytes = b"\xff\x00"
    more: list[bytes] = [b"1"]
    anything: Any = None
    bare: list = []  # type: ignore[type-arg]


class Uploads(BaseModel):
    first: Upload = Upload()
    rest: dict[str, Upload] = {}
    maybe: bytes | str | None = None


class Base64(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64")
    data: bytes = b"\xff"


class Encoded(BaseModel):
    encoded: pydantic.Base64Bytes = b"a"


@pydantic.dataclasses.dataclass
class UploadData:
    data: bytes


def test_bytes_in_models_are_attachments() -> None:
    upload = Upload(anything={"deep": (b"2", Struct(b"3"))}, bare=[b"4"])
    payload, attachments = encode({"before": b"0", "upload": upload})
    assert attachments == (b"0", b"\xff\x00", b"1", b"2", b"3", b"4")
    assert json.loads(payload)["upload"]["data"] == {"_placeholder": True, "num": 1}
    assert json.loads(payload)["upload"]["name"] == "a"
    assert to_builtins(Uploads(rest={"a": Upload()}, maybe=b"9")) == {
        "first": {"name": "a", "data": b"\xff\x00", "more": [b"1"], "anything": None, "bare": []},
        "rest": {"a": {"name": "a", "data": b"\xff\x00", "more": [b"1"], "anything": None, "bare": []}},
        "maybe": b"9",
    }
    assert to_builtins(Uploads(maybe="text"))["maybe"] == "text"
    assert to_builtins([UploadData(b"\xff")]) == [{"data": b"\xff"}]
    assert to_builtins(RootModel[bytes](b"\xff")) == b"\xff"


@pytest.mark.parametrize("name", ["metadata", "config", "cls", "function", "serialization", "default", "type", "data"])
def test_a_field_with_bytes_may_have_any_name(name: str) -> None:
    model = pydantic.create_model("Model", **{name: (bytes, b"\xff")})  # type: ignore[call-overload]
    assert to_builtins(model()) == {name: b"\xff"}


def test_defaults_of_a_model_are_not_read_as_schemas() -> None:
    contains_itself: dict[str, Any] = {}
    contains_itself["me"] = contains_itself

    class Defaults(BaseModel):
        named: Named = Named(1, Money())
        like_a_schema: dict[str, Any] = {"type": "bytes"}
        looping: Any = contains_itself
        data: bytes = b"\xff"

    found = to_builtins(Defaults(looping=None))
    assert found == {"named": [1, to_builtins(Money())], "like_a_schema": {"type": "bytes"}} | {
        "looping": None,
        "data": b"\xff",
    }


def test_bytes_that_a_model_says_are_text_are_text() -> None:
    assert to_builtins([Base64(), Encoded()]) == [{"data": "_w=="}, {"encoded": "YQ=="}]
    assert to_builtins(Holder(value=Base64())) == {"value": {"data": "_w=="}}

    class Hexadecimal(BaseModel):
        data: bytes = b"\xff"

        @field_serializer("data")
        def text(self, data: bytes) -> str:
            return data.hex()

    assert to_builtins(Hexadecimal()) == {"data": "ff"}


# The sender gets the error for a value that cannot be sent


class Opaque:
    pass


class Failing(BaseModel):
    a: int = 1

    @field_serializer("a")
    def fail(self, a: int) -> int:
        raise ValueError("it broke")


_itself: dict[str, Any] = {}
_itself["self"] = Holder(value=_itself)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Opaque(), "cannot encode Opaque"),
        ({"a": [1, Opaque()]}, r"cannot encode Opaque.*\(at `\$\.a\[1\]`\)"),
        ([Struct({"b": Opaque()})], r"cannot encode Opaque.*\(at `\$\[0\]\.value\.b`\)"),
        (Data("a", Opaque()), r"cannot encode Opaque.*\(at `\$\.inside`\)"),
        ({"m": Holder(value=Opaque())}, r"Opaque.*\(at `\$\.m`\)"),
        ({"m": Failing()}, r"pydantic cannot encode Failing: .*it broke.*\(at `\$\.m`\)"),
        (Money, "ModelMetaclass"),
        (Data, "type"),
        ({Opaque(): 1}, "Opaque"),
        ({(1, 2): 1}, "a key of the type tuple"),
        ({"a": {b"a": 1}}, r"a key of the type bytes.*\(at `\$\.a`\)"),
        ({"a": {(b"a",): 1}}, r"a key of the type tuple.*\(at `\$\.a`\)"),
        (1j, "complex"),
        (_itself, "."),
    ],
)
def test_unencodable_values_are_named(value: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        encode(value)


def test_a_field_of_another_type_gives_no_warning() -> None:
    assert sent(Url.model_construct(avatar="no URL"))["avatar"] == "no URL"


WITHOUT = """
import sys
sys.modules["pydantic"] = None
import datetime, ipaddress, pathlib, dataclasses, msgspec
from asgi_realtime.payloads.plain_values import to_builtins

@dataclasses.dataclass
class Data:
    at: object

values = [ipaddress.IPv4Address("10.0.0.1"), pathlib.PurePosixPath("/a"), {1}, datetime.timedelta(hours=1)]
assert to_builtins(Data(values)) == {"at": ["10.0.0.1", "/a", [1], "PT1H"]}
assert "pydantic_core" not in sys.modules
"""


def test_plain_values_need_no_pydantic() -> None:
    assert printed_by(WITHOUT) == ""
