"""What the authenticator makes of a session: until when the identity is valid, and from when on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.django_server import run

ENGINES = {"db": 60, "cached_db": 60, "cache": 1000, "file": 1000}
"""Seconds until the identity expires. Only sessions in the database have a date that is known."""


def printed(folder: Path, call: str) -> Any:
    """What a program of `identities` prints."""
    output = run(folder, "shell", "--command", f"from tests.support.django_project import identities as i; i.{call}")
    return json.loads(output.splitlines()[-1])


def test_it_expires_with_the_session(folder: Path) -> None:
    found = printed(folder, f"print_expiries{tuple(ENGINES)}")
    for engine, seconds in ENGINES.items():
        stored, dated = found[engine]
        assert seconds - 20 < stored <= seconds, engine
        assert 10 < dated <= 30, engine


def test_a_user_who_is_revoked_while_the_session_is_read_is_refused(folder: Path) -> None:
    """A revocation is for what was issued before it."""
    assert printed(folder, "print_whether_issued_before_the_user_is_read()") is True


@pytest.mark.parametrize(
    ("name", "refusal"), [("x-forwarded-host", None), ("x_forwarded_host", "the host is not in ALLOWED_HOSTS")]
)
def test_a_header_with_an_underscore_is_not_that_of_the_proxy(folder: Path, name: str, refusal: str | None) -> None:
    assert printed(folder, f"print_refusal_of_a_forwarded_host({name!r})") == refusal
