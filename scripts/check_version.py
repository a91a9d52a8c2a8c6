"""Fail unless the versions of the package, of the npm package and at the top of CHANGELOG.md are equal."""

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
for pattern, file in (
    (r"^## .*?(\d+\.\d+\.\d+)", "CHANGELOG.md"),
    (r'^  "version": "(.+)",$', "clients/typescript/package.json"),
):
    if (other := first(pattern, file)) != package:
        sys.exit(f"asgi_realtime/__init__.py says {package}, {file} says {other}")
