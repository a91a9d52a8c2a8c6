"""Credentials for the load generator's clients: each client is a different user."""

from __future__ import annotations

from pathlib import Path

from asgi_realtime import create_token
from benchmarks.catalogue import BUILD
from benchmarks.systems.own import settings

_EXPIRES_SECONDS = 86_400


def write_tokens(count: int) -> Path:
    """Write one JWT per line, valid for a day."""
    BUILD.mkdir(parents=True, exist_ok=True)
    path = BUILD / "tokens"
    tokens = (create_token(f"user{number}", settings, expires_in=_EXPIRES_SECONDS) for number in range(count))
    path.write_text("".join(f"{token}\n" for token in tokens))
    return path
