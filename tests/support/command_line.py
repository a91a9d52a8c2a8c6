"""The command line in a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
import tomllib
from pathlib import Path

from tests.support.paths import ROOT


async def command(environ: dict[str, str], *arguments: str, stdin: str = "") -> tuple[int, str, str]:
    """Run `asgi-realtime` with some variables of its own and no others. Returns exit code, output and errors."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "asgi_realtime", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith(_PREFIXES)} | environ,
    )
    output, errors = await process.communicate(stdin.encode())
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


_PREFIXES = ("MEW_", "WS_", "CORS_ORIGIN")


def install_script(folder: Path) -> Path:
    """Write the script `asgi-realtime` as an installer does. Returns its path."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    module, _, function = scripts["asgi-realtime"].partition(":")
    script = folder / "asgi-realtime"
    script.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        f"from {module} import {function}\nsys.exit({function}())\n"
    )
    script.chmod(0o755)
    return script
