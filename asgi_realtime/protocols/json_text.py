"""JSON as clients send it: its structure is bounded before it is decoded, and half a surrogate pair is repaired.

Some JSON costs far more to read than its size says: lists and objects by the hundred thousand, numbers with
exponents, integers of thousands of digits. `Structure` counts them in a few passes of C code, outside of strings, so
that brackets in a text count for nothing. Cost by the megabyte: see `python -m benchmarks.messages`.
"""

from __future__ import annotations

import gc
import itertools
import re
from array import array
from collections.abc import Callable
from typing import Any, Final

import msgspec

from asgi_realtime.errors import ProtocolError
from asgi_realtime.limits import Limits

MAX_NESTING: Final = 64
"""Deepest payload accepted, in lists and objects, so that code which recurses over one cannot fail."""

SHORT: Final = 2 * MAX_NESTING
"""Characters that cannot be nested too deeply: for so few `JSONReader.decode` is enough."""
_LARGE: Final = 4096
"""Characters from which floats are read by msgspec: it is much faster for most of them, and much slower for some."""
_HARD_EXPONENTS: Final = 1_000
"""Numbers with an exponent that msgspec may read: each may take it 8 µs."""
_COLLECTED: Final = 16_384
"""Characters from which the garbage collector waits until the message is decoded."""

_LONG_NUMBER: Final = 1_000
_LONG_NUMBER_PARTS: Final = 100
_INEXACT: Final = b"0" * 16 + b"."
"""A number with a point that may lie between two floats: as slow as one with an exponent."""

_MARKS: Final = b'[]{}"eE.#'
_OTHERS: Final = bytes(set(range(256)) - set(_MARKS))
_DIGITS: Final = bytes.maketrans(b"123456789#", b"000000000 ")
_ALIKE: Final = bytes.maketrans(b"{}", b"[]")
_STEPS: Final = bytes.maketrans(b"[]", b"\x01\xff")
_PASSES: Final = 8


class MalformedJSON(ProtocolError):
    """A text is no JSON, or not of the type that it is decoded to."""


class Structure:
    """What there is of a JSON text outside of its strings.

    Attributes:
        containers: lists and objects.
        exponents: numbers with an exponent, or 16 digits in front of a point; with them up to 1,000 literals
            `true` and `false`.
        fractions: numbers with a point.
        long_numbers: how often there are a thousand digits in a row.
    """

    __slots__ = ("_brackets", "containers", "exponents", "fractions", "long_numbers")

    def __init__(self, text: str) -> None:
        data = text.encode("utf-8", "surrogatepass")
        marks = _marks(data)
        if marks.count(b"e") > _HARD_EXPONENTS:  # which may be those of literals
            marks = _marks(data.replace(b"true", b"").replace(b"false", b""))
        self.exponents = marks.count(b"e") + marks.count(b"E")
        self.fractions = marks.count(b".")
        self.long_numbers = marks.count(b"#")
        self._brackets = marks.translate(_ALIKE, b"eE.#")
        self.containers = self._brackets.count(b"[")

    @property
    def parts(self) -> int:
        """What counts towards `Limits.message_parts`."""
        floats = 2 * (self.exponents + self.fractions) if self.exponents > _HARD_EXPONENTS else 0
        return self.containers + floats + self.long_numbers * _LONG_NUMBER_PARTS

    def is_deeper_than(self, levels: int) -> bool:
        """Whether lists and objects are nested more deeply than this."""
        brackets = self._brackets
        for _ in range(min(levels, _PASSES)):  # each takes the innermost level away; few texts have more
            brackets = brackets.replace(b"[]", b"")
            levels -= 1
        return max(itertools.accumulate(array("b", brackets.translate(_STEPS))), default=0) > levels


