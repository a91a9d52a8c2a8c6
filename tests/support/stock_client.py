"""The stock Socket.IO clients, behind one interface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from asgi_realtime.values.json import Json
from tests.support.node_client import Disconnected, Node, Received
from tests.support.python_client import PythonClient

ClientKind: TypeAlias = Literal[
    "node-polling", "node-websocket", "node-upgrade", "python-polling", "python-websocket", "python-upgrade"
]
CLIENT_KINDS: tuple[ClientKind, ...] = (
    *("node-polling", "node-websocket", "node-upgrade"),
    *("python-polling", "python-websocket", "python-upgrade"),
)
_TRANSPORTS = {"polling": ["polling"], "websocket": ["websocket"], "upgrade": ["polling", "websocket"]}


class StockClient(Protocol):
    """The interface of both stock clients."""

    events: list[Received]
    """Everything received, in order."""
    unread: list[Received]
    """What no `expect` has taken."""

    disconnects: list[Disconnected]
    """Every `disconnect`, in order."""

    @property
    def transport(self) -> str | None:
        """`polling` or `websocket`."""

    async def emit(self, event: str, *args: Json) -> None:
        """Send an event."""

    async def call(self, event: str, *args: Json) -> list[Json]:
        """Send an event and return the values of its acknowledgement."""

    async def expect(self, event: str) -> Received:
        """Wait for an event of this name, and take it."""

    async def next(self) -> Received:
        """Wait for the next event that was not taken yet, and take it."""

    async def disconnection(self) -> str:
        """Wait until it is disconnected, and return the reason."""

    async def disconnect(self) -> None:
        """Disconnect."""


class Connect(Protocol):
    """The type of the `connect` fixture. Raises `ConnectRefused`."""

    async def __call__(
        self, url: str, namespace: str = "/", *, auth: Json = None, headers: Mapping[str, str] | None = None
    ) -> StockClient: ...


async def connect_stock(
    kind: ClientKind, node: Node | None, url: str, namespace: str, auth: Json, headers: Mapping[str, str] | None
) -> StockClient:
    """Connect a client of this kind, and wait for its upgrade if it upgrades. Only npm's clients need `node`."""
    language, _, way = kind.partition("-")
    if language == "python":
        client = PythonClient()
        await client.connect(url, namespace, auth=auth, headers=headers, transports=_TRANSPORTS[way])
        return client
    assert node is not None
    socket = await node.connect(url, namespace, auth=auth, headers=headers, transports=_TRANSPORTS[way])
    if way == "upgrade":
        await socket.upgraded()
    return socket


@dataclass(frozen=True)
class ClientServer:
    """A server, and the kind of client that connects to it."""

    url: str
    kind: ClientKind = "python-upgrade"
    node: Node | None = None
    """The Node process, for npm's clients."""

    async def connect(self, namespace: str = "/", auth: Json = None) -> StockClient:
        """Connect a client."""
        return await connect_stock(self.kind, self.node, self.url, namespace, auth, None)
