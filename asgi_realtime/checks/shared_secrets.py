"""Secrets that others know or can guess."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from asgi_realtime.checks.configuration import Configuration
from asgi_realtime.checks.problem import Problem
from asgi_realtime.settings import MINIMUM_TOKEN_BYTES
from asgi_realtime.variables import variable

_PLACEHOLDERS: Final = (
    *("a secret of at least thirty-two bytes", "your-256-bit-secret", "your-secret", "your_secret", "your secret"),
    *("string-secret-at-least-256-bits-long", "changeme", "change-me", "change_me", "change this", "replace-me"),
    *("replace_me", "insecure", "example", "placeholder"),
)
"""Parts of secrets that documentation and templates show: this package's README, jwt.io, Django, compose files."""
_FEW: Final = 8
"""Fewer different characters than this are a pattern, such as `0000…` or `abcabc…`."""
_NEW: Final = 'make one with: python -c "import secrets; print(secrets.token_urlsafe(48))"'


def check_secrets(configuration: Configuration) -> Iterator[Problem]:
    """Check the secrets in production. `Settings` has checked the length of most of them."""
    if not configuration.production:
        return
    settings = configuration.settings
    for field in ("jwt_secret", "admin_secret", "console_secret", "ws_auth_token"):
        name, secret = variable(field), getattr(settings, field)
        if not secret:
            continue
        if any(each in secret.lower() for each in _PLACEHOLDERS):
            yield Problem(name, f"{name} contains a text that documentation and templates use, so it is known; {_NEW}")
        elif len(set(secret)) < _FEW:
            yield Problem(name, f"{name} has fewer than {_FEW} different characters and can be guessed; {_NEW}")
        elif field == "admin_secret" and len(secret.encode()) < MINIMUM_TOKEN_BYTES:
            yield Problem(name, f"{name} has fewer than {MINIMUM_TOKEN_BYTES} bytes and can be guessed; {_NEW}")
