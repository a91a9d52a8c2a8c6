"""For WSGI apps (Flask, Django, Bottle) that run behind a2wsgi: a view's broadcaster.

A view finds the broadcaster in its own request, because a2wsgi puts the ASGI scope into the WSGI environment.
A plain WSGI server serves the same app without a gateway. Then the result is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asgi_realtime.broadcasting.broadcaster import SyncBroadcaster
from asgi_realtime.gateways.mounted import mounted_in

__all__ = ["get_broadcaster"]


def get_broadcaster(environ: Mapping[str, Any]) -> SyncBroadcaster | None:
    """Return the app's broadcaster, from a request's WSGI environment. None: the app runs without a gateway.

    The broadcaster may be kept and used in any thread, also after the request.

    Raises:
        TypeError: if `environ` is not a mapping.
    """
    middlewares = mounted_in(environ)
    return middlewares[0].broadcaster.sync if middlewares else None
