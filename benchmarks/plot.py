"""The plot, as SVG: the cost of one delivery with each system, on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Iterator
from xml.sax.saxutils import escape

from benchmarks.catalogue import SYSTEMS
from benchmarks.results import Results

_WIDTH, _LEFT, _RIGHT, _TOP, _ROW = 940, 350, 90, 74, 24
_LOW, _HIGH = 0.2, 1000.0
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1f2328}.small{font-size:11px;fill:#59636e}"
    ".own{font-weight:600}.grid{stroke:#d1d9e0}.row{stroke:#d1d9e0;stroke-width:2}"
    ".one{fill:#0969da}.many{fill:#fff;stroke:#0969da;stroke-width:2}"
    ".peer .one{fill:#6e7781}.peer .many{stroke:#6e7781}"
)


def _x(value: float) -> float:
    share = math.log(min(max(value, _LOW), _HIGH) / _LOW) / math.log(_HIGH / _LOW)
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def svg(results: Results) -> str:
    """Draw W1 (filled) and W16 (hollow) for each system measured, the cheapest in a busy room first."""
    systems = [
        (system.own, system.name, one, many)
        for system in SYSTEMS
        if (one := results.median(system.name, "W1 total")) and (many := results.median(system.name, "W16 total"))
    ]
    systems.sort(key=lambda system: system[3])
    height = _TOP + _ROW * len(systems) + 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<title>Processor time for each delivered message</title><style>{_STYLE}</style>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="16" y="26" class="own">Processor time of the server for each delivered message, µs '
        f"({results.plan.clients} clients in a room; less is better)</text>",
        '<g><circle class="one" cx="22" cy="46" r="5"/><text x="34" y="50">one broadcast at a time</text>'
        '<circle class="many" cx="202" cy="46" r="5"/><text x="214" y="50">sixteen at a time</text></g>',
        *_axis(height),
        *(_system(row, *system) for row, system in enumerate(systems)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _axis(height: int) -> Iterator[str]:
    for value in (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500):
        x = _x(value)
        yield f'<line class="grid" x1="{x:.1f}" y1="{_TOP - 8}" x2="{x:.1f}" y2="{height - 28}"/>'
        yield f'<text class="small" x="{x:.1f}" y="{height - 12}" text-anchor="middle">{value:g}</text>'


def _system(row: int, own: bool, name: str, one: float, many: float) -> str:
    y = _TOP + _ROW * row + 8
    low, high = sorted((one, many))
    weight = ' class="own"' if own else ""
    return (
        f'<g class="{"own" if own else "peer"}">'
        f'<text{weight} x="{_LEFT - 14}" y="{y + 4}" text-anchor="end">{escape(name)}</text>'
        f'<line class="row" x1="{_x(low):.1f}" y1="{y}" x2="{_x(high):.1f}" y2="{y}"/>'
        f'<circle class="one" cx="{_x(one):.1f}" cy="{y}" r="5"/>'
        f'<circle class="many" cx="{_x(many):.1f}" cy="{y}" r="5"/>'
        f'<text class="small" x="{_x(high) + 10:.1f}" y="{y + 4}">{_number(one)} · {_number(many)}</text></g>'
    )
