"""The release notes are the changelog's part about the version."""

from __future__ import annotations

import pytest

import asgi_realtime
from scripts.release_notes import release_notes
from tests.support.paths import ROOT

CHANGELOG = """# Changelog

## 1.10.0, 3 May 2027

- ten

## 1.1.0, 2 May 2027

- eleven

### Fixed

- twelve
"""


def test_the_part_about_a_version_is_printed_without_its_heading() -> None:
    assert release_notes(CHANGELOG, "1.10.0") == "- ten\n"
    assert release_notes(CHANGELOG, "1.1.0") == "- eleven\n\n### Fixed\n\n- twelve\n"


@pytest.mark.parametrize("version", ["1.1", "10.0", "2.0.0"])
def test_another_version_is_refused(version: str) -> None:
    with pytest.raises(ValueError, match="has no part about"):
        release_notes(CHANGELOG, version)


def test_a_version_that_is_not_released_is_refused() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## Unreleased" in changelog
    with pytest.raises(ValueError, match="write the date instead"):
        release_notes(changelog, asgi_realtime.__version__)
