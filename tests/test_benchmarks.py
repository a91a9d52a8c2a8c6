"""The figures in README and docs equal those of the stored sessions. Some of the benchmarks run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from benchmarks import plot, report
from benchmarks.catalogue import LIMIT, NODE, OWN_JSON, OWN_SOCKETIO, PYTHON_SOCKETIO, SYSTEMS
from benchmarks.cluster import report as cluster_report
from benchmarks.cluster import results as cluster_results
from benchmarks.cluster.systems import JOINED
from benchmarks.plan import FULL
from benchmarks.publish import FIGURES, PAGE, PICTURE, README, overview, with_figures
from benchmarks.recovery import report as recovery_report
from benchmarks.recovery import results as recovery_results
from benchmarks.results import Results, read
from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def session() -> Results:
    return read(FIGURES)


def test_pages_show_the_figures_of_the_session(session: Results) -> None:
    for page, figures in ((README, overview(session)), (PAGE, report.markdown(session))):
        text = page.read_text()
        assert text == with_figures(text, figures), f"{page.name}: run python -m benchmarks.publish to write it again"
    assert PICTURE.read_text() == plot.svg(session)


def test_the_session_was_complete_and_no_message_was_lost(session: Results) -> None:
    everywhere = {system.name for system in SYSTEMS if system.compiled is None}
    assert session.broken == {}
    assert not session.missing.keys() & everywhere
    assert everywhere <= session.rounds.keys() <= {system.name for system in SYSTEMS}
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


def cells_of(printed: str) -> dict[str, dict[str, str]]:
    """The cells of all tables of a session, by the system and the column. Of equal columns, the last."""
    systems: dict[str, dict[str, str]] = {}
    for part in printed.split("\n\n"):
        if part.startswith("| system"):
            head, _, *rows = ([cell.strip() for cell in row.split("|")[1:-1]] for row in part.strip().splitlines())
            for row in rows:
                systems.setdefault(row[0], {}).update(zip(head, row, strict=True))
    return systems


def measured_now(folder: Path, part: str, *systems: str) -> dict[str, dict[str, str]]:
    """Measure a part of the benchmarks for these systems, shortly. Every client checks what it receives."""
    command = [sys.executable, "-m", "benchmarks", "--quick", "--seconds", "0.1", "--clients", "40"]
    command += ["--output", str(folder), "--parts", part, "--only", *systems]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    cells = cells_of(done.stdout)
    assert cells.keys() == set(systems)
    return cells


COMPARED = (LIMIT, NODE, PYTHON_SOCKETIO, *OWN_SOCKETIO, OWN_JSON[0])


def test_every_member_of_a_small_room_receives_its_broadcasts(tmp_path: Path) -> None:
    systems = (LIMIT, NODE, OWN_SOCKETIO[0], OWN_JSON[0])
    cells = measured_now(tmp_path, "rooms", *systems)
    for system in systems:
        assert float(cells[system]["W16 delivery"]) > 0
        assert float(cells[system]["W1, 100"]) > 0


def test_all_kinds_of_messages_arrive_where_they_should(tmp_path: Path) -> None:
    cells = measured_now(tmp_path, "kinds", *COMPARED)
    for system in COMPARED:
        assert float(cells[system]["burst16"]) > 0
        assert float(cells[system]["room W16"]) > 0
        assert float(cells[system]["64 KB"]) > 0
    for system in (NODE, PYTHON_SOCKETIO, *OWN_SOCKETIO, OWN_JSON[0]):
        assert float(cells[system]["`except_` W16"]) > 0
    for system in (*OWN_SOCKETIO, OWN_JSON[0]):
        assert float(cells[system]["volatile burst16"]) > 0
        assert float(cells[system]["user W1"]) > 0
        assert float(cells[system]["connection W16"]) > 0


def test_a_room_is_measured_with_tls_and_without(tmp_path: Path) -> None:
    systems = (NODE, OWN_SOCKETIO[0])
    cells = measured_now(tmp_path, "tls", *systems)
    for system in systems:
        for figure in ("W1", "W16", "inbound", "handshake"):
            for suffix in ("with", "without"):
                assert float(cells[system][f"{figure} {suffix}"]) > 0


def test_pauses_of_the_collector_are_measured_with_each_setting() -> None:
    command = [sys.executable, "-m", "benchmarks.collector", "--clients", "300", "--seconds", "0.1", "--turns", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    rows = [line.strip("|").split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
    assert [row[0].strip() for row in rows] == ["setting", "default", "freeze", "threshold"]
    assert all(float(row[1]) > 0 and float(row[2]) > 0 for row in rows[1:])


def test_levels_that_a_machine_cannot_reach_are_left_out() -> None:
    assert FULL.within(100_000) == FULL
    possible = FULL.within(20_000)
    assert possible.levels == (100, 5_000, 10_000, 19_000)
    assert possible.of_round(0) == possible
    assert possible.of_round(1).levels == (100, 5_000, 10_000)


def test_the_page_on_scaling_shows_the_figures_of_the_stored_session() -> None:
    stored = cluster_results.read(cluster_results.FIGURES)
    assert stored.broken == {}
    assert stored.rounds.keys() | stored.missing.keys() == {system.name for system in JOINED}
    text = cluster_results.PAGE.read_text()
    shown = with_figures(text, cluster_report.markdown(stored), cluster_results.BEGIN)
    assert text == shown, "run python -m benchmarks.cluster --publish"


def test_a_publication_reaches_only_the_processes_with_members_of_its_room() -> None:
    command = [sys.executable, "-m", "benchmarks.cluster", "--quick", "--only", "asgi_realtime, Socket.IO"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    cells: dict[str, str] = {}
    for part in done.stdout.split("\n\n"):
        if part.startswith("| system"):
            head, _, row = part.strip().splitlines()
            cells |= zip(head.split(" | "), row.split(" | "), strict=True)
    assert float(cells["publisher, 16"]) > 0
    assert float(cells["receiver, 3"]) > 0
    assert float(cells["bytes from Redis"]) < 5, "a message has more than 200 bytes"


def test_the_page_on_recovery_shows_the_figures_of_the_stored_session() -> None:
    stored = recovery_results.read(recovery_results.FIGURES)
    assert (stored.broken, stored.missing) == ({}, {})
    text = recovery_results.PAGE.read_text()
    shown = with_figures(text, recovery_report.markdown(stored), recovery_results.BEGIN)
    assert text == shown, "run python -m benchmarks.recovery --publish"


def test_clients_of_the_benchmark_of_recovery_return_with_all_events() -> None:
    command = [sys.executable, "-m", "benchmarks.recovery", "--quick", "--parts", "broadcasts", "returns"]
    command += ["--only", OWN_SOCKETIO[0], "asgi_realtime, one process"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines()]
    broadcasts = [row for row in rows if row[0] == f"| {OWN_SOCKETIO[0]}, room of 100"]
    assert float(broadcasts[0][4]) > 0
    returned = [row for row in rows if row[0] == "| asgi_realtime, one process"]
    assert [[cell.strip(" |") for cell in row if "%" in cell] for row in returned] == [["100%", "0%"]] * 2
