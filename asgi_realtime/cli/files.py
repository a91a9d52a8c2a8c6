"""Files that commands write."""

from __future__ import annotations

from pathlib import Path

import click


def write_file(text: str, path: Path) -> None:
    """Write a file, and the directories above it.

    Raises:
        click.ClickException: if the system refuses it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"cannot write {path}: {error.strerror}") from None
