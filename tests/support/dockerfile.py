"""Carries out a Dockerfile in a folder, without a container engine: what needs no root and no image."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Instruction(NamedTuple):
    """One line: `RUN`, `COPY` …, and what follows."""

    name: str
    text: str


def instructions(file: Path) -> list[Instruction]:
    """The instructions of a Dockerfile, each of which must be on one line."""
    lines = [line for line in file.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    assert not any(line.endswith("\\") for line in lines)
    return [Instruction(*line.split(" ", 1)) for line in lines]


class Image:
    """What a Dockerfile makes. All of its paths must be below `/srv` or `/build`, which are folders in `root`.

    The stages share `root`, and the image that each begins with is this machine.

    Args:
        root: an empty folder.
        context: where `COPY` finds files.
        environ: the environment of the commands.
    """

    def __init__(self, root: Path, context: Path, environ: Mapping[str, str]) -> None:
        self.environ = dict(environ)
        self.folder = root
        """The working directory."""
        self.command: list[str] = []
        self.health: list[str] = []
        self.user = ""
        self._root = root
        self._context = context

    def build(self, file: Path, *, run: bool = True) -> None:
        """Carry out all instructions. `run`: whether those that run a command too."""
        for name, text in instructions(file):
            match name:
                case "FROM" | "EXPOSE":
                    pass
                case "RUN" if not run:
                    pass
                case "WORKDIR":
                    self.folder = self._root / text.removeprefix("/")
                    self.folder.mkdir(parents=True)
                case "COPY":
                    self._copy(*text.split())
                case "ENV":
                    self._set(text)
                case "RUN":
                    command = self.start(json.loads(text))
                    subprocess.run(command, cwd=self.folder, env=self.environ, check=True, timeout=100)
                case "CMD":
                    self.command = json.loads(text)
                case "HEALTHCHECK":
                    self.health = json.loads(text.partition(" CMD ")[2])
                case "USER":
                    self.user = text
                case _:
                    raise ValueError(f"{name} is not supported here")

    def start(self, command: Sequence[str]) -> list[str]:
        """A command of the image, with paths of this machine."""
        words = [self._here(word) for word in command]
        program = shutil.which(words[0], path=self.environ["PATH"])
        assert program is not None, words[0]
        return [program, *words[1:]]

    def _copy(self, *words: str) -> None:
        if words[0].startswith("--from="):
            assert words[1] == words[2]  # it is there already
            return
        *sources, target = words
        for source in sources:
            found, place = self._context / source, self.folder / target
            if found.is_dir():
                shutil.copytree(found, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(found, place)

    def _set(self, text: str) -> None:
        for pair in shlex.split(text):
            name, _, value = pair.partition("=")
            self.environ[name] = self._here(value).replace("$PATH", self.environ["PATH"])

    def _here(self, text: str) -> str:
        return f"{self._root}{text}" if text.startswith("/srv/") else text
