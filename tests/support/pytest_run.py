"""Runs of pytest in a process of their own, with the plugin of this package."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from tests.support.paths import ROOT

_PYTEST_ASYNCIO = "pytest-asyncio>=1.3,<2"
_COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped|warnings?)")


@dataclass(frozen=True)
class PytestRun:
    """What a run said."""

    text: str

    @property
    def counts(self) -> dict[str, int]:
        """How many tests had each outcome: `passed`, `failed`, `error`, `skipped`, `warning`."""
        last = self.text.strip().splitlines()[-1]
        return {kind.rstrip("s") if kind != "passed" else kind: int(count) for count, kind in _COUNT.findall(last)}


def run_pytest(
    folder: Path,
    files: Mapping[str, str],
    *arguments: str,
    pytest_asyncio: bool = False,
    python_path: Sequence[Path] = (ROOT,),
    environ: Mapping[str, str] | None = None,
) -> PytestRun:
    """Write the files into the folder and run their tests.

    Warnings are errors. With `pytest_asyncio`, its newest release is there too, and pytest loads it by itself.
    """
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    paths = [*python_path, *([_pytest_asyncio()] if pytest_asyncio else [])]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MEW_", "PYTEST_"))}
    options = ["-p", "no:cacheprovider", "-W", "error"]
    if ROOT in paths and not entry_points(group="pytest11", name="asgi_realtime"):
        options += ["-p", "asgi_realtime.pytest_plugin"]  # the environment was made before there was a plugin
    if pytest_asyncio:
        options += ["-o", "asyncio_default_fixture_loop_scope=function"]  # unset is deprecated
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--rootdir", str(folder), *options, *arguments],
        cwd=folder,
        env={**inherited, **(environ or {}), "PYTHONPATH": os.pathsep.join(map(str, paths))},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    return PytestRun(finished.stdout + finished.stderr)


def _pytest_asyncio() -> Path:
    """A folder with pytest-asyncio. It is not in the environment of these tests, where it would load itself."""
    tag = f"{sys.implementation.name}-{sys.version_info.major}.{sys.version_info.minor}"
    folder = ROOT / ".cache" / "pytest-asyncio" / tag
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=folder.parent))
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps"]
        subprocess.run([*pip, "--target", str(made), _PYTEST_ASYNCIO], check=True)
        try:
            made.rename(folder)
        except OSError:  # another process of the tests was first
            if not folder.exists():
                raise
    return folder
