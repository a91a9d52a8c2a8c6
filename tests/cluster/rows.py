"""The rows of docs/reference/protocols.md. Each is seen across nodes, or says why it concerns one connection only.

For each section of the page a test file has a table, by the headings of the page's tables and the beginnings of their
rows:

    ROWS: Table = {
        "the server sends": {
            "`SERVER_UPDATE`": across_nodes(a_server_is_renamed),
            "`PRESENCE_UPDATE`": (across_nodes(a_user_comes_online, nodes=2), by_tests(test_a_node_that_dies)),
            "`error`": one_connection("the answer to an event of the same client"),
        },
    }

    def test_every_row_is_in_the_table() -> None:
        assert problems("Mew", ROWS) == []

    @pytest.mark.parametrize("case", cases("Mew", ROWS))
    async def test_a_row_holds_across_nodes(case: Case, it: MewOnNodes) -> None:
        await case.run(it)

A step runs with the host on a node that serves no clients, and clients on two other nodes. `test_mew_rows.py` shows
the fixtures that keep nodes and clients for all steps of a module.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import pytest

from tests.support.paths import DOCS

BY_CLIENTS = "a client sends"
"""The heading of the rows whose effects a client causes."""


class Nodes(Protocol):
    """The object that a step receives: the host and clients on several nodes."""

    def received_on(self, event: str) -> set[str]:
        """The nodes whose clients have received an event of this name since the step began."""


Step: TypeAlias = Callable[[Any], Awaitable[None]]


@dataclass(frozen=True)
class AcrossNodes:
    """The row is shown by each of these steps: clients receive these events."""

    steps: tuple[Step, ...]
    events: tuple[str, ...]
    """Empty: the events that the row names."""
    nodes: int | None
    """How many nodes have clients that receive each event. None: two if a client causes the event, else one."""


@dataclass(frozen=True)
class ByTests:
    """The row is shown by tests that do not use steps."""

    tests: tuple[Callable[..., Any], ...]


@dataclass(frozen=True)
class OneConnection:
    """The row has no effect on another connection."""

    reason: str


Entry: TypeAlias = AcrossNodes | ByTests | OneConnection
Table: TypeAlias = Mapping[str, Mapping[str, Entry | tuple[Entry, ...]]]
"""By the heading of a table of the page, then by the beginning of a row: how the row is shown."""


def across_nodes(*steps: Step, events: tuple[str, ...] = (), nodes: int | None = None) -> AcrossNodes:
    """The row is shown by steps. `events` are those by which clients see it, if the row does not name them."""
    return AcrossNodes(steps, events, nodes)


def by_tests(*tests: Callable[..., Any]) -> ByTests:
    """The row is shown by these tests of several nodes, which prepare nodes and clients themselves."""
    return ByTests(tests)


def one_connection(reason: str) -> OneConnection:
    """The row concerns one connection only, for this reason."""
    return OneConnection(reason)


@dataclass(frozen=True)
class Row:
    """A row of the page."""

    heading: str
    """Of its table, such as `the server sends`."""
    rule: str
    """Its first cell."""

    @property
    def events(self) -> tuple[str, ...]:
        """The names that the row begins with."""
        start = re.match(r"(?:`[^`]+`,? ?)*", self.rule)
        return tuple(re.findall(r"`([^`]+)`", start[0])) if start else ()


def rows_of(section: str) -> list[Row]:
    """The rows of a section of docs/reference/protocols.md, such as `Mew`."""
    page = DOCS.joinpath("reference/protocols.md").read_text(encoding="utf-8")
    found = re.search(rf"^## (?:\d\. )?{section}\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
    assert found is not None, f"docs/reference/protocols.md has no section {section!r}"
    rows, heading = [], ""
    for first, rest in re.findall(r"^\| (.+?) \| (.+) \|$", found[1], re.MULTILINE):
        if rest == "tests":
            heading = first
        else:
            rows.append(Row(heading, first))
    assert rows, f"the section {section!r} has no row"
    return rows


def problems(section: str, table: Table) -> list[str]:
    """The rows that are not in the table, or more than once, and the entries that are of no row."""
    rows = rows_of(section)
    wrong = []
    for row in rows:
        starts = [start for start in table.get(row.heading, {}) if row.rule.startswith(start)]
        if len(starts) != 1:
            wrong.append(f"{row.heading}: {row.rule}: {len(starts)} entries")
        for entry in _entries(row, table):
            if isinstance(entry, AcrossNodes) and not (entry.steps and (entry.events or row.events)):
                wrong.append(f"{row.heading}: {row.rule}: no step, or no event by which it is seen")
            elif isinstance(entry, ByTests) and not entry.tests:
                wrong.append(f"{row.heading}: {row.rule}: no test")
    for heading, entries in table.items():
        for start in entries:
            matching = [row for row in rows if row.heading == heading and row.rule.startswith(start)]
            if len(matching) != 1:
                wrong.append(f"{heading}: {start}: {len(matching)} rows")
    return wrong


@dataclass(frozen=True)
class Case:
    """One step, and on how many nodes clients must have received which events."""

    step: Step
    expected: Mapping[str, int]

    async def run(self, it: Nodes) -> None:
        """Run the step. Fail if an event that it must show has not crossed from one node to another."""
        await self.step(it)
        for event, nodes in self.expected.items():
            assert len(it.received_on(event)) >= nodes, f"{event} was received on {it.received_on(event)}"


def cases(section: str, table: Table) -> list[Any]:
    """Each step of the table once, as a parameter of pytest."""
    expected: dict[Step, dict[str, int]] = {}
    for row in rows_of(section):
        for entry in _entries(row, table):
            if isinstance(entry, AcrossNodes):
                nodes = entry.nodes or (2 if row.heading == BY_CLIENTS else 1)
                for step in entry.steps:
                    of_step = expected.setdefault(step, {})
                    for event in entry.events or row.events:
                        of_step[event] = max(nodes, of_step.get(event, 0))
    return [pytest.param(Case(step, events), id=_name(step)) for step, events in expected.items()]


def _name(step: Step) -> str:
    name: str = getattr(step, "__name__", str(step))
    return name.removeprefix("test_")


def _entries(row: Row, table: Table) -> list[Entry]:
    found: list[Entry] = []
    for start, entries in table.get(row.heading, {}).items():
        if row.rule.startswith(start):
            found += entries if isinstance(entries, tuple) else [entries]
    return found
