"""Paths of the files that tests read."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "asgi_realtime"
DOCS: Final = ROOT / "docs"
DEPLOYMENT: Final = ROOT / "examples" / "deployment"
WIRE: Final = ROOT / "tests" / "wire"
