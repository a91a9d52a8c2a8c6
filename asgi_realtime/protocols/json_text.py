"""Decodes JSON of clients. Limits are checked before decoding, and half a surrogate pair is repaired.

Some JSON is far more expensive to decode than its size suggests: hundreds of thousands of lists and objects, numbers
with exponents, integers of thousands of digits. `Structure` counts these in a few passes of C code. Text inside of
strings is not counted. `python -m benchmarks.messages` measures the cost per megabyte.
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
"""Deepest nesting of lists and objects that is accepted, so that recursive code cannot fail."""

SHORT: Final = 2 * MAX_NESTING
"""A text of up to so many characters cannot be nested too deeply. `JSONReader.decode` is enough for it."""
_LARGE: Final = 4096
"""From so many characters on, msgspec decodes floats: it is much faster for most, and much slower for some."""
_HARD_EXPONENTS: Final = 1_000
"""Most numbers with an exponent that msgspec decodes: each may take 8 µs."""
_COLLECTED: Final = 16_384
"""From so many characters on, the garbage collector is paused while a message is decoded."""

_LONG_NUMBER: Final = 1_000
_LONG_NUMBER_PARTS: Final = 100
_INEXACT: Final = b"0" * 16 + b"."
"""A number with so many digits before its point is as slow to decode as one with an exponent."""

_MARKS: Final = b'[]{}"eE.#'
_OTHERS: Final = bytes(set(range(256)) - set(_MARKS))
_DIGITS: Final = bytes.maketrans(b"123456789#", b"000000000 ")
_ALIKE: Final = bytes.maketrans(b"{}", b"[]")
_STEPS: Final = bytes.maketrans(b"[]", b"\x01\xff")
_PASSES: Final = 8


class MalformedJSON(ProtocolError):
    """A text is not JSON, or not of the expected type."""


class Structure:
    """Counts parts of a JSON text, outside of its strings.

    Attributes:
        containers: the number of lists and objects.
        exponents: the number of numbers that have an exponent, or 16 digits before a point. It may include up to
            1,000 literals `true` and `false`.
        fractions: the number of numbers with a point.
        long_numbers: the number of sequences of a thousand digits.
    """

    __slots__ = ("_brackets", "containers", "exponents", "fractions", "long_numbers")

    def __init__(self, text: str) -> None:
        data = text.encode("utf-8", "surrogatepass")
        marks = _marks(data)
        if marks.count(b"e") > _HARD_EXPONENTS:  # some may be from `true` and `false`
            marks = _marks(data.replace(b"true", b"").replace(b"false", b""))
        self.exponents = marks.count(b"e") + marks.count(b"E")
        self.fractions = marks.count(b".")
        self.long_numbers = marks.count(b"#")
        self._brackets = marks.translate(_ALIKE, b"eE.#")
        self.containers = self._brackets.count(b"[")

    @property
    def parts(self) -> int:
        """The number that `Limits.message_parts` bounds."""
        floats = 2 * (self.exponents + self.fractions) if self.exponents > _HARD_EXPONENTS else 0
        return self.containers + floats + self.long_numbers * _LONG_NUMBER_PARTS

    def is_deeper_than(self, levels: int) -> bool:
        """Whether lists and objects are nested more deeply than this."""
        brackets = self._brackets
        for _ in range(min(levels, _PASSES)):  # each pass removes the innermost level; few texts have more levels
            brackets = brackets.replace(b"[]", b"")
            levels -= 1
        return max(itertools.accumulate(array("b", brackets.translate(_STEPS))), default=0) > levels


def _marks(data: bytes) -> bytes:
    """Brackets, letters e, points, and a `#` for each long number, outside of strings, in order."""
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    data = data.translate(_DIGITS).replace(b"0" * _LONG_NUMBER, b"#").replace(_INEXACT, b"E.")
    data = data.translate(None, _OTHERS)
    # Two adjacent quotes are an empty string, or the end of one string and the beginning of the next. Without them,
    # each text is still on the same side of the quotes, and few quotes are left.
    return b"".join(data.replace(b'""', b"").split(b'"')[::2])


NOT_JSON: Final = (msgspec.DecodeError, ValueError, RecursionError)
"""The errors that `JSONReader.decode` raises."""


class JSONReader:
    """Decodes the JSON texts of clients.

    Args:
        kind: the type that `msgspec` decodes to.
    """

    __slots__ = ("_decode_large", "decode")

    def __init__(self, kind: Any = Any) -> None:
        self.decode: Callable[[str | bytes], Any] = msgspec.json.Decoder(kind, float_hook=_finite).decode
        """Decodes a text of up to `SHORT` characters. If it raises one of `NOT_JSON`, call `read`.

        Most messages are that short, and a direct call of `decode` saves one Python call for each."""
        self._decode_large = msgspec.json.Decoder(kind).decode

    def read(self, text: str, limits: Limits) -> Any:
        """Decode a text.

        Raises:
            MalformedJSON: if it is not JSON of this type.
            ProtocolError: if it is nested too deeply, or exceeds `Limits.message_parts`.
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
        # Each collection would visit all objects decoded so far, and free none.
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
        """Decode a text again, with half surrogate pairs replaced. A user who types an emoji may cause one."""
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
"""Half a surrogate pair as an escape, in a text without escaped backslashes."""


def _repair_escapes(text: str, limits: Limits) -> str:
    """Replace escapes of half a surrogate pair by the escape of U+FFFD."""
    halves = text.count("\\ud") + text.count("\\uD")
    if not halves or "\x00" in text:
        return text
    if halves + text.count("\\\\") > limits.message_parts:
        raise ProtocolError("too many escapes around half a surrogate pair")
    # Valid JSON has no raw control characters, so two of them can replace an escaped backslash for a moment.
    return _HALF.sub(r"\\ufffd", text.replace("\\\\", "\x00\x00")).replace("\x00\x00", "\\\\")
