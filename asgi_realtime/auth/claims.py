"""The claims of a token, in a form that takes little memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from asgi_realtime.values.json import Json

_encode = json.JSONEncoder(separators=(",", ":")).encode


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
