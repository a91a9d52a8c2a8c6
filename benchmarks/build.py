"""Compiles the programs in C if their sources are newer."""

from __future__ import annotations

import subprocess
from pathlib import Path

from benchmarks.catalogue import BUILD, HERE

_PROGRAMS = {"load": "load", "limit": "systems/limit.c"}
LOAD = BUILD / "load"


def build() -> None:
    """Compile the programs that are not up to date.

    Raises:
        SystemExit: without a compiler.
    """
    BUILD.mkdir(parents=True, exist_ok=True)
    for name, where in _PROGRAMS.items():
        place, program = HERE / where, BUILD / name
        sources = sorted(place.glob("*.c")) if place.is_dir() else [place]
        headers = place.glob("*.h") if place.is_dir() else ()
        if not program.exists() or program.stat().st_mtime < max(_changed(file) for file in (*sources, *headers)):
            command = ["gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-o", str(program), *map(str, sources)]
            try:
                subprocess.run(command, check=True)
            except FileNotFoundError:
                raise SystemExit("The benchmarks need gcc. On Debian or Ubuntu: sudo apt-get install gcc") from None


def _changed(file: Path) -> float:
    return file.stat().st_mtime
