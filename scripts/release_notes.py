"""Print the release notes of this version: its part of CHANGELOG.md. Fail if there is none, or if it is unreleased."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def release_notes(changelog: str, version: str) -> str:
    """The part of a changelog about a version, without its heading.

    Raises:
        ValueError: there is none, or its heading says that it is unreleased.
    """
    found = re.search(
        rf"^## ([^\n]*(?<![\d.]){re.escape(version)}(?![\d.])[^\n]*)\n(.*?)(?=^## |\Z)",
        changelog,
        re.DOTALL | re.MULTILINE,
    )
    if found is None:
        raise ValueError(f"CHANGELOG.md has no part about {version}")
    heading, text = found.groups()
    if "unreleased" in heading.lower():
        raise ValueError(f"CHANGELOG.md says “{heading}”: write the date instead")
    return f"{text.strip()}\n"


if __name__ == "__main__":
    version = re.search(r'^__version__ = "(.+)"$', (ROOT / "asgi_realtime/__init__.py").read_text(), re.MULTILINE)
    assert version is not None
    try:
        print(release_notes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version[1]), end="")
    except ValueError as error:
        sys.exit(str(error))
