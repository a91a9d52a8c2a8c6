"""The claims of a token, in a form that takes little memory."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping

from asgi_realtime.values.json import Json

_encode = json.JSONEncoder(separators=(",", ":")).encode
_UNUSUAL_ID = re.compile(rb'"jti":[^"0-9]')
"""An id whose text in JSON may differ from `str` of it, such as a list."""


class Claims(Mapping[str, Json]):
    """The claims of a verified token, as a read-only mapping.

    Every connection keeps its claims, but few are ever read. So they are kept as JSON, which takes a third of the
    memory, and decoded on every access. Convert them to a `dict` if you read several claims.
    """

    __slots__ = ("_json",)

    def __init__(self, claims: Mapping[str, Json]) -> None:
        self._json = _encode(claims).encode()

    def _read(self) -> dict[str, Json]:
        claims: dict[str, Json] = json.loads(self._json)
        return claims

    def __getitem__(self, name: str) -> Json:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __repr__(self) -> str:
        return repr(self._read())

    def may_contain(self, text: bytes) -> bool:
        """Whether the JSON contains a text, or an id of a token that may be that text. Nothing is decoded."""
        return text in self._json or _UNUSUAL_ID.search(self._json) is not None


def may_have_token_id(jti: str) -> Callable[[Mapping[str, Json]], bool]:
    """A fast test of many claims. False: their `jti`, as text, is not this one. True: it may be."""
    text = _encode(jti)[1:-1].encode()
    return lambda claims: not isinstance(claims, Claims) or claims.may_contain(text)
