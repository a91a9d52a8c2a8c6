"""A handshake that the events of its client are linked to."""

from __future__ import annotations

from asgi_realtime.values.handshake import Handshake


class TracedHandshake(Handshake, frozen=True, kw_only=True, gc=False):
    """A handshake, and what `Tracing.link` returned in its request.

    A class of its own, so that the connections of apps without tracing have nothing more.
    """

    link: object | None


def traced(handshake: Handshake, link: object | None) -> TracedHandshake:
    """The same handshake with a link."""
    return TracedHandshake(
        gateway=handshake.gateway,
        path=handshake.path,
        headers=handshake.headers,
        query=handshake.query,
        cookies=handshake.cookies,
        auth=handshake.auth,
        client_address=handshake.client_address,
        scheme=handshake.scheme,
        link=link,
    )
