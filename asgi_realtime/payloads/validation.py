"""Converts decoded JSON to a handler's types, by pydantic where needed, else by msgspec. Decided at start-up."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from msgspec import inspect as kinds

from asgi_realtime.errors import InvalidMessage
from asgi_realtime.payloads.annotation_metadata import MSGSPEC, PYDANTIC, check_no_field
from asgi_realtime.payloads.annotations import requirements
from asgi_realtime.payloads.core_schemas import inner_schemas
from asgi_realtime.payloads.fail_fast import fail_fast
from asgi_realtime.payloads.inner_types import inner_types
from asgi_realtime.payloads.typed_dicts import with_readable_typed_dicts
from asgi_realtime.payloads.validation_errors import msgspec_error, pydantic_error
from asgi_realtime.values.json import Json

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Validate: TypeAlias = Callable[[Json], Any]

_NUMBERS = (kinds.IntType, kinds.FloatType, kinds.EnumType, kinds.LiteralType, kinds.UnionType, kinds.Metadata)
_USE = "use a dataclass, a Struct, a TypedDict, a pydantic model or JSON types"


def validator(annotation: Any) -> Validate:
    """Return a function that converts decoded JSON to the type `annotation`.

    An annotation that uses pydantic (a model, `Field`, `HttpUrl`, a constraint of annotated_types) is validated by
    pydantic, as FastAPI validates a JSON body. Any other annotation that msgspec supports is validated by msgspec,
    which does not convert text to numbers. All others (an IP address, a union of dataclasses) are validated by
    pydantic, if it is installed. Unknown fields are ignored, unless the type forbids them.

    The returned function raises `InvalidMessage` with the path of the wrong field, but not its value.

    Raises:
        TypeError: if a part of the annotation is enforced by neither library. The message names it.
    """
    if annotation is Any or annotation is object:
        return _as_decoded
    by = decide(annotation)
    if by == PYDANTIC:
        return _pydantic(annotation)
    # msgspec reads an annotation on every call, which costs more than the conversion. It caches the fields of a Struct.
    payload = msgspec.defstruct("_Payload", [("value", annotation)], array_like=True)
    # Each of these options costs more than the conversion, so they are passed only if needed.
    options: dict[str, Any] = {}
    if "base64" in str(msgspec.json.schema(annotation)):
        options["builtin_types"] = (bytes, bytearray, memoryview)  # these are an attachment, never base64 text
    if _has_numbers_for_keys(kinds.type_info(annotation), set()):
        options["str_keys"] = True
    return _msgspec(functools.partial(msgspec.convert, **options) if options else msgspec.convert, payload)


def decide(annotation: Any) -> str:
    """Return which library validates an annotation, `pydantic` or `msgspec`. See `validator`.

    Raises:
        TypeError: for a part of the annotation that neither library enforces. The message names it.
    """
    if annotation is Any or annotation is object:
        return MSGSPEC
    if isinstance(annotation, dict | list | tuple | set):
        raise TypeError(f"{annotation!r} is a value, not a payload type: write list[…], a dataclass or a TypedDict")
    check_no_field(annotation)
    found = {part.package: part.what for part in reversed(list(requirements(annotation)))}
    if PYDANTIC in found and MSGSPEC in found:
        raise TypeError(
            f"only msgspec reads {found[MSGSPEC]}, and only pydantic reads {found[PYDANTIC]}: "
            "write both for the same library"
        )
    if PYDANTIC not in found:
        try:
            msgspec.json.schema(annotation)
        except (TypeError, NameError, RecursionError) as error:
            if MSGSPEC in found:
                raise TypeError(f"{annotation!r} is no payload type: {_first_line(error)}") from None
        else:
            return MSGSPEC
    adapter(annotation, found.get(PYDANTIC, f"{annotation!r}"))
    return PYDANTIC


def check_sent(annotation: Any) -> None:
    """Check the annotation of a payload that the server sends. There, a Struct may contain pydantic models.

    Raises:
        TypeError: for a part that neither library understands. The message names it.
    """
    found = {part.package for part in requirements(annotation)}
    if not {PYDANTIC, MSGSPEC} <= found:
        decide(annotation)


def adapter(annotation: Any, what: str = "a pydantic annotation") -> TypeAdapter[Any]:
    """Compile an annotation with pydantic. `what` names the part that needs pydantic, for the error.

    Raises:
        TypeError: if pydantic is not installed, or does not understand the annotation.
    """
    try:
        import pydantic
    except ImportError:
        raise TypeError(
            f"msgspec does not understand {what}, and pydantic is not installed: "
            "use a dataclass, a Struct, a TypedDict, JSON types or msgspec.Meta, or install pydantic"
        ) from None
    with warnings.catch_warnings():
        # Raised for an alias that pydantic ignores. Older versions have no such warning.
        ignored = getattr(pydantic.warnings, "UnsupportedFieldAttributeWarning", None)
        if ignored is not None:
            warnings.simplefilter("error", ignored)
        try:
            found = pydantic.TypeAdapter(with_readable_typed_dicts(annotation))
            found.rebuild()
        except pydantic.errors.PydanticSchemaGenerationError:
            raise TypeError(f"{annotation!r} is no payload type: {_USE}") from None
        except (
            pydantic.PydanticUserError,
            TypeError,
            NameError,
            ValueError,
            Warning,
            RecursionError,
            ImportError,
        ) as error:
            raise TypeError(f"{annotation!r} is no payload type: {_first_line(error)}") from None
    return found


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


def _has_numbers_for_keys(kind: kinds.Type, seen: set[int]) -> bool:
    """Whether a type contains a dict whose keys are not text. In JSON, keys are always text."""
    if id(kind) in seen:
        return False
    seen.add(id(kind))
    if isinstance(kind, kinds.DictType) and isinstance(kind.key_type, _NUMBERS):
        return True
    return any(_has_numbers_for_keys(one, seen) for one in inner_types(kind))


def _is_lazy(schema: Any) -> bool:
    """Whether pydantic would pass on a part unvalidated, as a generator that raises later in the handler."""
    if isinstance(schema, Mapping) and schema.get("type") == "generator":
        return True
    return any(map(_is_lazy, inner_schemas(schema)))


def _as_decoded(value: Json) -> Json:
    return value


def _msgspec(convert: Callable[..., Any], payload: type) -> Validate:
    def by_msgspec(value: Json) -> Any:
        try:
            return convert((value,), payload).value
        except msgspec.ValidationError as error:
            raise InvalidMessage(msgspec_error(error, value)) from None
        except RecursionError:
            raise InvalidMessage("nested too deeply") from None

    return by_msgspec


def _pydantic(annotation: Any) -> Validate:
    from pydantic import ValidationError

    compiled = adapter(annotation)
    if _is_lazy(compiled.core_schema):
        raise TypeError(
            f"{annotation!r}: pydantic validates an Iterable or a Generator while the handler reads it; write list[…]"
        )
    validate = fail_fast(compiled).validate_python

    def by_pydantic(value: Json) -> Any:
        try:
            return validate(value)
        except ValidationError as error:
            raise InvalidMessage(pydantic_error(error, value)) from None
        except RecursionError:
            raise InvalidMessage("nested too deeply") from None

    return by_pydantic
