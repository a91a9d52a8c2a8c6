"""The claims of a token, kept small."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from asgi_realtime.values.json import Json

_encode = json.JSONEncoder(separators=(",", ":")).encode


class Claims(Mapping[str, Json]):
    """What a verified token says. Read only.

    Every connection keeps its claims, and few are ever asked for them: so they are kept as JSON, in a
    third of the memory, and decoded each time. Whoever needs many of them often makes a `dict` of it.
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
