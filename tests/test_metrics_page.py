"""docs/metrics.md lists every metric of the code with its labels, and its statements hold."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from starlette.applications import Starlette

from asgi_realtime import Connection, Forbidden, RealtimeMiddleware, Settings, SocketIOGateway, WebSocketGateway
from asgi_realtime.testing import ConnectionRefused, RealtimeTestClient
from tests.support.paths import DOCS, PACKAGE

KINDS = {"count": "counter", "gauge": "gauge"}
ROWS = re.findall(
    r"^\| `(\w+)` \| (counter|gauge) \| (.*?) ?\| .+ \|$",
    (DOCS / "metrics.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)
DOCUMENTED = {(name, kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in ROWS}


def counted() -> Iterator[tuple[str, str, frozenset[str]]]:
    """The metrics of the code: every call of a method of an object that is called metrics."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in KINDS):
                continue
            owner = node.func.value
            if not (owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")).endswith("metrics"):
                continue
            name = node.args[0]
            assert isinstance(name, ast.Constant) and isinstance(name.value, str), (
                f"{path}: the name of a metric is written where it is counted"
            )
            labels = frozenset(str(keyword.arg) for keyword in node.keywords)
            yield name.value, KINDS[node.func.attr], labels


def test_the_page_names_every_metric_with_its_labels() -> None:
    assert len(ROWS) == len(DOCUMENTED)
    assert set(counted()) == DOCUMENTED


class Recorded:
    """Metrics of a host that record everything."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, dict[str, str]]] = []
        self.totals: dict[str, float] = {}

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        self.calls.append((name, "counter", labels))
        key = self._key(name, labels)
        self.totals[key] = self.totals.get(key, 0) + amount

    def gauge(self, name: str, value: float, **labels: str) -> None:
        self.calls.append((name, "gauge", labels))
        self.totals[self._key(name, labels)] = value

    @staticmethod
    def _key(name: str, labels: dict[str, str]) -> str:
        return " ".join((name, *map(labels.__getitem__, sorted(labels))))


class Office(SocketIOGateway):
    async def on_connect(self, connection: Connection) -> None:
        if connection.identity.user_id == "mallory":
            raise Forbidden("not you")
        if connection.identity.user_id == "bug":
            raise LookupError("of the host")


async def test_every_metric_of_the_page_is_counted() -> None:
    metrics = Recorded()
    settings = Settings(jwt_secret="a secret of at least thirty-two bytes", presence_grace=0)
    gateways = [Office(), WebSocketGateway("/ticker")]
    app = RealtimeMiddleware(Starlette(), gateways=gateways, settings=settings, metrics=metrics)
    async with RealtimeTestClient(app) as client:
        for user in ("mallory", "bug"):
            try:
                async with client.connect("/", token=client.token(user)):
                    raise AssertionError("accepted")
            except ConnectionRefused:
                pass
        async with client.connect("/", token=client.token("ann"), transport="polling"):
            async with client.connect("/ticker", token=client.token("ann")) as ticker:
                assert metrics.totals["connections /"] == metrics.totals["connections /ticker"] == 1
                await client.broadcaster.disconnect_user("ann", gateway="/ticker")
                await ticker.expect_closed()
            await client.settle()
    assert {(name, kind, frozenset(labels)) for name, kind, labels in metrics.calls} <= DOCUMENTED
    assert all(type(value) is str for _, _, labels in metrics.calls for value in labels.values())
    assert {name: total for name, total in metrics.totals.items() if not name.startswith("subscription")} == {
        "connections /": 0,
        "connections /ticker": 0,
        "refused_connections_total /": 2,
        "closed_total / client disconnect": 1,
        "closed_total /ticker forced close": 1,
        "engineio_sessions": 0,
        "engineio_sessions_opened_total websocket": 2,
        "engineio_sessions_opened_total polling": 1,
        "engineio_sessions_closed_total client close": 1,
        "engineio_sessions_closed_total transport close": 2,
    }
