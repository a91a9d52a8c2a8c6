"""Peers whose programs are compiled are measured if their compiler is installed, and are named if it is not."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.__main__ import session
from benchmarks.catalogue import SYSTEMS
from benchmarks.compiled import Compiled
from benchmarks.plan import QUICK


def test_a_session_names_the_systems_whose_compiler_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    systems = [
        dataclasses.replace(system, compiled=dataclasses.replace(system.compiled, program=tmp_path / "none"))
        for system in SYSTEMS
        if system.compiled is not None
    ]
    results = session(QUICK, systems, ["room"], seed=1)
    assert results.rounds == {}
    tables, printed = report.markdown(results), capsys.readouterr().err
    assert {system.compiled.compiler for system in systems if system.compiled} == {"Cargo", "Go"}
    for system in systems:
        assert system.compiled is not None
        why = f"{system.name}: {system.compiled.compiler} is not installed, which compiles it"
        assert why in tables
        assert f"not measured: {why}\n" in printed


def copied(folder: Path, command: str) -> Compiled:
    """A program that a shell "compiles" from one source."""
    source = folder / "source"
    source.write_text("one")
    return Compiled(
        name="peer",
        version="1.0",
        compiler="The shell",
        command=("sh", "-c", command),
        program=folder / "program",
        variables={"SOURCE": str(source), "PROGRAM": str(folder / "program")},
        sources=(source,),
    )


def test_a_program_is_compiled_once_and_again_when_its_source_is_newer(tmp_path: Path) -> None:
    peer = copied(tmp_path, 'cat "$SOURCE" >> "$PROGRAM"')
    assert peer.missing() is None
    assert peer.missing() is None
    assert peer.program.read_text() == "one"
    newer = peer.program.stat().st_mtime + 1
    peer.sources[0].write_text("two")
    os.utime(peer.sources[0], (newer, newer))
    assert peer.missing() is None
    assert peer.program.read_text() == "onetwo"


def test_the_last_line_of_a_compiler_that_fails_is_the_reason(tmp_path: Path) -> None:
    peer = copied(tmp_path, "echo working; echo 'first line' >&2; echo 'no such crate' >&2; exit 101")
    assert peer.missing() == "The shell could not compile it: no such crate"
    silent = dataclasses.replace(peer, command=(sys.executable, "-c", "raise SystemExit(3)"))
    assert silent.missing() == "The shell could not compile it: it ended with code 3"
