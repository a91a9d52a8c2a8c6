"""For WSGI apps (Flask, Django, Bottle) that are mounted through a2wsgi: their broadcasters, for threads.

A view finds the gateway in its own request: a2wsgi puts the ASGI scope into the WSGI environment.
Where there is no gateway, because the same app is served by a plain WSGI server, there is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from asgi_realtime.broadcasting.sync_broadcaster import SyncBroadcaster
from asgi_realtime.broadcasting.typed_broadcaster import TypedBroadcaster
from asgi_realtime.gateways.base import Gateway
from asgi_realtime.middleware import SCOPE_KEY, Passed, broadcaster_of
from asgi_realtime.systems.chat.broadcaster import ChatBroadcaster, SyncChatBroadcaster
from asgi_realtime.systems.chat.gateway import ChatGateway
from asgi_realtime.systems.events.broadcaster import EventsBroadcaster, SyncEventsBroadcaster
from asgi_realtime.systems.events.gateway import EventsGateway
from asgi_realtime.systems.jobs.broadcaster import JobsBroadcaster, SyncJobsBroadcaster
from asgi_realtime.systems.jobs.gateway import JobsGateway
from asgi_realtime.systems.mew.broadcaster import MewBroadcaster, SyncMewBroadcaster
from asgi_realtime.systems.mew.gateway import MewGateway

F = TypeVar("F", bound=TypedBroadcaster)


def get_broadcaster(environ: Mapping[str, Any]) -> SyncBroadcaster | None:
    """The app's broadcaster, from a request's environment; None: there is no gateway.

    It may be kept, and used in any thread, also after the request.
    """
    passed = _passed(environ)
    return passed[0][0].broadcaster.sync if passed else None


def get_mew_broadcaster(environ: Mapping[str, Any]) -> SyncMewBroadcaster | None:
    """The typed broadcaster of the mounted `MewGateway`; None: there is no gateway at all.

    Raises:
        ConfigurationError: if others are mounted, and no `MewGateway`.
    """
    face = _face(environ, MewGateway, MewBroadcaster)
    return None if face is None else face.sync


def get_events_broadcaster(environ: Mapping[str, Any]) -> SyncEventsBroadcaster | None:
    """The typed broadcaster of the mounted `EventsGateway`. As `get_mew_broadcaster`."""
    face = _face(environ, EventsGateway, EventsBroadcaster)
    return None if face is None else face.sync


def get_chat_broadcaster(environ: Mapping[str, Any]) -> SyncChatBroadcaster | None:
    """The typed broadcaster of the mounted `ChatGateway`. As `get_mew_broadcaster`."""
    face = _face(environ, ChatGateway, ChatBroadcaster)
    return None if face is None else face.sync


def get_jobs_broadcaster(environ: Mapping[str, Any]) -> SyncJobsBroadcaster | None:
    """The typed broadcaster of the mounted `JobsGateway`. As `get_mew_broadcaster`."""
    face = _face(environ, JobsGateway, JobsBroadcaster)
    return None if face is None else face.sync


def _face(environ: Mapping[str, Any], gateway: type[Gateway], face: type[F]) -> F | None:
    passed = _passed(environ)
    return face(broadcaster_of(passed, gateway)) if passed else None


def _passed(environ: Mapping[str, Any]) -> Passed:
    """The middlewares that a request came through, the innermost first."""
    if not isinstance(environ, Mapping):
        raise TypeError(f"pass a request's WSGI environment, such as Flask's request.environ, not {environ!r}")
    passed: Passed = environ.get("asgi.scope", {}).get(SCOPE_KEY, ())
    return passed
