"""Origins that should not be allowed in production."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from asgi_realtime.auth.origins import OriginPolicy
from asgi_realtime.checks.configuration import Configuration
from asgi_realtime.checks.problem import Problem

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


def check_origins(configuration: Configuration) -> Iterator[Problem]:
    """Check the allowed origins. `Settings` has refused those that are malformed."""
    if not configuration.production:
        return
    settings = configuration.settings
    if OriginPolicy(settings.cors_origins).is_open:
        yield _open("MEW_CORS_ORIGINS")
    if OriginPolicy(regex=settings.cors_origin_regex).is_open:
        yield _open("MEW_CORS_ORIGIN_REGEX")
    listed = [("MEW_CORS_ORIGINS", origin) for origin in settings.cors_origins]
    if configuration.has("CORS_ORIGIN"):  # its default is for development, and concerns one gateway only
        if OriginPolicy((settings.events_cors_origin,)).is_open:
            yield _open("CORS_ORIGIN")
        listed.append(("CORS_ORIGIN", settings.events_cors_origin))
    for name, origin in listed:
        if not origin.lower().startswith("http://") or origin.lower().startswith("http://*"):
            continue
        if host_of(origin) in LOCAL_HOSTS:
            yield Problem(name, f"{origin} is a page on the visitor's own machine; leave it out in production")
        else:
            yield Problem(
                name,
                f"{origin} has no TLS, so anyone on the visitor's network can change that page and use its "
                f"cookies; write https://{origin.partition('://')[2]}",
            )


def host_of(url: str) -> str:
    """The host of a URL or an origin. Empty if it has none."""
    try:
        return urlsplit(url.removesuffix(":*")).hostname or ""
    except ValueError:
        return ""


def _open(name: str) -> Problem:
    return Problem(
        name,
        f"{name} allows pages of any origin, and requests with credentials (cookies, withCredentials) fail from them; "
        "list the origins of your pages, such as https://app.example.com",
    )
