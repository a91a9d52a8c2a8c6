"""The keys that an identity provider publishes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from asgi_realtime.auth.jwks_fetch import Fetch, Keys
from asgi_realtime.checks.configuration import Configuration
from asgi_realtime.checks.origins import LOCAL_HOSTS, host_of
from asgi_realtime.checks.problem import Check, Problem

NAME = "MEW_JWKS_URL"


async def check_published_keys(configuration: Configuration, *, timeout: float) -> Check:
    """Fetch the keys, within `timeout` seconds and `MEW_JWKS_TIMEOUT`."""
    settings = configuration.settings
    url = settings.jwks_url or ""
    problems = list(_check_url(configuration, url))
    reasons: list[str] = []
    fetch = Fetch(url, min(timeout, settings.jwks_timeout), on_failure=reasons.append)
    keys = await fetch.start(asyncio.get_running_loop())
    if keys is None:
        problems.append(Problem(NAME, f"{'; '.join(reasons)}; correct the URL, which must return a JSON Web Key Set"))
        return Check(NAME, "no keys", tuple(problems))
    algorithms = _algorithms(keys)
    wanted = settings.jwt_algorithms
    if wanted and not set(wanted) & set(algorithms):
        problems.append(
            Problem(
                "MEW_JWT_ALGORITHMS",
                f"MEW_JWT_ALGORITHMS is {','.join(wanted)}, but the published keys are for {', '.join(algorithms)}; "
                "unset it, or name one of these",
            )
        )
    return Check(NAME, f"keys: {sum(map(len, keys.values()))}, for {', '.join(algorithms)}", tuple(problems))


def _check_url(configuration: Configuration, url: str) -> Iterator[Problem]:
    if configuration.production and url.lower().startswith("http://") and host_of(url) not in LOCAL_HOSTS:
        yield Problem(
            NAME, "MEW_JWKS_URL has no TLS, so anyone on the way can replace the keys and log in; write https://"
        )


def _algorithms(keys: Keys) -> list[str]:
    return list(dict.fromkeys(name for some in keys.values() for key in some for name in key.algorithms))
