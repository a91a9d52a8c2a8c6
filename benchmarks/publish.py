"""Published figures: the session in `figures.json`, and the tables of README and docs made from it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from benchmarks import plot, report
from benchmarks.catalogue import (
    CENTRIFUGO,
    HERE,
    LIMIT,
    LIMIT_JOINED,
    NODE,
    NODE_WS,
    OWN_JSON,
    OWN_SOCKETIO,
    PYTHON_SOCKETIO,
    SOCKETIOXIDE,
)
from benchmarks.results import Results, read
from benchmarks.tables import table

FIGURES = HERE / "figures.json"
README = HERE.parent / "README.md"
PAGE = HERE.parent / "docs/explanation/performance.md"
PICTURE = HERE.parent / "docs/images/performance.svg"
BEGIN, END = "<!-- figures: written by `PUBLISH=1 make bench` -->", "<!-- end of figures -->"

_ROWS = (
    (LIMIT, "C, one `send()` per delivery (the limit set by the kernel)"),
    (LIMIT_JOINED, "C, pending frames joined"),
    (OWN_SOCKETIO[0], "**asgi_realtime**, Socket.IO, `WebSocketProtocol`"),
    (OWN_JSON[0], "**asgi_realtime**, JSON WebSocket, `WebSocketProtocol`"),
    (OWN_SOCKETIO[1], "**asgi_realtime**, Socket.IO, stock uvicorn"),
    (OWN_JSON[1], "**asgi_realtime**, JSON WebSocket, stock uvicorn"),
    (NODE_WS, "Node `ws`, framed once"),
    (SOCKETIOXIDE, "socketioxide (Rust)"),
    (CENTRIFUGO, "Centrifugo (Go)"),
    (NODE, "Node socket.io"),
    ("Starlette, a loop of send_text", "Starlette, a loop of `send_text`"),
    (PYTHON_SOCKETIO, "python-socketio"),
    ("Django Channels, in-memory layer", "Django Channels"),
)
_COLUMNS = (
    ("one", "W1 total"),
    ("outside the kernel", "W1 user"),
    ("sixteen", "W16 total"),
    ("p99, ms", "paced p99"),
    ("event", "inbound total"),
    ("handshake", "handshake total"),
    ("KB", "KB per connection at {clients}"),
)


def overview(results: Results) -> str:
    """The table of the README."""
    return table(("system", *(name for name, _ in _COLUMNS)), _rows(results)) + "\n"


def _rows(results: Results) -> Iterator[list[str]]:
    for system, label in _ROWS:
        if results.rounds.get(system):
            figures = (figure.format(clients=results.plan.clients) for _, figure in _COLUMNS)
            yield [label, *(_short(results.median(system, figure)) for figure in figures)]


def _short(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 10 else f"{value:.0f}"


def with_figures(page: str, figures: str, begin: str = BEGIN) -> str:
    """The page with these figures between its marks, or at its end."""
    before, _, rest = page.partition(begin)
    return f"{before}{begin}\n\n{figures}\n{END}{rest.partition(END)[2]}"


def publish(results: Results) -> None:
    """Keep a session, and write its figures into README and docs."""
    results.write(FIGURES)
    for page, figures in ((README, overview(results)), (PAGE, report.markdown(results))):
        page.write_text(with_figures(page.read_text(), figures))
    PICTURE.write_text(plot.svg(results))


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m benchmarks.publish", description=__doc__).parse_args()
    publish(read(FIGURES))
