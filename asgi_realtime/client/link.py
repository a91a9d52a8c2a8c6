"""One connection of a client, from its opening to its end: what the links of Socket.IO and JSON have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, Protocol, TypeAlias, TypeVar

T = TypeVar("T")

Json: TypeAlias = Any
"""A value of JSON. On Socket.IO it may have `bytes` in it."""
Auth: TypeAlias = str | Mapping[str, Json]
"""A token, or the fields that authenticate the client."""
Given: TypeAlias = T | Callable[[], T | Awaitable[T]]
"""A value, or a function, async or not, that is called before each attempt to connect."""


@dataclass(frozen=True)
class End:
    """How a connection ended. `code` is the WebSocket's close code, and None if there was none."""

    code: int | None
    reason: str
    by_server: bool = False
    """Whether the server asked the client not to come back with the same credentials."""


@dataclass(repr=False)  # it has a secret
class Session:
    """What a client presents to recover: the `id` that it was told, and the `position` of the last event it has got."""

    reference: dict[str, str] | None = None


class Link(Protocol):
    """One connection."""

    async def open(self) -> None:
        """Connect and authenticate.

        Raises:
            NotConnected: the server could not be reached, or failed.
            Refused: the server refused the client.
        """

    async def run(self) -> End:
        """Receive until the connection has ended."""

    async def close(self) -> None:
        """End the connection. Does nothing if it has ended."""


async def given(value: Given[T]) -> T:
    """The value, or what the function returns."""
    if not callable(value):
        return value
    found = value()
    return await found if isawaitable(found) else found


def fields_of(auth: Auth | None, token_name: str) -> dict[str, Json]:
    """The fields of a token, which is called `token_name`, or of what authenticates else."""
    return {} if auth is None else {token_name: auth} if isinstance(auth, str) else dict(auth)


def bearer_header(auth: Auth | None, token_name: str) -> dict[str, str]:
    """The header that has the token. Empty: there is none."""
    token = fields_of(auth, token_name).get(token_name)
    return {} if token is None else {"Authorization": f"Bearer {token}"}
