"""The table of rows: what it refuses, and what a step must show."""

from __future__ import annotations

import re

import pytest

from tests.cluster.rows import Case, Table, across_nodes, by_tests, cases, one_connection, problems, rows_of


class Nodes:
    """Clients that have received these events."""

    def __init__(self, **received: set[str]) -> None:
        self._received = received

    def received_on(self, event: str) -> set[str]:
        return self._received.get(event, set())


async def step(nodes: Nodes) -> None:
    """The clients have received everything already."""


def table_of(section: str) -> dict[str, dict[str, object]]:
    """Every row of a section, as one that concerns one connection."""
    found: dict[str, dict[str, object]] = {}
    for row in rows_of(section):
        found.setdefault(row.heading, {})[row.rule] = one_connection("for this test")
    return found


@pytest.mark.parametrize("section", ["Common to all", "Mew", "Events", "Chat", "Jobs"])
def test_a_table_with_every_row_has_no_problem(section: str) -> None:
    table: Table = table_of(section)  # type: ignore[assignment]
    assert problems(section, table) == []


def test_forgotten_doubled_and_unknown_rows_are_problems() -> None:
    table = table_of("Mew")
    down = table["the server sends"]
    forgotten = next(rule for rule in down if rule.startswith("`MEMBER_JOIN`"))
    del down[forgotten]
    down["`MEMBER_LEAVE`"] = one_connection("a second entry")
    down["`NO_SUCH_EVENT`"] = one_connection("no row")
    down["`ready`"] = by_tests()
    table["a client sends"] = {"`message/create`": across_nodes()}
    found = "\n".join(problems("Mew", table))  # type: ignore[arg-type]
    assert "`MEMBER_JOIN`: to the server: 0 entries" in found
    assert "`MEMBER_LEAVE`: to the remaining members: 2 entries" in found
    assert "`NO_SUCH_EVENT`: 0 rows" in found
    assert re.search(r"`ready`.*: no test", found)
    assert re.search(r"`message/create`.*: no step", found)


async def test_a_step_must_show_each_event_on_another_node_than_its_cause() -> None:
    [param] = cases("Mew", {"a client sends": {"`message/create`": across_nodes(step, events=("MESSAGE_CREATE",))}})
    case = param.values[0]
    assert isinstance(case, Case)
    await case.run(Nodes(MESSAGE_CREATE={"second", "third"}))
    with pytest.raises(AssertionError, match="MESSAGE_CREATE"):
        await case.run(Nodes(MESSAGE_CREATE={"second"}))
    [param] = cases("Mew", {"the server sends": {"`MESSAGE_REACTION_ADD`": across_nodes(step)}})
    case = param.values[0]
    await case.run(Nodes(MESSAGE_REACTION_ADD={"third"}, MESSAGE_REACTION_REMOVE={"third"}))
    with pytest.raises(AssertionError, match="MESSAGE_REACTION_REMOVE"):
        await case.run(Nodes(MESSAGE_REACTION_ADD={"third"}))
