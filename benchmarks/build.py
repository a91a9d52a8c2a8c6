"""Compiles the programs in C if their sources are newer."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.catalogue import BUILD, HERE

_GCC = ("gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra")


@dataclass(frozen=True, kw_only=True)
class _Program:
    """A program in C: all files of a folder but those that are `left_out`, and `libraries` for the linker."""

    path: Path
    folder: str
    left_out: Sequence[str] = ()
    libraries: Sequence[str] = ()

    def compile(self) -> None:
        """Compile it if it is not up to date."""
        sources = [file for file in sorted((HERE / self.folder).glob("*.c")) if file.name not in self.left_out]
        headers = (HERE / self.folder).glob("*.h")
        if self.path.exists() and self.path.stat().st_mtime >= max(map(_changed, (*sources, *headers))):
            return
        # Another session may be running the program. It keeps the old file.
        made = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        subprocess.run([*_GCC, "-o", str(made), *map(str, sources), *self.libraries], check=True)
        made.replace(self.path)


LOAD = BUILD / "load"
LOAD_TLS = BUILD / "load-tls"
_LIMIT = _Program(path=BUILD / "limit", folder="systems")
_LOAD = _Program(path=LOAD, folder="load", left_out=("tls.c",))
_LOAD_TLS = _Program(path=LOAD_TLS, folder="load", left_out=("plain.c",), libraries=("-lssl", "-lcrypto"))


def build() -> None:
    """Compile the programs that are not up to date. That for TLS is left out without OpenSSL's headers.

    Raises:
        SystemExit: without a compiler.
    """
    BUILD.mkdir(parents=True, exist_ok=True)
    try:
        for program in (_LIMIT, _LOAD, *([_LOAD_TLS] if has_openssl_headers() else [])):
            program.compile()
    except FileNotFoundError:
        raise SystemExit("The benchmarks need gcc. On Debian or Ubuntu: sudo apt-get install gcc") from None


def has_openssl_headers() -> bool:
    """Whether programs that use OpenSSL can be compiled."""
    command = [*_GCC, "-fsyntax-only", "-x", "c", "-"]
    return subprocess.run(command, input=b"#include <openssl/ssl.h>\n", stderr=subprocess.DEVNULL).returncode == 0


def _changed(file: Path) -> float:
    return file.stat().st_mtime
