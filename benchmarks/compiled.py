"""Peers that are compiled from their sources at first use, if this machine has their compiler."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_HERE = Path(__file__).parent
_CACHE = _HERE.parent / ".cache"


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """A program that is compiled at first use, and again if one of its `sources` is newer.

    `compiler` is the name of the compiler, `command` runs it, with `variables` added to its environment.
    """

    name: str
    version: str
    compiler: str
    command: tuple[str, ...]
    program: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[Path, ...] = ()

    def missing(self) -> str | None:
        """Compile the program if that has not been done. Returns why it cannot run, or None."""
        if self._is_current():
            return None
        if shutil.which(self.command[0]) is None:
            return f"{self.compiler} is not installed, which compiles it"
        print(f"{self.name} {self.version} is being compiled. This takes some minutes, once.", file=sys.stderr)
        environment = {**os.environ, **self.variables}
        done = subprocess.run(self.command, env=environment, capture_output=True, text=True)
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"]
            return f"{self.compiler} could not compile it: {said[-1]}"
        return None

    def _is_current(self) -> bool:
        if not self.program.exists():
            return False
        compiled = self.program.stat().st_mtime
        return all(source.stat().st_mtime <= compiled for source in self.sources)


_RUST = _HERE / "rust"
_RUST_MANIFEST = _RUST / "Cargo.toml"
_RUST_TARGET = _CACHE / "rust"

SOCKETIOXIDE = Compiled(
    name="socketioxide",
    version=tomllib.loads(_RUST_MANIFEST.read_text())["dependencies"]["socketioxide"].removeprefix("="),
    compiler="Cargo",
    command=("cargo", "build", "--release", "--locked", "--manifest-path", str(_RUST_MANIFEST)),
    program=_RUST_TARGET / "release" / "socketioxide",
    variables={"CARGO_TARGET_DIR": str(_RUST_TARGET)},
    sources=(_RUST_MANIFEST, _RUST / "Cargo.lock", _RUST / "src" / "main.rs"),
)

_CENTRIFUGO_VERSION = "6.9.1"
_CENTRIFUGO_FOLDER = _CACHE / f"centrifugo-v{_CENTRIFUGO_VERSION}"

CENTRIFUGO = Compiled(
    name="Centrifugo",
    version=_CENTRIFUGO_VERSION,
    compiler="Go",
    command=("go", "install", f"github.com/centrifugal/centrifugo/v6@v{_CENTRIFUGO_VERSION}"),
    program=_CENTRIFUGO_FOLDER / "centrifugo",
    variables={"GOBIN": str(_CENTRIFUGO_FOLDER)},
)
