"""Runs all checks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

from asgi_realtime.checks.configuration import Configuration, read_configuration
from asgi_realtime.checks.limit_pairs import check_limits
from asgi_realtime.checks.machine import check_open_files, check_versions, open_files
from asgi_realtime.checks.origins import check_origins
from asgi_realtime.checks.problem import Check, Problem
from asgi_realtime.checks.published_keys import check_published_keys
from asgi_realtime.checks.shared_secrets import check_secrets

Progress = Callable[[str], contextlib.AbstractContextManager[None]]
"""Called with the name of each step that uses the network, and entered while it runs."""


def _no_progress(step: str) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()


async def run_checks(
    environ: Mapping[str, str],
    *,
    production: bool | None = None,
    needs_jwt_key: bool = True,
    connections: int | None = None,
    timeout: float = 5.0,
    progress: Progress = _no_progress,
) -> list[Check]:
    """Run all checks, and return each with its problems. Nothing is changed, and no secret is in a text.

    Args:
        environ: the environment of the app.
        production: whether what is allowed in development only is a problem. None: unless `MEW_DEV` is on.
        needs_jwt_key: False if every gateway has an authenticator of its own.
        connections: how many clients one process must be able to serve. None: `MEW_SESSIONS`, if it is set.
        timeout: seconds that each step may take which uses the network.
        progress: see `Progress`.
    """
    configuration = read_configuration(environ, production=production, needs_jwt_key=needs_jwt_key)
    settings = configuration.settings
    limit = open_files()
    checks = [
        Check("variables", _described(configuration), configuration.problems),
        _check("secrets", "no known and no short ones", check_secrets(configuration)),
        _check("origins", ", ".join(settings.cors_origins) or "same origin only", check_origins(configuration)),
        _check("limits", "no contradiction", check_limits(configuration)),
        _check(
            "open files",
            "no limit" if limit is None else f"at most {limit}",
            check_open_files(configuration, connections),
        ),
        _check("packages", "new enough", check_versions()),
    ]
    if settings.jwks_url:
        with progress(f"fetching the keys of MEW_JWKS_URL, at most {min(timeout, settings.jwks_timeout):g} s"):
            checks.append(await check_published_keys(configuration, timeout=timeout))
    if settings.redis_url:
        # Imported here: an application without Redis does not load its client.
        from asgi_realtime.checks.redis_server import check_redis

        with progress(f"asking the Redis of MEW_REDIS_URL, at most {timeout:g} s"):
            checks.append(await check_redis(settings, timeout=timeout))
    return checks


def _described(configuration: Configuration) -> str:
    known = sum(name.startswith(("MEW_", "WS_", "CORS_ORIGIN")) for name in configuration.given)
    return f"{known} set, for {'production' if configuration.production else 'development'}"


def _check(name: str, result: str, problems: Iterator[Problem]) -> Check:
    """`result`: what is said if there is no problem."""
    found = tuple(problems)
    return Check(name, "" if found else result, found)
