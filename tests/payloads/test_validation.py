"""Annotations of handlers: which library validates them, which are refused at start-up, and the error messages."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import ipaddress
import pathlib
import uuid
from collections.abc import Callable, Generator, Iterable
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Optional,
    TypedDict,
    TypeVar,
    Union,
)

import annotated_types
import attrs
import fastapi
import httpx
import msgspec
import pydantic
import pydantic.dataclasses
import pydantic_core
import pytest
import typing_extensions
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, RootModel, field_validator, model_validator

from asgi_realtime.errors import InvalidMessage
from asgi_realtime.payloads.typed_dicts import with_readable_typed_dicts
from asgi_realtime.payloads.validation import decide, validator
from tests.support.new_python import printed_by

T = TypeVar("T")
SECRET = "the secret value"


def never(value: Any) -> Any:
    raise ValueError("never valid")


def asserts(value: Any) -> Any:
    if value != "no value":
        raise AssertionError("from an assertion")
    return value


def custom(value: Any) -> Any:
    raise pydantic_core.PydanticCustomError("custom", "custom text")


Short = Annotated[str, Field(max_length=3)]
StrictInt: Any = pydantic.conint(strict=True)
ShortId = NewType("ShortId", Short)
ShortAlias = typing_extensions.TypeAliasType("ShortAlias", Short)


class Text(BaseModel):
    kind: Literal["text"] = "text"
    text: Short = ""


class Image(BaseModel):
    kind: Literal["image"]
    url: pydantic.HttpUrl


class Forbidding(BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    n: int


class Strict(BaseModel):
    model_config = pydantic.ConfigDict(strict=True)
    n: int


class Checked(BaseModel):
    low: int
    high: int

    @model_validator(mode="after")
    def order(self) -> Checked:
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


class Aliased(BaseModel):
    user_id: str = Field(alias="userId")


class Box(BaseModel, Generic[T]):
    item: T


class Tree(BaseModel):
    children: list[Tree] = []


Numbers = RootModel[list[int]]


@pydantic.dataclasses.dataclass
class PydanticPoint:
    x: Annotated[int, Field(gt=0)]


@dataclasses.dataclass
class Constrained:
    text: Short


@dataclasses.dataclass
class ConstrainedByDefault:
    text: str = Field("abc", max_length=3)


@dataclasses.dataclass
class WithModel:
    message: Text
    next: Optional[WithModel] = None  # noqa: UP045


@dataclasses.dataclass
class WithValidator:
    text: str

    @field_validator("text")
    @classmethod
    def check(cls, text: str) -> str:
        if text != "abc":
            raise ValueError("not abc")
        return text


@dataclasses.dataclass
class Generic1(Generic[T]):
    item: T


class TypedText(TypedDict):
    text: Short


class TypedMessage(TypedDict, total=False):
    message: Text
    note: NotRequired[list[TypedText]]


class ExtensionsText(typing_extensions.TypedDict):
    text: typing_extensions.Required[Annotated[str, annotated_types.MaxLen(3)]]


class NamedText(NamedTuple):
    text: Short


class Even(int):
    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return pydantic_core.core_schema.int_schema(multiple_of=2)


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Plain:
    n: int
    text: str = ""


@dataclasses.dataclass
class Other:
    s: str


class PlainDict(TypedDict):
    n: int


class Struct(msgspec.Struct):
    text: Annotated[str, msgspec.Meta(max_length=3)]


@attrs.define
class Attrs:
    n: int = attrs.field(validator=attrs.validators.gt(5))


class Checking(msgspec.Struct):
    text: str

    def __post_init__(self) -> None:
        if self.text != "abc":
            raise ValueError(f"{self.text} is not abc")


@dataclasses.dataclass
class NumberKeys:
    by_number: list[dict[int, dict[Literal[1, 2], str]]]
    again: NumberKeys | None = None


class Cat(msgspec.Struct, tag="cat"):
    n: int


class Dog(msgspec.Struct, tag="dog"):
    n: int


DISCRIMINATED = Annotated[Union[Text, Image], Field(discriminator="kind")]  # noqa: UP007
GOOD, LONG = {"kind": "text", "text": "abc"}, {"kind": "text", "text": "abcd"}

BY_PYDANTIC: dict[str, tuple[Any, Any, Any]] = {
    # Constraints, on text and on numbers, at any depth.
    "Field(max_length)": (Short, "abc", "abcd"),
    "StringConstraints": (Annotated[str, pydantic.StringConstraints(max_length=3)], "abc", "abcd"),
    "constr": (pydantic.constr(max_length=3), "abc", "abcd"),
    "conint": (pydantic.conint(gt=3), 4, 3),
    "strict conint in a list": (list[StrictInt], [4], ["4"]),
    "confloat": (pydantic.confloat(multiple_of=0.5) | None, 1.5, 1.7),
    "condecimal": (pydantic.condecimal(max_digits=3), "123", "1234"),
    "condate": (pydantic.condate(gt=datetime.date(2020, 1, 1)), "2021-01-01", "2019-01-01"),
    "conset": (pydantic.conset(int, max_length=1), [1], [1, 2]),
    "MaxLen": (Annotated[str, annotated_types.MaxLen(3)], "abc", "abcd"),
    "Len of a list": (Annotated[list[int], annotated_types.Len(1, 2)], [1], [1, 2, 3]),
    "Field(pattern)": (Annotated[str, Field(pattern="^a")], "a", "b"),
    "Field(gt)": (Annotated[int, Field(gt=0)], 1, -5),
    "Gt": (Annotated[int, annotated_types.Gt(0)], 1, -5),
    "Interval": (Annotated[int, annotated_types.Interval(gt=0, lt=9)], 1, 9),
    "MultipleOf": (Annotated[int, annotated_types.MultipleOf(2)], 2, 3),
    "Predicate": (annotated_types.LowerCase[str], "a", "A"),
    "PositiveInt": (pydantic.PositiveInt, 1, -5),
    "conlist": (pydantic.conlist(int, max_length=1), [1], [1, 2]),
    "in a list": (list[Short], ["abc"], ["abc", "abcd"]),
    "in a dict": (dict[str, list[Short]], {"a": ["abc"]}, {"a": ["abcd"]}),
    "as a key": (dict[Short, int], {"abc": 1}, {"abcd": 1}),
    "in a tuple": (tuple[int, Short], [1, "abc"], [1, "abcd"]),
    "in a set": (set[pydantic.PositiveInt], [1], [-1]),
    "optional": (Short | None, "abc", "abcd"),
    "a NewType": (ShortId, "abc", "abcd"),
    "a type alias": (ShortAlias, "abc", "abcd"),
    # Validators.
    "AfterValidator": (Annotated[str, AfterValidator(lambda text: text and never(text))], "", "a"),
    "BeforeValidator": (
        Annotated[int, BeforeValidator(lambda text: text if text == "3" else never(text))],
        "3",
        [1, 2, 3],
    ),
    "an assertion": (Annotated[str, AfterValidator(asserts)], "no value", "other"),
    "a custom error": (Annotated[str, AfterValidator(lambda text: custom(text) if text else text)], "", "a"),
    # Models in every position.
    "a model": (Text, GOOD, LONG),
    "Model | None": (Text | None, GOOD, LONG),
    "Optional[Model]": (Optional[Text], GOOD, LONG),  # noqa: UP045
    "list[Model]": (list[Text], [GOOD], [GOOD, LONG]),
    "dict[str, Model]": (dict[str, Text], {"a": GOOD}, {"a": LONG}),
    "tuple[Model, ...]": (tuple[Text, ...], [GOOD, GOOD], [LONG]),
    "Model | Model": (Text | Image, {"kind": "image", "url": "https://a.example/"}, {"kind": "image", "url": "no"}),
    "discriminated": (DISCRIMINATED, GOOD, {"kind": SECRET}),
    "an annotated model": (Annotated[Text, Field(description="what was said")], GOOD, LONG),
    "a RootModel": (Numbers, [1], ["a"]),
    "a generic model": (Box[int], {"item": 1}, {"item": "a"}),
    "a generic model of a model": (Box[Text], {"item": GOOD}, {"item": LONG}),
    "a recursive model": (Tree, {"children": [{"children": []}]}, {"children": [{"children": 1}]}),
    "a model that forbids": (Forbidding, {"n": 1}, {"n": 1, "m": 1}),
    "a strict model": (Strict, {"n": 1}, {"n": "1"}),
    "a model validator": (Checked, {"low": 1, "high": 2}, {"low": 2, "high": 1}),
    "aliases": (Aliased, {"userId": "a"}, {"user_id": "a"}),
    "a pydantic dataclass": (PydanticPoint, {"x": 1}, {"x": 0}),
    "a type with a schema of its own": (Even, 2, 3),
    # Classes with types of pydantic inside.
    "a dataclass's field": (Constrained, {"text": "abc"}, {"text": "abcd"}),
    "a dataclass's default": (ConstrainedByDefault, {}, {"text": "abcd"}),
    "a dataclass with a model": (WithModel, {"message": GOOD, "next": {"message": GOOD}}, {"message": LONG}),
    "a dataclass with a validator": (WithValidator, {"text": "abc"}, {"text": "abd"}),
    "a generic dataclass": (Generic1[Text], {"item": GOOD}, {"item": LONG}),
    "a TypedDict's field": (TypedText, {"text": "abc"}, {"text": "abcd"}),
    "a TypedDict with a model": (TypedMessage, {"message": GOOD}, {"note": [{"text": "abcd"}]}),
    "a list of TypedDicts": (list[TypedText] | None, [{"text": "abc"}], [{}]),
    "a TypedDict of typing_extensions": (ExtensionsText, {"text": "abc"}, {"text": "abcd"}),
    "a NamedTuple's field": (NamedText, ["abc"], ["abcd"]),
    # Types that only pydantic supports.
    "HttpUrl": (pydantic.HttpUrl, "https://a.example/", "no"),
    "SecretStr": (pydantic.SecretStr, SECRET, 1),
    "Json": (pydantic.Json[list[int]], "[1]", "[a]"),
    "IPv4Address": (ipaddress.IPv4Address, "10.0.0.1", "10.0.0"),
    "a path": (pathlib.PurePosixPath, "/a", 1),
    "deque": (collections.deque[int], [1], ["a"]),
    "a union of dataclasses": (Plain | Other, {"s": "a"}, {"m": 1}),
}
"""Each with a value that fits and one that does not."""

BY_MSGSPEC: dict[str, tuple[Any, Any, Any]] = {
    "str": (str, "a", 1),
    "int": (int, 1, "5"),
    "bool": (bool, True, "true"),
    "list[int]": (list[int], [1], ["1"]),
    "dict": (dict[str, int | None], {"a": None}, {"a": "b"}),
    "an enum": (Colour, "red", SECRET),
    "a literal": (Literal["a", 1], "a", SECRET),
    "datetime": (datetime.datetime, "2026-01-02T12:00:00Z", 7),
    "UUID": (uuid.UUID, str(uuid.UUID(int=1)), SECRET),
    "numbers for keys": (dict[int, str], {"1": "a"}, {"b": "a"}),
    "numbers for keys below": (NumberKeys, {"by_number": [{"1": {"2": "a"}}]}, {"by_number": [{"a": {}}]}),
    "enums for keys": (dict[Colour, int], {"red": 1}, {SECRET: 1}),
    "bytes": (bytes, b"a", "a"),
    "a dataclass": (Plain, {"n": 1}, {"n": "1"}),
    "a TypedDict": (PlainDict, {"n": 1}, {}),
    "attrs, with its validator": (Attrs, {"n": 6}, {"n": 5}),
    "a Struct with msgspec.Meta": (Struct, {"text": "abc"}, {"text": "abcd"}),
    "msgspec.Meta": (Annotated[str, msgspec.Meta(max_length=3)], "abc", "abcd"),
    "a Struct that checks itself": (Checking, {"text": "abc"}, {"text": SECRET}),
    "tagged Structs": (Cat | Dog, {"type": "dog", "n": 1}, {"type": SECRET}),
    "a comment": (Annotated[str, "the name", typing_extensions.Doc("of the user")], "a", 1),
}

KINDS = {**BY_PYDANTIC, **BY_MSGSPEC}


@pytest.mark.parametrize("name", KINDS)
def test_valid_values_are_accepted_and_others_refused(name: str) -> None:
    annotation, good, bad = KINDS[name]
    assert decide(annotation) == ("pydantic" if name in BY_PYDANTIC else "msgspec")
    validate = validator(annotation)
    validate(good)
    with pytest.raises(InvalidMessage) as refused:
        validate(bad)
    assert " - at `$" in refused.value.message.replace("`key` in ", "")


@pytest.mark.parametrize("name", BY_PYDANTIC)
async def test_a_json_body_of_fastapi_means_the_same(name: str) -> None:
    annotation, good, bad = BY_PYDANTIC[name]
    taken: list[Any] = []
    app = fastapi.FastAPI()

    async def route(value: Any) -> None:
        taken.append(value)

    # FastAPI reads only those of typing_extensions on Python 3.11.
    route.__annotations__ = {"value": Annotated[with_readable_typed_dicts(annotation), fastapi.Body()]}
    app.post("/")(route)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        assert (await client.post("/", json=good)).status_code == 200
        assert taken == [validator(annotation)(good)]
        assert (await client.post("/", json=bad)).status_code == 422


class Sent(BaseModel):
    """Types that JSON carries as a string or a number."""

    at: datetime.datetime
    day: datetime.date
    after: datetime.timedelta
    id: uuid.UUID
    colour: Colour
    price: decimal.Decimal
    n: int
    ratio: float
    yes: bool
    tags: set[str]
    pair: tuple[int, str]
    by_number: dict[int, str]


async def test_text_is_converted_as_in_a_json_body_of_fastapi() -> None:
    sent = {
        **{"at": "2026-01-02T12:00:00Z", "day": "2026-01-02", "after": "PT1H", "id": str(uuid.UUID(int=1))},
        **{"colour": "red", "price": "1.50", "n": "5", "ratio": 1, "yes": "true", "tags": ["a"], "pair": [1, "a"]},
        "by_number": {"1": "a"},
    }
    taken: list[Sent] = []
    app = fastapi.FastAPI()

    async def route(value: Sent) -> None:
        taken.append(value)

    app.post("/")(route)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        assert (await client.post("/", json=sent)).status_code == 200
    assert validator(Sent)(sent) == taken[0]
    assert validator(Sent | None)(sent) == taken[0]


@pytest.mark.parametrize(
    ("plain", "below"),
    [
        (Text | None, list[Text | None]),
        (Optional[Short], list[Optional[Short]]),  # noqa: UP045
        (Plain | None, list[Plain | None]),
    ],
)
def test_null_is_a_value_of_what_is_optional(plain: Any, below: Any) -> None:
    assert validator(plain)(None) is None
    assert validator(below)([None]) == [None]


@pytest.mark.parametrize("annotation", [Text, Short, Plain, str])
def test_null_is_refused_where_it_is_not_optional(annotation: Any) -> None:
    with pytest.raises(InvalidMessage):
        validator(annotation)(None)


def test_values_become_what_the_annotation_names() -> None:
    assert validator(Plain)({"n": 1, "more": 2}) == Plain(1)
    assert validator(PlainDict)({"n": 1}) == {"n": 1}
    assert validator(Struct)({"text": "abc"}) == Struct("abc")
    assert validator(Text)({"text": "abc"}) == Text(text="abc")
    assert validator(PydanticPoint)({"x": 3}) == PydanticPoint(3)
    assert validator(Image | Text)(GOOD) == Text(text="abc")
    assert validator(WithModel)({"message": GOOD}) == WithModel(Text(text="abc"))
    assert validator(TypedMessage)({"message": GOOD}) == {"message": Text(text="abc")}
    assert validator(list[bytes])([b"\x00"]) == [b"\x00"]
    assert validator(Any)(object) is object


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_no_type_of_an_attachment_is_filled_with_base64(kind: Any) -> None:
    one, several = validator(kind), validator(list[kind | None])
    assert bytes(one(b"\x00\xff")) == b"\x00\xff"
    assert [bytes(each) for each in several([b"\x00\xff"])] == [b"\x00\xff"]
    for check, sent in ((one, "AP8="), (several, ["AP8="])):
        with pytest.raises(InvalidMessage, match="Expected `bytes"):
            check(sent)


def test_attachments_stay_bytes() -> None:
    class Upload(BaseModel):
        name: str
        data: bytes

    upload = validator(list[Upload])([{"name": "a", "data": b"\x00\xff"}])[0]
    assert upload.data == b"\x00\xff"
    assert validator(Annotated[bytes, Field(max_length=2)])(b"\x00\xff") == b"\x00\xff"
    with pytest.raises(InvalidMessage):
        validator(Annotated[bytes, Field(max_length=1)])(b"\x00\xff")


# What neither library enforces is refused, and the message names it


class StructWithModel(msgspec.Struct):
    message: Text


class StructWithMarker(msgspec.Struct):
    text: Annotated[str, annotated_types.MaxLen(3)]


class StructWithField(msgspec.Struct):
    text: str = Field(max_length=3)


class StructWithValidator(msgspec.Struct):
    text: str

    @field_validator("text")
    @classmethod
    def check(cls, text: str) -> str:
        return text


@dataclasses.dataclass
class WithMarker:
    token: str = fastapi.Query()


@dataclasses.dataclass
class WithUnknown:
    inner: list[Annotated[str, object()]]


class WithIterable(BaseModel):
    items: list[Iterable[int]]


def depends() -> str:
    return ""


@pytest.mark.parametrize(
    ("annotation", "named"),
    [
        (StructWithModel, "the pydantic model Text at the field message of StructWithModel"),
        (list[StructWithMarker], r"MaxLen\(…\) at the field text of StructWithMarker"),
        (StructWithField, r"Field\(…\) as the default of text"),
        (StructWithValidator, "decorator on check of StructWithValidator"),
        (Text | msgspec.UnsetType, "UnsetType"),
        (Struct | Text, "Struct"),
        (Annotated[Text, msgspec.Meta(title="a")], "msgspec.Meta"),
        (Annotated[str, msgspec.Meta(max_length=3), Field(min_length=1)], "msgspec.Meta"),
        (Annotated[str, object()], "object"),
        (Annotated[str, annotated_types.MaxLen], "MaxLen"),
        (Annotated[datetime.datetime, annotated_types.Timezone("UTC")], "Timezone"),
        (WithUnknown, "inner of WithUnknown"),
        (Annotated[str, fastapi.Depends(depends)], r"Depends\(…\).*a whole parameter"),
        (Annotated[str, fastapi.Security(depends)], r"Security\(…\)"),
        (Annotated[str, fastapi.Depends], r"Depends\(…\)"),
        (list[Annotated[str, fastapi.Body()]], r"Body\(…\).*no marker"),
        (Annotated[str, fastapi.Query(max_length=3)], r"Query\(…\)"),
        (Annotated[str, fastapi.Header()], r"Header\(…\).*connection.handshake"),
        (Annotated[str, fastapi.Cookie()], r"Cookie\(…\)"),
        (Annotated[str, fastapi.Path()], r"Path\(…\)"),
        (Annotated[str, fastapi.Form()], r"Form\(…\)"),
        (Annotated[bytes, fastapi.File()], r"File\(…\)"),
        (WithMarker, r"Query\(…\) as the default of token of WithMarker"),
        (fastapi.Request, "Request.*connection: Connection"),
        (fastapi.WebSocket | None, "WebSocket"),
        (fastapi.BackgroundTasks, "BackgroundTasks"),
        (fastapi.Response, "Response"),
        (fastapi.UploadFile, "UploadFile"),
        (fastapi.requests.HTTPConnection, "HTTPConnection"),
        (Annotated[str, Field(alias="other")], "alias"),
        (list[Annotated[str, Field(alias="other")]], "alias"),
        (list[Annotated[str, Field("a")]], "default"),
        (Annotated[str, annotated_types.Gt(3)], r"Gt\(…\) limits numbers"),
        (list[Annotated[list[int], Field(le=3)]], r"Le\(…\) limits numbers"),
        (Annotated[int, Field(max_length=3)], r"MaxLen\(…\) limits a length"),
        (Annotated[float, pydantic.StringConstraints(min_length=3)], r"StringConstraints\(…\) limits a length"),
        (Annotated[str, msgspec.Meta(gt=3)], r"Meta\(…\) limits numbers"),
        (Callable[[int], str], "function"),
        (type[Text], "class"),
        (type, "class"),
        (Iterable[int], r"Iterable\[int\].*write list"),
        (Generator[int, None, None] | None, "write list"),
        (WithIterable, "WithIterable.*write list"),
        (BaseModel, "BaseModel"),
        ({"text": str}, "a value"),
        ([str], "a value"),
        (object(), "object object"),
        (type("Nothing", (), {}), "Nothing"),
        (list["Unknown"], "Unknown"),  # type: ignore[name-defined] # noqa: F821
        (Annotated[object, Field(max_length=3)] | complex | StructWithModel, "StructWithModel"),
    ],
)
def test_constraints_that_neither_library_enforces_are_refused_by_name(annotation: Any, named: str) -> None:
    with pytest.raises(TypeError, match=named):
        validator(annotation)


# Error messages


@pytest.mark.parametrize(
    ("annotation", "sent", "said"),
    [
        (Text, {"text": 1}, "Input should be a valid string - at `$.text`"),
        (list[Text], [GOOD, LONG], "String should have at most 3 characters - at `$.1.text`"),
        (Short, "abcd", "String should have at most 3 characters - at `$`"),
        (dict[str, Image], {"a": {"kind": "image"}}, "Field required - at `$.a.url`"),
        (Annotated[str, AfterValidator(never)], "a", "Value error, never valid - at `$`"),
        (Annotated[str, AfterValidator(asserts)], "a", "Assertion failed, from an assertion - at `$`"),
        (Annotated[str, AfterValidator(custom)], "a", "custom text - at `$`"),
        (Checked, {"low": 2, "high": 1}, "Value error, low is above high - at `$`"),
        (DISCRIMINATED, {"kind": SECRET}, "The tag is none of those expected - at `$`"),
        (PlainDict, {"n": "a"}, "Expected `int`, got `str` - at `$.n`"),
        (list[Colour], [SECRET], "Invalid enum value - at `$[0]`"),
        (dict[str, Literal["a"]], {SECRET: SECRET}, "Invalid enum value - at `$[...]`"),
        (list[dict[int, str]], [{"a": "b"}], "Expected `int`, got `str` - at `key` in `$[0]`"),
        (dict[Colour, str], {SECRET: "b"}, "Invalid enum value - at `key` in `$`"),
        (Cat | Dog, {"type": SECRET}, "Invalid value - at `$.type`"),
        (list[Checking], [{"text": SECRET}], "Invalid value - at `$[0]`"),
        (list[Checking], [{"text": "x"}], "Invalid value - at `$[0]`"),
        (Attrs, {"n": 5}, "Invalid value - at `$`"),
    ],
)
def test_an_error_names_the_path(annotation: Any, sent: Any, said: str) -> None:
    with pytest.raises(InvalidMessage) as refused:
        validator(annotation)(sent)
    assert refused.value.message == said


def repeating(value: Any) -> Any:
    raise ValueError(f"cannot take {value!r}")


class Repeating(BaseModel):
    inner: dict[str, Any]

    @model_validator(mode="before")
    @classmethod
    def check(cls, value: Any) -> Any:
        raise ValueError(f"unusable: {value}")


@pytest.mark.parametrize(
    ("annotation", "sent"),
    [
        *((annotation, SECRET) for annotation, _, _ in KINDS.values()),
        *((annotation, {"text": SECRET, "n": SECRET, "kind": SECRET}) for annotation, _, _ in KINDS.values()),
        (Annotated[str, AfterValidator(repeating)], SECRET),
        (Annotated[str, AfterValidator(int)], SECRET),
        # Not the class itself: pydantic refuses its signature with Python 3.12 and newer.
        (Annotated[str, AfterValidator(lambda name: Colour(name))], SECRET),
        (Repeating, {"inner": {"deep": [SECRET]}}),
        (uuid.UUID, SECRET),
        (Annotated[uuid.UUID, Field(description="")], SECRET),
    ],
)
def test_an_error_never_repeats_the_value(annotation: Any, sent: Any) -> None:
    try:
        validator(annotation)(sent)
    except InvalidMessage as error:
        assert SECRET not in error.message
        assert error.__cause__ is None and error.__suppress_context__


@pytest.mark.parametrize("sent", ["a line\nand another", "a \\ path", 'it\'s "quoted"', " \x00 ", "\u2028"])
def test_an_error_does_not_repeat_the_value_as_repr_shows_it(sent: str) -> None:
    with pytest.raises(InvalidMessage) as refused:
        validator(Annotated[str, AfterValidator(repeating)])(sent)
    assert refused.value.message == "Invalid value - at `$`"


def test_the_defaults_of_a_model_are_not_read_as_its_schema() -> None:
    contains_itself: dict[str, Any] = {}
    contains_itself["me"] = contains_itself

    class Task(BaseModel):
        options: dict[str, Any] = {"type": "generator"}
        looping: Any = contains_itself

    assert validator(Task)({}).options == {"type": "generator"}


def test_an_error_is_short_however_long_the_names_in_it_are() -> None:
    for annotation in (dict[str, int], dict[str, Short], dict[str, dict[str, Short]], Forbidding):
        with pytest.raises(InvalidMessage) as refused:
            validator(annotation)({"a" * 100_000: {"b" * 100_000: 1}})
        assert len(refused.value.message) < 700


def test_very_many_errors_are_not_listed() -> None:
    for count, ending in ((1_000, "at `$.0`"), (1_001, "More than 1000 values do not fit - at `$`")):
        with pytest.raises(InvalidMessage) as refused:
            validator(dict[str, pydantic.PositiveInt])({str(number): "a" for number in range(count)})
        assert refused.value.message.endswith(ending)
        with pytest.raises(InvalidMessage, match=r"at `\$.0`$"):  # a list is left at its first wrong item
            validator(list[pydantic.PositiveInt])(["a"] * count)


def _deep(levels: int) -> Any:
    value: Any = {"children": []}
    for _ in range(levels):
        value = {"children": [value]}
    return value


@dataclasses.dataclass
class DataTree:
    children: list[DataTree]


class DictTree(TypedDict):
    children: list[DictTree]
    text: NotRequired[Short]


@pytest.mark.parametrize("annotation", [Tree, list[Tree], DataTree, DictTree, Tree | None])
def test_deeply_nested_input_is_accepted_or_refused_but_never_fails(annotation: Any) -> None:
    sent: Any = _deep(50_000)
    with pytest.raises(InvalidMessage):
        validator(annotation)([sent] if annotation == list[Tree] else sent)


def test_other_exceptions_of_a_validator_are_failures_of_the_host() -> None:
    def broken(value: Any) -> Any:
        raise KeyError("no such thing")

    class Factory(BaseModel):
        n: int = Field(default_factory=lambda: int("x"))

    with pytest.raises(KeyError):
        validator(Annotated[str, AfterValidator(broken)])("a")
    with pytest.raises(ValueError, match="invalid literal"):
        validator(Factory)({})


# Without pydantic

WITHOUT = """
import sys
sys.modules["pydantic"] = None
import annotated_types, dataclasses, ipaddress, msgspec
from typing import Annotated, TypedDict
from asgi_realtime.payloads.validation import validator

class Struct(msgspec.Struct):
    text: Annotated[str, msgspec.Meta(max_length=3)]

@dataclasses.dataclass
class Data:
    text: Annotated[str, annotated_types.MaxLen(3)]

class Typed(TypedDict):
    texts: list[Annotated[str, annotated_types.MaxLen(3)]]

assert validator(Struct)({"text": "abc"}) == Struct("abc")
assert validator(list[int] | None)([1]) == [1]
for annotation, named in (
    (Data, "MaxLen(…) at the field text of Data"),
    (Typed, "MaxLen(…) at the field texts of Typed"),
    (Annotated[str, annotated_types.MaxLen(3)], "MaxLen"),
    (Annotated[str, object()], "object"),
    (ipaddress.IPv4Address, "IPv4Address"),
):
    try:
        validator(annotation)
    except TypeError as error:
        assert named in str(error), error
    else:
        raise AssertionError(annotation)
loaded = {name.partition(".")[0] for name, module in sys.modules.items() if module}
assert not loaded & {"pydantic", "pydantic_core", "fastapi"}
"""


def test_without_pydantic_types_that_msgspec_lacks_are_refused() -> None:
    assert printed_by(WITHOUT) == ""