def _marks(data: bytes) -> bytes:
    """Brackets, the letter e, points, and `#` for each long number: those outside of strings."""
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    data = data.translate(_DIGITS).replace(b"0" * _LONG_NUMBER, b"#").replace(_INEXACT, b"E.")
    data = data.translate(None, _OTHERS)
    # Two quotes side by side end one string and begin another, or begin and end one: what is outside stays outside.
    # The quotes that are left have something of what is counted between them, so there are not many more of them.
    return b"".join(data.replace(b'""', b"").split(b'"')[::2])


NOT_JSON: Final = (msgspec.DecodeError, ValueError, RecursionError)
"""What `JSONReader.decode` raises."""


class JSONReader:
    """Decodes the JSON texts of clients.

    Args:
        kind: the type that `msgspec` decodes to.
    """

    __slots__ = ("_decode_large", "decode")

    def __init__(self, kind: Any = Any) -> None:
        self.decode: Callable[[str], Any] = msgspec.json.Decoder(kind, float_hook=_finite).decode
        """Decodes a text of up to `SHORT` characters, or raises one of `NOT_JSON`: then `read` has the last word.

        Most messages are as short. For them a caller saves a call of Python for each."""
        self._decode_large = msgspec.json.Decoder(kind).decode

    def read(self, text: str, limits: Limits) -> Any:
        """Decode a text.

        Raises:
            MalformedJSON: if it is no JSON of this kind.
            ProtocolError: if it is nested too deeply, or over `Limits.message_parts`.
        """
        size = len(text)
        if size > _LARGE:
            return self._read_large(text, limits)
        if size > SHORT and text.count("[") + text.count("{") > MAX_NESTING:
            _check(Structure(text), limits)
        try:
            return self.decode(text)
        except NOT_JSON:
            return self._read_repaired(text, limits, self.decode)

    def _read_large(self, text: str, limits: Limits) -> Any:
        structure = Structure(text)
        _check(structure, limits)
        decode = self.decode if structure.exponents > _HARD_EXPONENTS else self._decode_large
        # Each of the collector's passes would look at what has been decoded so far: for nothing.
        wait = len(text) > _COLLECTED and gc.isenabled()
        if wait:
            gc.disable()
        try:
            return decode(text)
        except NOT_JSON:
            return self._read_repaired(text, limits, decode)
        finally:
            if wait:
                gc.enable()

    @staticmethod
    def _read_repaired(text: str, limits: Limits, decode: Callable[[str], Any]) -> Any:
        """Decode what failed, perhaps for half a surrogate pair: the user who typed it did nothing wrong."""
        repaired = _repair_escapes(text, limits)
        if repaired != text:
            try:
                return decode(repaired)
            except NOT_JSON:
                pass
        raise MalformedJSON("a payload that is not JSON") from None


def _check(structure: Structure, limits: Limits) -> None:
    if structure.parts > limits.message_parts:
        raise ProtocolError("too many lists, objects or numbers with an exponent")
    if structure.containers > MAX_NESTING and structure.is_deeper_than(MAX_NESTING):
        raise ProtocolError("nested too deeply")


def _finite(digits: str) -> float:
    value = float(digits)
    if value - value != 0.0:
        raise ValueError("out of range")
    return value


_LOW = r"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HALF = re.compile(
    rf"\\u[dD](?:[89abAB][0-9a-fA-F]{{2}}(?!{_LOW})"
    r"|(?<!\\u[dD][89abAB][0-9a-fA-F][0-9a-fA-F]\\u[dD])[c-fC-F][0-9a-fA-F]{2})"
)
"""Half a surrogate pair as an escape, where no backslash is itself escaped."""


def _repair_escapes(text: str, limits: Limits) -> str:
    """Replace the escapes of half surrogate pairs by the one of U+FFFD."""
    halves = text.count("\\ud") + text.count("\\uD")
    if not halves or "\x00" in text:
        return text
    if halves + text.count("\\\\") > limits.message_parts:
        raise ProtocolError("too many escapes around half a surrogate pair")
    # No raw control character is left in JSON, so two of them can stand for an escaped backslash.
    return _HALF.sub(r"\\ufffd", text.replace("\\\\", "\x00\x00")).replace("\x00\x00", "\\\\")
