"""Fail unless the package's version is the newest one in CHANGELOG.md."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def first(pattern: str, file: str) -> str:
    match = re.search(pattern, (ROOT / file).read_text(), re.MULTILINE)
    if match is None:
        sys.exit(f"{file} does not name a version")
    return match[1]


package = first(r'^__version__ = "(.+)"$', "asgi_realtime/__init__.py")
changelog = first(r"^## .*?(\d+\.\d+\.\d+)", "CHANGELOG.md")
if package != changelog:
    sys.exit(f"asgi_realtime/__init__.py says {package}, CHANGELOG.md says {changelog}")
