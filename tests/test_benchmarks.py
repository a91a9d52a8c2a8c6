"""The figures in README and docs equal those of the stored session."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from benchmarks import plot, report
from benchmarks.catalogue import SYSTEMS
from benchmarks.publish import FIGURES, PAGE, PICTURE, README, overview, with_figures
from benchmarks.results import Results, read


@pytest.fixture(scope="module")
def session() -> Results:
    return read(FIGURES)


def test_pages_show_the_figures_of_the_session(session: Results) -> None:
    for page, figures in ((README, overview(session)), (PAGE, report.markdown(session))):
        text = page.read_text()
        assert text == with_figures(text, figures), f"{page.name}: run python -m benchmarks.publish to write it again"
    assert PICTURE.read_text() == plot.svg(session)


def test_the_session_was_complete_and_no_message_was_lost(session: Results) -> None:
    assert (session.broken, session.missing) == ({}, {})
    assert session.rounds.keys() == {system.name for system in SYSTEMS}
    assert session.count >= 3


def test_a_session_that_is_stored_again_gives_the_same_file(session: Results, tmp_path: Path) -> None:
    stored = FIGURES.read_bytes()
    again = tmp_path / "figures.json"
    session.write(again)
    assert again.read_bytes() == stored
    session = msgspec.structs.replace(session, missing={"a": "no a", "b": "no b"}, broken={"c": "c failed", "d": "d"})
    session.write(again)
    stored = again.read_bytes()
    for field in ("rounds", "missing", "broken"):
        msgspec.structs.replace(session, **{field: dict(reversed(getattr(session, field).items()))}).write(again)
        assert again.read_bytes() == stored, field
    whole = msgspec.structs.replace(session, rounds={"x": [{"messages": 5}]})
    whole.write(again)
    stored = again.read_bytes()
    read(again).write(again)
    assert again.read_bytes() == stored
